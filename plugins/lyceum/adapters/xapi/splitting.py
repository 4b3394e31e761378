"""From blocks of bytes to records: lines (NDJSON), the elements of JSON arrays, and the statements of a StatementResult.

Where records begin and end depends on the content alone, never on how it came in blocks; nothing is held in memory beyond
one record of the greatest permitted size and a few blocks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec
from msgspec import Raw

from lyceum.adapters.xapi.blocks import DamagedInput
from lyceum.adapters.xapi.problems import too_long
from lyceum.records import MAXIMUM_RECORD_BYTES, Reason

_BLANKS: Final = b" \t\r\n"
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_UTF_16: Final = re.compile(rb"(?:\xff\xfe)?[{\[]\0[^\0]\0|(?:\xfe\xff)?\0[{\[]\0[^\0]")
_INSPECTED_BYTES: Final = 6
_OPENING: Final = frozenset(b"{[")
_STRAY: Final = frozenset(b"}],:")
_CONTINUATIONS: Final = {b"{": b'"}', b",": b'"[-0123456789tfn', b"[": b'"[]-0123456789tfn', b":": b""}
"""How an object goes on in its second line, by the last byte of its first line; in all other cases by `_CONTINUATION`.

A brace is missing on purpose: it begins the next line's own object. Nobody breaks a line after a colon.
"""
_CONTINUATION: Final = b",}]:"
_UNFINISHED: Final = frozenset(b",[{:")
"""The last byte of the first line of an array that goes on, unless the next line begins by a comma or an end."""
_QUOTE: Final = ord('"')
_COMMA: Final = ord(",")
_COLON: Final = ord(":")
_ESCAPE: Final = ord("\\")
_ARRAY: Final = ord("[")
_ARRAY_END: Final = ord("]")
_OBJECT: Final = ord("{")
_OBJECT_END: Final = ord("}")

# Groups are never repeated possessively: CPython before 3.11.5 loses its place when the last repetition fails half-way.
_BLANK_RUN = re.compile(rb"[ \t\r\n]*+")
_SCALAR = re.compile(rb'[^ \t\r\n,\[\]{}"]*+')
_IN_STRING = re.compile(rb'(?:[^"\\]++|\\.)*', re.DOTALL)
_TO_BRACKET = re.compile(rb'(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*")*', re.DOTALL)
_STATEMENTS_KEY: Final = b'"statements"'
_STATEMENT_RESULT = re.compile(
    rb'\{\s*+(?:"(?:[^"\\]++|\\.)*"\s*+:\s*+(?:"(?:[^"\\]++|\\.)*"|[^\s"{}\[\],]++)\s*+,\s*+)*"statements"\s*+:\s*+\['
)
_OPENER = re.compile(rb'\{\s*+"(?:[^"\\]++|\\.)*"')
_BULK_BYTES: Final = 512 * 1024
_BULK_ATTEMPTS: Final = 8
_LONGEST_SEPARATOR: Final = 64

_syntax = msgspec.json.Decoder(Raw)
_elements = msgspec.json.Decoder(list[Raw])


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A stretch of the input that is one record but cannot be handed on: too long, or the tail of a damaged input."""

    reason: Reason
    detail: str
    byte_length: int


Record = bytes | Unreadable


def split(blocks: Iterator[bytes]) -> Iterator[list[Record]]:
    """Yield the records of an input in lists. A damaged or incomplete end is one `unreadable_tail`.

    The content decides the form: it is a sequence of JSON documents if it begins with a StatementResult, with an array in
    one line, or with an array or object that the second line goes on with; otherwise it is lines. Blank lines are not records.
    """
    beginning = _Beginning(blocks)
    if beginning.foreign is not None:
        yield [_tail(beginning.foreign, 0)]
    elif beginning.is_documents():
        yield from _Documents(beginning.rest()).records()
    else:
        yield from _lines(beginning.rest())


class _Beginning:
    """As much of an input as it takes to tell its form."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._damage: DamagedInput | None = None
        self._is_complete = False
        self.content = b""
        while len(self.content) < _INSPECTED_BYTES and self._more():
            pass
        self.foreign: str | None = None
        if _UTF_16.match(self.content) is not None:
            self.foreign = "The input is in UTF-16; expected UTF-8."
        self.content = self.content.removeprefix(_BYTE_ORDER_MARK).lstrip(_BLANKS)
        while not self.content and self._more():
            self.content = self.content.lstrip(_BLANKS)

    def is_documents(self) -> bool:
        """Return whether the input is a sequence of JSON documents rather than lines."""
        if not self.content or self.content[0] not in _OPENING:
            return False
        while b"\n" not in self.content and len(self.content) <= MAXIMUM_RECORD_BYTES and self._more():
            pass
        end = self.content.find(b"\n", 0, MAXIMUM_RECORD_BYTES + 1)
        first = self.content[:end].rstrip(_BLANKS)
        if self.content[0] == _ARRAY:
            return end < 0 or _is_json(first) or first[-1] in _UNFINISHED or self._following(end) in (0, *b",]}:")
        if _STATEMENT_RESULT.match(self.content, 0, MAXIMUM_RECORD_BYTES) is not None:
            return True
        return (
            end >= 0 and not _is_json(first) and self._following(end) in _CONTINUATIONS.get(first[-1:], _CONTINUATION)
        )

    def rest(self) -> Iterator[bytes]:
        """Yield the whole content, without byte order mark and leading blanks."""
        content, self.content = self.content, b""
        if content:
            yield content
        if self._damage is not None:
            raise self._damage
        yield from self._blocks

    def _following(self, place: int) -> int:
        """Return the first byte from a place on that is no blank; 0 where there is none, or very far."""
        while True:
            place = _end(_BLANK_RUN, self.content, place)
            if place > 2 * MAXIMUM_RECORD_BYTES:
                return 0
            if place < len(self.content):
                return self.content[place]
            if not self._more():
                return 0

    def _more(self) -> bool:
        if self._damage is not None:
            return False
        try:
            block = next(self._blocks, None)
        except DamagedInput as damage:
            self._damage = damage
            return False
        if block is None:
            return False
        self.content += block
        return True


def _lines(blocks: Iterator[bytes]) -> Iterator[list[Record]]:
    carry = b""
    skipped = 0
    damage = ""
    try:
        for block in blocks:
            records: list[Record] = []
            if skipped:
                end = block.find(b"\n")
                if end < 0:
                    skipped += len(block)
                    continue
                records.append(_too_long(skipped + end))
                block = block[end + 1 :]
                skipped = 0
            lines = (carry + block).split(b"\n")
            carry = lines.pop().lstrip(_BLANKS)
            for line in lines:
                if len(line) > MAXIMUM_RECORD_BYTES and (length := len(line.lstrip(_BLANKS))) > MAXIMUM_RECORD_BYTES:
                    records.append(_too_long(length))
                elif line := line.strip(_BLANKS):
                    records.append(line)
            if len(carry) > MAXIMUM_RECORD_BYTES:
                skipped, carry = len(carry), b""
            if records:
                yield records
    except DamagedInput as error:
        damage = error.found
    if records := _last_line(carry, skipped, damage):
        yield records


def _last_line(carry: bytes, skipped: int, damage: str) -> list[Record]:
    """Return the records of what follows the last line break: nothing, a record without one, or the damaged tail."""
    last = carry.strip(_BLANKS)
    if damage:
        if last and _is_json(last):
            return [last, _tail(damage, 0)]
        return [_tail(damage, skipped or len(last))]
    if skipped:
        return [_too_long(skipped)]
    if not last:
        return []
    return [last] if _is_json(last) else [_tail("The last line is incomplete and has no line break.", len(last))]


class _Incomplete(Exception):  # noqa: N818, it does not leave the module
    """The input ended within a document."""


class _Documents:
    """A sequence of JSON documents: arrays and StatementResults, whose elements are records, and objects that are records.

    A valid stretch of an array is cut in bulk by msgspec: text that is valid as a list of elements, from an element's
    beginning to a comma, has exactly these elements. Everything else is cut by its brackets and strings alone, so that one
    bad element costs only itself.
    """

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._buffer = b""
        self._offset = 0
        """Where the buffer begins in the input. Places are in the buffer, positions in the input."""
        self._place = 0
        self._record: int | None = None
        """Position of the record that is being read."""
        self._is_kept = False
        """Whether the buffer still holds that record from its beginning."""
        self._key: int | None = None
        """Position of the property name that is being read, while it is short."""
        self._damage = ""
        self._no_bulk_before = 0

    def records(self) -> Iterator[list[Record]]:
        """Yield the records in lists."""
        try:
            while (byte := self._next_byte()) is not None:
                if byte == _ARRAY:
                    self._place += 1
                    yield from self._array()
                elif byte == _OBJECT:
                    yield from self._object()
                else:
                    yield [_tail("After a JSON document comes something that is neither an array nor an object.", 0)]
                    return
        except _Incomplete:
            yield [_tail(self._damage or "The input ends within a JSON document.", self._unread_length())]
            return
        if self._damage:
            yield [_tail(self._damage, 0)]

    def _array(self) -> Iterator[list[Record]]:
        """Yield the elements up to the end of the array. Superfluous commas are passed over."""
        opener: bytes | None = None
        while True:
            byte = self._required_byte()
            if byte == _ARRAY_END:
                self._place += 1
                return
            if byte == _COMMA:
                self._place += 1
                continue
            if byte == _OBJECT:
                if opener is None and (match := _OPENER.match(self._buffer, self._place)) is not None:
                    opener = match[0]
                if opener is not None and (bulk := self._bulk(opener)):
                    yield bulk
                    continue
            yield [self._value()]

    def _bulk(self, opener: bytes) -> list[Record]:
        """Return the elements from here to the last comma in the buffer before an element that begins like the first one.

        Returns none where that stretch is short or not valid as a whole.
        """
        if self._no_bulk_before > self._offset + self._place:
            return []
        self._fill(_BULK_BYTES)
        end = len(self._buffer)
        for _ in range(_BULK_ATTEMPTS):
            end = self._buffer.rfind(opener, self._place + 1, end)
            if end < 0:
                break
            separator = self._buffer[max(self._place, end - _LONGEST_SEPARATOR) : end].rstrip(_BLANKS)
            if not separator.endswith(b","):
                continue
            try:
                elements = _elements.decode(b"[%b]" % self._buffer[self._place : end].rstrip(_BLANKS)[:-1])
            except (msgspec.MsgspecError, RecursionError):
                continue
            self._place = end
            return [_within_bounds(bytes(element)) for element in elements]
        self._no_bulk_before = self._offset + len(self._buffer)
        return []

    def _object(self) -> Iterator[list[Record]]:
        """Yield an object as a record, or the elements of its `statements` if it is a StatementResult."""
        self._begin_record()
        self._place += 1
        is_result = False
        while (byte := self._required_byte()) != _OBJECT_END:
            if byte != _QUOTE:
                self._pass_over()
                continue
            is_statements = self._key_is(_STATEMENTS_KEY)
            if self._required_byte() != _COLON:
                continue
            self._place += 1
            byte = self._required_byte()
            if byte == _ARRAY and is_statements:
                is_result = True
                self._place += 1
                yield from self._array()
            elif byte not in (_OBJECT_END, _COMMA):
                self._pass_over()
        self._place += 1
        if not is_result:
            yield [self._end_record()]
        self._record = None

    def _key_is(self, expected: bytes) -> bool:
        """Pass over the property name that begins here and return whether it is the expected one."""
        key = self._key = self._offset + self._place
        self._pass_over()
        self._key = None
        return self._buffer[max(key - self._offset, 0) : self._place] == expected

    def _value(self) -> Record:
        """Return the value that begins here: an object or array by its brackets, a text, or a run of other characters."""
        self._begin_record()
        self._pass_over()
        return self._end_record()

    def _pass_over(self) -> None:
        byte = self._buffer[self._place]
        if byte in _OPENING:
            self._pass_over_brackets()
        elif byte == _QUOTE:
            self._place += 1
            self._pass_over_string()
        elif byte in _STRAY:
            self._place += 1
        else:
            while True:
                self._place = _end(_SCALAR, self._buffer, self._place)
                if self._place < len(self._buffer) or not self._more():
                    return

    def _pass_over_brackets(self) -> None:
        level = 0
        while True:
            self._place = _end(_TO_BRACKET, self._buffer, self._place)
            if self._place == len(self._buffer):
                self._require_more()
                continue
            byte = self._buffer[self._place]
            self._place += 1
            if byte == _QUOTE:
                self._pass_over_string()
            elif byte in _OPENING:
                level += 1
            else:
                level -= 1
                if level == 0:
                    return

    def _pass_over_string(self) -> None:
        """Go behind the closing quote of the string in which the place is."""
        while True:
            self._place = _end(_IN_STRING, self._buffer, self._place)
            if self._place < len(self._buffer) and self._buffer[self._place] == _QUOTE:
                self._place += 1
                return
            # At the end of the buffer, or at a backslash that is its last byte.
            self._require_more()

    # The record that is being read.

    def _begin_record(self) -> None:
        self._record = self._offset + self._place
        self._is_kept = True

    def _end_record(self) -> Record:
        end = self._offset + self._place
        begin = end if self._record is None else self._record
        self._record = None
        if end - begin > MAXIMUM_RECORD_BYTES:
            return _too_long(end - begin)
        return self._buffer[begin - self._offset : self._place]

    def _unread_length(self) -> int:
        begin = self._offset + self._place if self._record is None else self._record
        return self._offset + len(self._buffer) - begin

    # The buffer.

    def _next_byte(self) -> int | None:
        """Go to the next byte that is no blank and return it; None at the end of the input."""
        while True:
            self._place = _end(_BLANK_RUN, self._buffer, self._place)
            if self._place < len(self._buffer):
                return self._buffer[self._place]
            if not self._more():
                return None

    def _required_byte(self) -> int:
        if (byte := self._next_byte()) is None:
            raise _Incomplete
        return byte

    def _require_more(self) -> None:
        if not self._more():
            raise _Incomplete

    def _fill(self, length: int) -> None:
        while len(self._buffer) - self._place < length and self._more():
            pass

    def _more(self) -> bool:
        """Take one more block, and drop from the buffer what is neither unread nor part of a record that may be kept."""
        if self._damage:
            return False
        try:
            block = next(self._blocks, None)
        except DamagedInput as error:
            self._damage = error.found
            return False
        if block is None:
            return False
        keep = self._place
        if self._key is not None:
            keep = max(self._key - self._offset, keep - 2 * len(_STATEMENTS_KEY), 0)
        if self._record is not None and self._is_kept:
            begin = self._record - self._offset
            if self._place - begin > MAXIMUM_RECORD_BYTES:
                self._is_kept = False
            else:
                keep = min(keep, begin)
        self._buffer = self._buffer[keep:] + block
        self._offset += keep
        self._place -= keep
        return True


def _within_bounds(element: bytes) -> Record:
    return element if len(element) <= MAXIMUM_RECORD_BYTES else _too_long(len(element))


def _too_long(length: int) -> Unreadable:
    problem = too_long(length)
    return Unreadable(problem.reason, problem.detail, length)


def _tail(found: str, length: int) -> Unreadable:
    return Unreadable(
        "unreadable_tail", f"{found} What comes before counts. Deliver the input again, complete.", length
    )


def _is_json(text: bytes) -> bool:
    try:
        _syntax.decode(text)
    except msgspec.MsgspecError:
        return False
    except RecursionError:
        # Deep, and therefore refused as a record of its own.
        return True
    return True


def _end(pattern: re.Pattern[bytes], buffer: bytes, place: int) -> int:
    match = pattern.match(buffer, place)
    return place if match is None else match.end()
