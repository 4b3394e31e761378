"""A column of an archive in three forms: PostgreSQL's text, Arrow, and back. Text → Arrow → text is the identity.

Integers, booleans, dates, instants, uuids, byte strings and arrays of integers have types of their own in Parquet. What else
an archive may hold (numeric with its scale, ranges, documents) is stored as PostgreSQL's text, which alone says it exactly.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

# Arrow's Python types are not annotated.
Array: TypeAlias = Any
DataType: TypeAlias = Any

_ARROW_TYPES: dict[str, DataType] = {
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp with time zone": pa.timestamp("us", "UTC"),
    "integer[]": pa.list_(pa.int32()),
    "bigint[]": pa.list_(pa.int64()),
    "uuid": pa.uuid(),
    "bytea": pa.binary(),
}
# What the CSV reader parses by itself; the rest it hands over as text.
_CSV_TYPES = frozenset({"smallint", "integer", "bigint", "boolean", "date", "timestamp with time zone"})
# Free text: a value may hold newlines and backslashes.
_FREE_TEXT_TYPES = frozenset({"text", "character varying", "character", "name", "json", "jsonb"})
# Stored as text, because text alone says their values exactly and PostgreSQL reads back what it wrote.
_TEXT_TYPES = _FREE_TEXT_TYPES | {
    "numeric",
    "real",
    "double precision",
    "time without time zone",
    "time with time zone",
    "timestamp without time zone",
    "interval",
    "inet",
    "cidr",
    "macaddr",
    "bit",
    "bit varying",
    "oid",
    "xid8",
    "pg_lsn",
    "int4range",
    "int8range",
    "numrange",
    "daterange",
    "tsrange",
    "tstzrange",
    "int4multirange",
    "int8multirange",
    "nummultirange",
    "datemultirange",
    "tsmultirange",
    "tstzmultirange",
}
# Those whose cast to text says less or more than COPY does: no blanks at the end, a network mask.
_CAST_DIFFERS = frozenset({"character", "inet"})
_ORDERED_TYPES = frozenset({"smallint", "integer", "bigint", "date", "timestamp with time zone", "numeric"})
_MODIFIER = re.compile(r"\(\d+(,-?\d+)?\)")
_UUID_DASHES = np.array([8, 13, 18, 23])
_UUID_DIGITS = np.setdiff1d(np.arange(36), _UUID_DASHES)


@dataclass(frozen=True, slots=True)
class Column:
    """A column by name and by PostgreSQL's name of its type (`format_type`)."""

    name: str
    type: str

    @property
    def plain_type(self) -> str:
        """Its type without length, precision or scale."""
        return _MODIFIER.sub("", self.type)

    @property
    def is_supported(self) -> bool:
        """Whether an archive can hold its values exactly."""
        element = self.plain_type.removesuffix("[]")
        return element in _TEXT_TYPES or element in _ARROW_TYPES

    @property
    def arrow_type(self) -> DataType:
        """Its type in the archive."""
        return _ARROW_TYPES.get(self.plain_type, pa.string())

    @property
    def csv_type(self) -> DataType:
        """Its type as the CSV reader is to deliver it to `from_csv`."""
        return self.arrow_type if self.plain_type in _CSV_TYPES else pa.string()

    @property
    def is_ordered(self) -> bool:
        """Whether its least and greatest value are part of the manifest."""
        return self.plain_type in _ORDERED_TYPES

    @property
    def is_free_text(self) -> bool:
        """Whether a value's text may hold anything, newlines and backslashes included."""
        return self.arrow_type == pa.string() and (
            self.plain_type in _FREE_TEXT_TYPES or self.plain_type.endswith("[]")
        )

    def text_expression(self, name: sql.Identifier) -> sql.Composable:
        """Return what makes PostgreSQL write a value as COPY does, for the checksum; null stays null."""
        form = "format('%s', {0})" if self.plain_type in _CAST_DIFFERS else "{0}::text"
        text = sql.SQL(form).format(name)
        if self.plain_type in _CAST_DIFFERS:
            # format() makes an empty text of null.
            text = sql.SQL("case when {} is not null then {} end").format(name, text)
        if self.is_free_text:
            text = sql.SQL("replace(replace({}, E'\\\\', E'\\\\\\\\'), E'\\n', E'\\\\n')").format(text)
        return text

    def to_checked_text(self, values: Array) -> Array:
        """Return what `text_expression` says of the same values."""
        text = self.to_text(values)
        if not self.is_free_text:
            return text
        return pc.replace_substring(pc.replace_substring(text, "\\", "\\\\"), "\n", "\\n")

    def from_csv(self, values: Array) -> Array:
        """Return the values that the CSV reader delivered in the archive's type. Raises `ValueError` for what it cannot hold."""
        if self.arrow_type == values.type:
            return values
        if values.null_count == len(values):
            return pa.nulls(len(values), self.arrow_type)
        if self.plain_type == "uuid":
            return _uuids(values)
        if self.plain_type == "bytea":
            return _bytes(values)
        return _lists(values, self.arrow_type)

    def to_text(self, values: Array) -> Array:
        """Return the values as PostgreSQL writes them; null stays null."""
        if self.arrow_type == pa.string():
            return values
        if values.null_count == len(values):
            return pa.nulls(len(values), pa.string())
        if self.plain_type == "timestamp with time zone":
            return _instant_text(values)
        if self.plain_type == "uuid":
            return _uuid_text(values.storage)
        if self.plain_type == "bytea":
            return _bytes_text(values)
        if pa.types.is_list(self.arrow_type):
            return _list_text(values)
        return values.cast(pa.string())

    def extremes(self, values: Array) -> tuple[str, str] | None:
        """Return the least and the greatest value as text, numerics without trailing zeros; None where all are null.

        PostgreSQL says the same as `min(x)::text`, and for numerics as `trim_scale(min(x))::text`.
        """
        if values.null_count == len(values):
            return None
        if self.plain_type == "numeric":
            numbers = sorted((Decimal(text) for text in pc.unique(values).drop_null().to_pylist()), key=_numeric_order)
            return _trimmed(numbers[0]), _trimmed(numbers[-1])
        found = pc.min_max(values)
        ends = self.to_text(pa.array([found["min"], found["max"]], values.type))
        return ends[0].as_py(), ends[1].as_py()


def extremes_of(column: Column, all_extremes: list[tuple[str, str]]) -> tuple[str, str] | None:
    """Return the extremes of the extremes of several parts of one column."""
    if not all_extremes:
        return None
    order = _text_order(column)
    return min((low for low, _ in all_extremes), key=order), max((high for _, high in all_extremes), key=order)


def _text_order(column: Column) -> Any:
    if column.plain_type == "numeric":
        return lambda text: _numeric_order(Decimal(text))
    if column.plain_type in ("date", "timestamp with time zone"):
        # PostgreSQL drops trailing zeros of a second, and '+' sorts before '.', so the offset must not take part.
        return lambda text: text.removesuffix("+00")
    return int


def _numeric_order(number: Decimal) -> tuple[bool, Decimal]:
    # PostgreSQL sorts NaN above everything.
    return (True, Decimal(0)) if number.is_nan() else (False, number)


def _trimmed(number: Decimal) -> str:
    if not number.is_finite():
        return str(number)
    text = format(number, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def _instant_text(values: Array) -> Array:
    wall = values.cast(pa.timestamp("us"))
    try:
        text = wall.cast(pa.timestamp("s")).cast(pa.string())
    except pa.ArrowInvalid:
        # Some have a fraction, of which PostgreSQL writes no trailing zero.
        text = pc.ascii_rtrim(pc.ascii_rtrim(wall.cast(pa.string()), characters="0"), characters=".")
    return pc.binary_join_element_wise(text, "+00", "")


def _lists(text: Array, arrow_type: DataType) -> Array:
    inner = pc.ascii_trim(text, characters="{}")
    is_empty = pc.equal(inner, "")
    items = pc.if_else(is_empty, 0, pc.add(pc.count_substring(inner, ","), 1)).fill_null(0)
    offsets = np.zeros(len(text) + 1, dtype=np.int32)
    np.cumsum(items.to_numpy(zero_copy_only=False), out=offsets[1:])
    filled = inner.filter(pc.invert(is_empty))  # drops nulls, too
    flat = (
        pc.split_pattern(pa.array([_joined(filled, ",")]), ",").flatten() if len(filled) else pa.array([], pa.string())
    )
    flat = pc.if_else(pc.equal(flat, "NULL"), pa.scalar(None, pa.string()), flat)
    return pa.ListArray.from_arrays(
        pa.array(offsets), flat.cast(arrow_type.value_type), type=arrow_type, mask=text.is_null()
    )


def _list_text(values: Array) -> Array:
    lengths = pc.list_value_length(values).fill_null(0).to_numpy(zero_copy_only=False)
    offsets = np.zeros(len(values) + 1, dtype=np.int32)
    np.cumsum(lengths, out=offsets[1:])
    items = values.flatten().cast(pa.string()).fill_null("NULL")
    inner = pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets), items), ",")
    text = pc.binary_join_element_wise("{", inner, "}", "")
    return pc.if_else(values.is_null(), pa.scalar(None, pa.string()), text)


def _uuids(text: Array) -> Array:
    digits = _joined(text.fill_null("0" * 32), "").replace("-", "")
    return pa.ExtensionArray.from_storage(pa.uuid(), _fixed_binary(bytes.fromhex(digits), 16, text))


def _uuid_text(values: Array) -> Array:
    raw = b"".join(values.fill_null(b"\0" * 16).to_pylist())
    letters = np.empty((len(values), 36), dtype=np.uint8)
    letters[:, _UUID_DASHES] = ord("-")
    letters[:, _UUID_DIGITS] = np.frombuffer(raw.hex().encode(), dtype=np.uint8).reshape(-1, 32)
    return _strings(letters, values)


def _bytes(text: Array) -> Array:
    return pa.array([None if item is None else bytes.fromhex(item[2:]) for item in text.to_pylist()], pa.binary())


def _bytes_text(values: Array) -> Array:
    return pa.array([None if item is None else "\\x" + item.hex() for item in values.to_pylist()], pa.string())


def _fixed_binary(raw: bytes, width: int, like: Array) -> Array:
    array = pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(like), [None, pa.py_buffer(raw)])
    return pc.if_else(like.is_null(), pa.scalar(None, pa.binary(width)), array) if like.null_count else array


def _strings(letters: Any, like: Array) -> Array:
    count, width = letters.shape
    offsets = pa.py_buffer(np.arange(0, count * width + 1, width, dtype=np.int32).tobytes())
    array = pa.StringArray.from_buffers(count, offsets, pa.py_buffer(letters.tobytes()))
    return pc.if_else(like.is_null(), pa.scalar(None, pa.string()), array) if like.null_count else array


def _joined(text: Array, separator: str) -> str:
    """Return all strings as one. None of them may be null."""
    whole = pa.ListArray.from_arrays(pa.array([0, len(text)], pa.int32()), text)
    joined: str = pc.binary_join(whole, separator)[0].as_py()
    return joined
