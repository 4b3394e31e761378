"""One CSV file as records, in bounded memory, where a broken record costs itself and no other.

A quoted field may hold line breaks (RFC 4180), so an unclosed quotation mark could swallow all that follows. Lines are
therefore joined only as far as they make one record of the header's width, and not across a line that is a whole record by
itself; otherwise the first line alone is unreadable and reading goes on with the second.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from typing import Protocol

from lyceum.errors import InputError

BLOCK_BYTES = 256 * 1024
MAXIMUM_RECORD_BYTES = 128 * 1024
"""No record of a roster comes near it; it bounds the memory, and equals what `csv` takes as one field."""
_MAXIMUM_JOINED_LINES = 200
_TELLING_WIDTH = 4
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BLANK = b", \t\r"
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")

OVERLONG = f"The record is longer than {MAXIMUM_RECORD_BYTES:,} bytes."
HOLDS_NUL = "The record holds a NUL byte. Expected text."
HOLDS_CARRIAGE_RETURN = (
    "The record holds a carriage return outside of quotation marks. Expected lines that end with LF or CR LF."
)
NOT_UTF_8 = "The record is not UTF-8. Export the roster as UTF-8."
BAD_QUOTES = (
    'A quotation mark is not closed or not doubled. Expected fields such as a or "a", with "" for a quotation mark.'
)
WRONG_WIDTH = "The record has more or fewer fields than the header."


class SourceStream(Protocol):
    """What a file is read from."""

    description: str
    """The file's name and where it lies, for messages."""

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, empty at the end."""
        ...


class CsvRecords:
    """The records of one file, once. `header` has the column names as delivered, without blanks around them."""

    def __init__(self, stream: SourceStream) -> None:
        """Read the header. Raises `InputError` when there is none."""
        self._stream = stream
        self._lines = self._numbered_lines()
        self._put_back: deque[tuple[int, bytes | None]] = deque()
        self.width = 0
        self.header = self._read_header()
        self.width = len(self.header)

    def records(self) -> Iterator[tuple[int, list[str] | str]]:
        """Yield the line (from 1, the header) at which each record begins with its fields, or with the problem it has.

        Lines and records in which every field is blank are none. Blank fields after the last column are dropped.
        """
        while (taken := self._next_line()) is not None:
            line, raw = taken
            if raw is not None and not raw.strip(_BLANK):
                continue
            try:
                fields = self._fields(raw)
            except _UnreadableRecord as problem:
                yield line, str(problem)
                continue
            yield line, self._fitted(fields) or WRONG_WIDTH

    def _fitted(self, fields: list[str]) -> list[str] | None:
        if len(fields) == self.width:
            return fields
        if len(fields) > self.width and not any(fields[self.width :]):
            return fields[: self.width]
        return None

    def _fields(self, raw: bytes | None) -> list[str]:
        if raw is None:
            raise _UnreadableRecord(OVERLONG)
        if b'"' not in raw:
            return _plain_fields(raw)
        try:
            return _quoted_fields(raw)
        except _UnreadableRecord:
            joined = self._joined_fields(raw) if raw.count(b'"') % 2 else None
            if joined is None:
                raise
            return joined

    def _joined_fields(self, raw: bytes) -> list[str] | None:
        """Return the fields of the record that begins with this line, whose quotes are open, or None when it never ends."""
        taken: list[tuple[int, bytes | None]] = []
        record, size = [raw], len(raw)
        while len(taken) < _MAXIMUM_JOINED_LINES and (following := self._next_line()) is not None:
            taken.append(following)
            text = following[1]
            if text is None or (size := size + len(text) + 1) > MAXIMUM_RECORD_BYTES:
                break
            record.append(text)
            if text.count(b'"') % 2:
                fields = _quoted_fields_or_none(b"\n".join(record))
                if fields is None or self._fitted(fields) is None:
                    break
                return fields
            if self.width >= _TELLING_WIDTH and self._is_whole(text):
                break
        self._put_back.extendleft(reversed(taken))
        return None

    def _is_whole(self, raw: bytes) -> bool:
        fields = _quoted_fields_or_none(raw)
        return fields is not None and len(fields) == self.width

    def _next_line(self) -> tuple[int, bytes | None] | None:
        if self._put_back:
            return self._put_back.popleft()
        return next(self._lines, None)

    def _numbered_lines(self) -> Iterator[tuple[int, bytes | None]]:
        """Yield each line without its LF; None stands for one that is too long and was skipped without being held."""
        number = 1
        pending = b""
        is_skipping = False
        piece = self._stream.read(BLOCK_BYTES).removeprefix(_BYTE_ORDER_MARK)
        if piece.startswith(_UTF_16_MARKS):
            raise InputError(
                f"{self._stream.description} is UTF-16. Expected UTF-8, with or without a byte order mark. Export it as UTF-8."
            )
        while piece:
            *whole, rest = piece.split(b"\n")
            for text in whole:
                if is_skipping:
                    is_skipping = False
                    yield number, None
                else:
                    ended = pending + text
                    yield number, ended if len(ended) <= MAXIMUM_RECORD_BYTES else None
                pending = b""
                number += 1
            if not is_skipping:
                pending += rest
                if len(pending) > MAXIMUM_RECORD_BYTES:
                    pending, is_skipping = b"", True
            piece = self._stream.read(BLOCK_BYTES)
        if is_skipping:
            yield number, None
        elif pending:
            yield number, pending

    def _read_header(self) -> tuple[str, ...]:
        taken = self._next_line()
        try:
            header = tuple(field.strip() for field in self._fields(taken[1])) if taken is not None else ()
        except _UnreadableRecord:
            header = ()
        if not any(header):
            raise InputError(
                f"{self._stream.description} does not begin with a header. Expected UTF-8 text whose first line names the "
                "columns, separated by commas. Export it again."
            )
        return header


class _UnreadableRecord(Exception):  # noqa: N818 - a row's fate, not an error of the reader
    """Says which of the problems above a record has."""


def _plain_fields(raw: bytes) -> list[str]:
    raw = raw.removesuffix(b"\r")
    if b"\r" in raw:
        raise _UnreadableRecord(HOLDS_CARRIAGE_RETURN)
    return _text(raw).split(",")


def _quoted_fields(raw: bytes) -> list[str]:
    """Return the fields of the one record that these lines are."""
    text = _text(raw.removesuffix(b"\r"))
    try:
        records = list(csv.reader((text,), strict=True))
    except csv.Error:
        raise _UnreadableRecord(BAD_QUOTES) from None
    if len(records) != 1:
        raise _UnreadableRecord(BAD_QUOTES)
    return records[0]


def _quoted_fields_or_none(raw: bytes) -> list[str] | None:
    try:
        return _quoted_fields(raw)
    except _UnreadableRecord:
        return None


def _text(raw: bytes) -> str:
    if b"\0" in raw:
        raise _UnreadableRecord(HOLDS_NUL)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise _UnreadableRecord(NOT_UTF_8) from None
