"""A report's numbers for programs: one line per value, the same values as on the page, exact, as CSV and as Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import date
from decimal import Decimal

import pyarrow as pa
from pyarrow import parquet

from lyceum.reporting.people.contents import Contents, Figure, Table, Unit, Value

COLUMNS = (
    "kind",
    "owner_user_id",
    "organization_id",
    "period_type",
    "period_start",
    "period_end",
    "data_version",
    "section",
    "part",
    "row_number",
    "row",
    "figure",
    "unit",
    "number",
    "text",
)
"""`number` is the exact value of a number, `text` a date in ISO 8601 or words; both are empty where nothing was told."""

_SCHEMA = pa.schema(
    [
        ("kind", pa.string()),
        ("owner_user_id", pa.int64()),
        ("organization_id", pa.int64()),
        ("period_type", pa.string()),
        ("period_start", pa.date32()),
        ("period_end", pa.date32()),
        ("data_version", pa.int64()),
        ("section", pa.string()),
        ("part", pa.string()),
        ("row_number", pa.int64()),
        ("row", pa.string()),
        ("figure", pa.string()),
        ("unit", pa.string()),
        ("number", pa.decimal128(38, 9)),
        ("text", pa.string()),
    ]
)

_SPREADSHEET_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def render_csv(contents: Contents) -> bytes:
    """Return UTF-8 CSV (RFC 4180) with a header. Text that a spreadsheet would take for a formula begins with an apostrophe."""
    sink = io.StringIO()
    writer = csv.writer(sink)
    writer.writerow(COLUMNS)
    for line in _lines(contents):
        writer.writerow([_safe(value) if isinstance(value, str) else _text(value) for value in line])
    return sink.getvalue().encode()


def render_parquet(contents: Contents) -> bytes:
    """Return a Parquet file (zstd) of the same lines."""
    columns = list(zip(*_lines(contents), strict=True)) or [()] * len(COLUMNS)
    arrays = [
        pa.array(_decimals(values) if field.name == "number" else values, field.type)
        for field, values in zip(_SCHEMA, columns, strict=True)
    ]
    sink = pa.BufferOutputStream()
    parquet.write_table(pa.Table.from_arrays(arrays, schema=_SCHEMA), sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())


def _decimals(values: tuple[object, ...]) -> list[Decimal | None]:
    return [None if value is None else Decimal(str(value)) for value in values]


def _lines(contents: Contents) -> Iterator[tuple[object, ...]]:
    whole = (
        contents.kind,
        contents.owner_user_id,
        contents.source.organization_id,
        contents.period.type,
        contents.period.start,
        contents.period.end,
        contents.source.data_version,
    )
    for section in contents.sections:
        for figure in section.figures:
            for one in _with_beside(figure):
                yield (*whole, section.key, "figures", None, None, one.key, one.unit, *_split(one.value, one.unit))
        for table in (*(graph.table for graph in section.graphs), *section.tables):
            for line in _table(table):
                yield (*whole, section.key, table.key, *line)


def _with_beside(figure: Figure) -> Iterator[Figure]:
    yield figure
    if figure.beside is not None:
        yield figure.beside


def _table(table: Table) -> Iterator[tuple[object, ...]]:
    for number, row in enumerate(table.rows, 1):
        name = _name(row[0])
        for heading, value in zip(table.headings[1:], row[1:], strict=True):
            yield (number, name, heading.key, heading.unit, *_split(value, heading.unit))


def _name(value: Value) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)


def _split(value: Value, unit: Unit) -> tuple[int | Decimal | None, str | None]:
    if value is None or isinstance(value, (int, Decimal)):
        return value, None
    return None, _name(value)


def _text(value: object) -> str:
    return "" if value is None else f"{value:f}" if isinstance(value, Decimal) else str(value)


def _safe(text: str) -> str:
    return f"'{text}" if text.startswith(_SPREADSHEET_FORMULA) else text
