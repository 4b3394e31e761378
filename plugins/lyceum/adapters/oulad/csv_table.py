"""One CSV table as blocks of whole lines, in bounded memory, and one line as its fields.

A row is a line: it ends with LF or CR LF, and a quoted field never continues on the next line. So a broken quote costs
its own row and no other.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lyceum.adapters.oulad.delivery import TableStream
from lyceum.adapters.oulad.problems import (
    BAD_QUOTES,
    HOLDS_CARRIAGE_RETURN,
    HOLDS_NUL,
    MAXIMUM_LINE_BYTES,
    NOT_UTF_8,
    OVERLONG,
    WRONG_FIELD_COUNT,
)
from lyceum.errors import InputError

BLOCK_BYTES = 256 * 1024
"""What is read at once. It bounds the memory: a block may be 100,000 lines of one character."""
CLICK_BLOCK_BYTES = 4 * 1024 * 1024
"""The same where blocks are read as arrays."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines, the last one ended too. `first_line` counts from 1, the header."""

    data: bytes
    first_line: int


@dataclass(frozen=True, slots=True)
class OverlongLine:
    """A line over `MAXIMUM_LINE_BYTES` that was skipped without being held."""

    line: int
    byte_length: int


class CsvTable:
    """A table whose header was read: where its columns are, then its blocks, once."""

    def __init__(
        self, stream: TableStream, table: str, required: Sequence[str], block_bytes: int = BLOCK_BYTES
    ) -> None:
        """Read the header. Raises `InputError` when a required column is missing or stands there twice."""
        self.table = table
        self._stream = stream
        self._block_bytes = block_bytes
        self._header_rest = b""
        header = self._read_header(required)
        self.width = len(header)
        self.positions = tuple(header.index(name) for name in required)

    def blocks(self) -> Iterator[Block | OverlongLine]:
        """Yield all lines after the header, in order."""
        line = 2
        pending = b""
        skipped = 0
        piece = self._header_rest
        while piece or (piece := self._stream.read(self._block_bytes)):
            if skipped:
                end = piece.find(b"\n")
                if end < 0:
                    skipped += len(piece)
                    piece = b""
                    continue
                yield OverlongLine(line, skipped + end)
                line, skipped, piece = line + 1, 0, piece[end + 1 :]
            cut = piece.rfind(b"\n") + 1
            if cut:
                data = pending + piece[:cut]
                yield Block(data, line)
                line += data.count(b"\n")
                pending = piece[cut:]
            else:
                pending += piece
            if len(pending) > MAXIMUM_LINE_BYTES:
                skipped, pending = len(pending), b""
            piece = b""
        if skipped:
            yield OverlongLine(line, skipped)
        elif pending:
            yield Block(pending + b"\n", line)

    def _read_header(self, required: Sequence[str]) -> list[str]:
        data = b""
        while b"\n" not in data and len(data) <= MAXIMUM_LINE_BYTES:
            piece = self._stream.read(self._block_bytes)
            if not piece:
                break
            data += piece
        line, _, self._header_rest = data.removeprefix(_BYTE_ORDER_MARK).partition(b"\n")
        fields = split_line(line.removesuffix(b"\r")) if line.strip() else []
        header = [field.strip() for field in fields] if not isinstance(fields, int) else []
        missing = [name for name in required if header.count(name) != 1]
        if missing:
            # A file without a header begins with a learner's row: only names that we know are repeated.
            known = [name for name in required if name in header]
            raise InputError(
                f"{self._stream.description} does not begin with its header: of the columns {', '.join(required)} it names "
                f"{', '.join(known) or 'none'}, and {', '.join(missing)} not exactly once. Expected UTF-8 text whose first "
                "line names the columns, separated by commas. Add the header and deliver the set again."
            )
        return header


def digest_of(line: bytes) -> bytes:
    """Return what stands for a line that cannot be read: its SHA-256."""
    return hashlib.sha256(line).digest()


def split_line(line: bytes) -> list[str] | int:
    """Return the fields of a line without its end, or the problem that makes it unreadable (see `problems`)."""
    if len(line) > MAXIMUM_LINE_BYTES:
        return OVERLONG
    if b"\0" in line:
        return HOLDS_NUL
    if b"\r" in line:
        return HOLDS_CARRIAGE_RETURN
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        return NOT_UTF_8
    if '"' not in text:
        return text.split(",")
    try:
        return next(csv.reader((text,), strict=True))
    except csv.Error:
        return BAD_QUOTES


@dataclass(frozen=True, slots=True)
class Row:
    """One line that is not blank: the required fields in their order, or the problem that makes it unreadable."""

    line: int
    raw: bytes
    fields: tuple[str, ...]
    problem: int


def read_rows(table: CsvTable, data: bytes, first_line: int) -> Iterator[Row]:
    """Yield the rows of some whole lines; blank lines are none."""
    for line, ended in enumerate(data.removesuffix(b"\n").split(b"\n"), first_line):
        raw = ended.removesuffix(b"\r")
        if not raw:
            continue
        fields = split_line(raw)
        if isinstance(fields, int):
            yield Row(line, raw, (), fields)
        elif len(fields) != table.width:
            yield Row(line, raw, (), WRONG_FIELD_COUNT)
        else:
            yield Row(line, raw, tuple([fields[position] for position in table.positions]), 0)
