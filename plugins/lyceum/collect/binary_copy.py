"""PostgreSQL's binary COPY format, as far as collection writes it.

Sources: "COPY: Binary Format" in PostgreSQL's manual for the frame; `numeric_send`, `range_send` and `multirange_send` in its
sources for the values. Every field is a 32-bit length and the value, or the length -1 for null.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from decimal import Context, Decimal
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from psycopg.abc import Buffer

from lyceum.local_calendar import to_microseconds

HEADER = b"PGCOPY\n\xff\r\n\x00" + struct.pack(">ii", 0, 0)
TRAILER = struct.pack(">h", -1)
NULL = struct.pack(">i", -1)

_EPOCH_DAYS = 10_957
"""Days from 1970-01-01 to PostgreSQL's own epoch, 2000-01-01."""
_EPOCH_MICROSECONDS = _EPOCH_DAYS * 86_400_000_000

_BASE = 10_000
_POSITIVE, _NEGATIVE = 0x0000, 0x4000
_MAXIMUM_SCALE = 16_383
_RANGE_FLAGS = b"\x02"  # lower bound inclusive, upper bound exclusive, both finite

_READ_BYTES = 1 << 20
_FIXED_TYPES = {
    "int8": ">i8",
    "int4": ">i4",
    "date": ">i4",
    "timestamptz": ">i8",
    "bool": "i1",
    "uuid": "V16",
    "sha256": "V32",
}


def field(value: bytes | None) -> bytes:
    """Return one field: the value with its length before it, or a null."""
    return NULL if value is None else struct.pack(">i", len(value)) + value


def row_start(fields_in_row: int, *fields: bytes) -> bytes:
    """Return the beginning of a row that states how many fields it has, with the first of them."""
    return struct.pack(">h", fields_in_row) + b"".join(fields)


def int8(value: int) -> bytes:
    """Return the value bytes of a bigint."""
    return struct.pack(">q", value)


def int4(value: int) -> bytes:
    """Return the value bytes of an integer."""
    return struct.pack(">i", value)


def timestamptz(instant: datetime) -> bytes:
    """Return the value bytes of an aware datetime."""
    return struct.pack(">q", server_microseconds(instant))


def date_days(days: int) -> bytes:
    """Return the value bytes of a date given as days since 1970-01-01."""
    return struct.pack(">i", days - _EPOCH_DAYS)


def server_microseconds(instant: datetime) -> int:
    """Return the instant as the server counts it: microseconds since 2000-01-01T00:00Z."""
    return to_microseconds(instant) - _EPOCH_MICROSECONDS


def to_server_instants(microseconds: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return instants as the server counts them, from microseconds since 1970."""
    return microseconds - _EPOCH_MICROSECONDS


def to_server_dates(days: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return dates as the server counts them, from days since 1970."""
    return days - _EPOCH_DAYS


def to_date(days: int) -> date:
    """Return the date of a number of days since 1970-01-01."""
    return date(1970, 1, 1) + timedelta(days=days)


@lru_cache(maxsize=16_384)
def numeric(value: Decimal) -> bytes:
    """Return the value bytes of a finite decimal, without trailing zeros, so that equal numbers have equal bytes.

    Digits beyond the 16,383rd after the point, which `numeric` cannot hold, are rounded away.
    """
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise ValueError(f"numeric cannot hold {value}; only finite decimals belong here.")
    if exponent < -_MAXIMUM_SCALE:
        context = Context(prec=len(digits) + _MAXIMUM_SCALE, Emin=-999_999_999)
        value = value.quantize(Decimal((0, (1,), -_MAXIMUM_SCALE)), context=context)
        sign, digits, exponent = value.as_tuple()
        assert isinstance(exponent, int)
    unscaled = int("".join(map(str, digits)))
    if unscaled == 0:
        return struct.pack(">hhHH", 0, 0, _POSITIVE, 0)
    while exponent < 0 and unscaled % 10 == 0:
        unscaled //= 10
        exponent += 1
    if exponent > 0:
        unscaled, exponent = unscaled * 10**exponent, 0
    scale = -exponent
    groups_after_point = -(-scale // 4)
    unscaled *= 10 ** (groups_after_point * 4 - scale)
    groups: list[int] = []
    while unscaled:
        unscaled, group = divmod(unscaled, _BASE)
        groups.append(group)
    groups.reverse()
    weight = len(groups) - groups_after_point - 1
    return struct.pack(f">hhHH{len(groups)}H", len(groups), weight, _NEGATIVE if sign else _POSITIVE, scale, *groups)


def nummultirange(ranges: Sequence[tuple[Decimal, Decimal]]) -> bytes:
    """Return the value bytes of the union of half-open ranges (start, end) with end > start; the server sorts and merges."""
    return b"".join((struct.pack(">i", len(ranges)), *map(_numrange, ranges)))


@lru_cache(maxsize=65_536)
def _numrange(bounds: tuple[Decimal, Decimal]) -> bytes:
    """Return one range of a multirange with its length. Segments of a video repeat in every statement that follows."""
    lower, upper = map(numeric, bounds)
    value = _RANGE_FLAGS + struct.pack(">i", len(lower)) + lower + struct.pack(">i", len(upper)) + upper
    return struct.pack(">i", len(value)) + value


def fixed_rows(
    columns: Sequence[tuple[str, str]],
    values: dict[str, NDArray[np.generic] | int | None],
    count: int,
    fields_in_row: int,
) -> NDArray[np.void]:
    """Return `count` rows, or beginnings of rows, of columns of fixed width, as one packed array.

    `columns` are names and types: int8, int4, date, timestamptz, bool, uuid, and sha256 for a bytea of 32 bytes. `values` has
    an array or one number for each, None for a column that is null in every row. Dates and instants are as the server
    counts them. `fields_in_row` is what each row states as its number of fields, those that the caller appends included.
    """
    layout: list[tuple[str, str]] = [("fields", ">i2")]
    for name, kind in columns:
        layout.append((f"{name} length", ">i4"))
        if values[name] is not None:
            layout.append((name, _FIXED_TYPES[kind]))
    rows = np.empty(count, dtype=layout)
    rows["fields"] = fields_in_row
    for name, kind in columns:
        value = values[name]
        rows[f"{name} length"] = -1 if value is None else np.dtype(_FIXED_TYPES[kind]).itemsize
        if value is not None:
            rows[name] = value
    return rows


def read_fixed_rows(blocks: Iterable[Buffer], columns: Sequence[tuple[str, str]]) -> Iterator[NDArray[np.void]]:
    """Yield the rows of a COPY TO of columns of fixed width without nulls, as arrays with a field for each column."""
    layout = np.dtype(
        [
            ("fields", ">i2"),
            *(part for name, kind in columns for part in ((f"{name} length", ">i4"), (name, _FIXED_TYPES[kind]))),
        ]
    )
    pending = bytearray()
    has_header = False
    for block in blocks:
        pending += block
        if not has_header:
            if len(pending) < len(HEADER):
                continue
            del pending[: len(HEADER)]
            has_header = True
        # The trailer is shorter than a row.
        count = len(pending) // layout.itemsize
        if count * layout.itemsize >= _READ_BYTES:
            yield np.frombuffer(bytes(pending[: count * layout.itemsize]), dtype=layout)
            del pending[: count * layout.itemsize]
    count = len(pending) // layout.itemsize
    yield np.frombuffer(bytes(pending[: count * layout.itemsize]), dtype=layout)


def uuid_array(values: NDArray[np.void]) -> bytes:
    """Return the value bytes of a `uuid[]` from 16-byte elements."""
    elements = np.empty(len(values), dtype=[("length", ">i4"), ("value", "V16")])
    elements["length"] = 16
    elements["value"] = values
    # One dimension without nulls, of type uuid (2950), numbered from 1.
    header = struct.pack(">iiI", 1, 0, 2950) + struct.pack(">ii", len(values), 1)
    return header + elements.tobytes() if len(values) else struct.pack(">iiI", 0, 0, 2950)


def blocks(pieces: Sequence[bytes | memoryview], size: int) -> Iterator[bytes]:
    """Yield the pieces joined, `size` of them at a time, so that the server works on the first while the next is joined."""
    for start in range(0, len(pieces), size):
        yield b"".join(pieces[start : start + size])
