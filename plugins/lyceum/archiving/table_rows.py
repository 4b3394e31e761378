"""The database's side of an archive: the rows as COPY's text in key order, and what PostgreSQL itself says of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import TypeAlias

from psycopg import sql
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus

from lyceum.archiving.columns import Column
from lyceum.archiving.errors import ArchiveError
from lyceum.archiving.manifest import SegmentColumn, SegmentSummary
from lyceum.archiving.scope import ArchiveScope, TableRows
from lyceum.database import Connection
from lyceum.partitions.planner import PARTITION_SCHEMA

# A segment is what is held in memory at a time; a week of most organizations is a single one.
_SEGMENT_BYTES = 12 << 20
_SEGMENT_ROWS = 100_000

Key: TypeAlias = tuple[str | None, ...]
"""The values of `Shape.order_by` in one row, as text."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The columns of an archive, and those of them that order its rows. No two rows of a scope have the same values of those.

    Those that may be null come last in `order_by`; nulls sort behind all values, and are equal.
    """

    columns: tuple[Column, ...]
    order_by: tuple[str, ...]
    nullable: frozenset[str] = field(default=frozenset())


def read_shape(connection: Connection, scope: ArchiveScope) -> Shape:
    """Return the columns of the table, or of the partition, in their order, and its key: the primary one, else a unique one.

    Raises `ArchiveError` when an archive cannot hold a column's type, and when no key says which row comes first.
    """
    rows = connection.execute(
        """
        select columns.attname, format_type(columns.atttypid, columns.atttypmod), columns.attnotnull, key.position
        from pg_attribute as columns
        left join lateral (
            select positions.attnum, positions.position
            from pg_index as indexes
            cross join unnest(indexes.indkey::int2[]) with ordinality as positions (attnum, position)
            where
                indexes.indexrelid = (
                    select candidates.indexrelid
                    from pg_index as candidates
                    where
                        candidates.indrelid = columns.attrelid
                        and candidates.indisunique
                        and candidates.indpred is null
                        and candidates.indexprs is null
                        and (
                            candidates.indnullsnotdistinct
                            or not exists (
                                select
                                from unnest(candidates.indkey::int2[]) as parts (attnum)
                                inner join pg_attribute as part_columns
                                    on parts.attnum = part_columns.attnum and part_columns.attrelid = candidates.indrelid
                                where not part_columns.attnotnull
                            )
                        )
                    order by candidates.indisprimary desc, candidates.indexrelid
                    limit 1
                )
                and positions.position <= indexes.indnkeyatts
        ) as key on columns.attnum = key.attnum
        where
            columns.attrelid = to_regclass(%s)
            and columns.attnum > 0
            and not columns.attisdropped
            and columns.attgenerated = ''
        order by columns.attnum
        """,
        [f"{PARTITION_SCHEMA}.{scope.partition_name}" if scope.is_whole_partition else scope.table],
    ).fetchall()
    columns = tuple(Column(name, data_type) for name, data_type, _, _ in rows)
    strange = [column for column in columns if not column.is_supported]
    if strange:
        raise ArchiveError(
            f"{scope} cannot be archived: no archive can hold values of the type "
            f"{', '.join(f'{column.type} ({column.name})' for column in strange)} exactly. Expected types of numbers, text, time, "
            "documents, ranges and addresses. Change the column's type. Nothing was written."
        )
    # What may be null comes last: only then a comparison with a row's key can use an index up to there.
    key = sorted(
        (not is_not_null, position, name)
        for name, _, is_not_null, position in rows
        if position is not None and (scope.is_whole_partition or name != "organization_id")
    )
    if not key:
        raise ArchiveError(
            f"{scope} cannot be archived: {scope.table} has no primary key, and no unique one that covers nulls. "
            "Expected one, because it orders the rows. Nothing was written."
        )
    return Shape(
        columns,
        tuple(name for _, _, name in key),
        frozenset(name for is_nullable, _, name in key if is_nullable),
    )


def pin_text_forms(connection: Connection) -> None:
    """Make PostgreSQL write and read values as the archives have them, and hide no row, for the rest of the transaction."""
    connection.execute(
        "set local row_security = off; set local datestyle = 'ISO, YMD'; set local timezone = 'UTC'; set local bytea_output = 'hex';"
        "set local intervalstyle = 'postgres'; set local extra_float_digits = 1"
    )


def has_rows(connection: Connection, rows: TableRows) -> bool:
    """Whether there is any row."""
    row = connection.execute(
        sql.SQL("select exists (select from {} where {})").format(rows.relation, rows.condition)
    ).fetchone()
    return row == (True,)


def copied_segments(connection: Connection, rows: TableRows, shape: Shape) -> Iterator[bytes]:
    """Yield the rows as CSV, in key order, cut at row ends."""
    statement = sql.SQL("copy (select {} from {} where {} order by {}) to stdout (format csv)").format(
        _names(shape), rows.relation, rows.condition, _identifiers(shape.order_by)
    )
    # The server sends every row as a message of its own, and asking libpq directly for each costs a third of cursor.copy().
    server = connection.pgconn
    result = server.exec_(statement.as_bytes(connection))
    if result.status != ExecStatus.COPY_OUT:
        raise error_from_result(result)
    lines: list[bytes | memoryview] = []
    length = 0
    while True:
        count, line = server.get_copy_data(0)
        if count <= 0:
            break
        lines.append(line)
        length += count
        if length >= _SEGMENT_BYTES or len(lines) >= _SEGMENT_ROWS:
            text = b"".join(lines)
            # While the segment is worked on nothing else needs its lines.
            lines, length = [], 0
            yield text
    while end := server.get_result():
        if end.status != ExecStatus.COMMAND_OK:
            raise error_from_result(end)
    if lines:
        yield b"".join(lines)


def summarize_segments(
    connection: Connection, rows: TableRows, shape: Shape, ends: Sequence[Key]
) -> list[SegmentSummary]:
    """Let the database sum up the rows, cut behind the keys `ends`; the last of them stands for the end of the rows."""
    borders: list[Key | None] = [None, *ends[:-1], None]
    return [_summarize(connection, rows, shape, after, upto) for after, upto in pairwise(borders)]


def key_at(connection: Connection, scope: ArchiveScope, rows: TableRows, order_by: Sequence[str], number: int) -> Key:
    """Return the key of the row of this number, counted from 1. Raises `ArchiveError` where there are fewer."""
    # The text is made outside: inside, "order by" would take the name for that of the text.
    query = sql.SQL("select {} from (select {} from {} where {} order by {} offset {} limit 1) as rows").format(
        sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name in order_by),
        _identifiers(order_by),
        rows.relation,
        rows.condition,
        _identifiers(order_by),
        sql.Literal(number - 1),
    )
    row = connection.execute(query).fetchone()
    if row is None:
        raise ArchiveError(
            f"The table holds fewer than {number} rows of {scope}. Expected as many as its archive. "
            "Bring the rows back from a backup of the database."
        )
    return tuple(row)


def _summarize(
    connection: Connection, rows: TableRows, shape: Shape, after: Key | None, upto: Key | None
) -> SegmentSummary:
    conditions: list[sql.Composable] = []
    if after is not None:
        conditions.append(_beyond(shape, after))
    if upto is not None:
        conditions.append(_up_to(shape, upto))
    if after is not None and upto is not None:
        conditions += _leading(shape, after, upto)
    bounds = [sql.SQL(" and {}").format(condition) for condition in conditions]
    query = sql.SQL("select {} from (select {} from {} where {}{} order by {}) as rows").format(
        _summary(shape.columns),
        _names(shape),
        rows.relation,
        rows.condition,
        sql.Composed(bounds),
        _identifiers(shape.order_by),
    )
    row = connection.execute(query).fetchone()
    assert row is not None
    count, *values = row
    remaining = iter(values)
    summaries = []
    for column in shape.columns:
        present, digest = next(remaining), next(remaining)
        extremes = None
        if column.is_ordered:
            low, high = next(remaining), next(remaining)
            extremes = None if low is None else (low, high)
        summaries.append(SegmentColumn(nulls=count - present, digest=digest or b"", extremes=extremes))
    return SegmentSummary(count, tuple(summaries))


@lru_cache(maxsize=16)
def _summary(columns: tuple[Column, ...]) -> sql.Composable:
    """Return what sums up the rows of a table; putting it together anew for every week would take longer than reading a small one."""
    expressions: list[sql.Composable] = [sql.SQL("count(*)")]
    for column in columns:
        name = sql.Identifier(column.name)
        expressions.append(sql.SQL("count({})").format(name))
        expressions.append(
            sql.SQL("sha256(convert_to(string_agg(coalesce({}, '\\N'), E'\\n'), 'UTF8'))").format(
                column.text_expression(name)
            )
        )
        if column.is_ordered:
            form = "trim_scale({}({}))::text" if column.plain_type == "numeric" else "{}({})::text"
            expressions += [sql.SQL(form).format(sql.SQL(end), name) for end in ("min", "max")]
    return sql.SQL(sql.SQL(", ").join(expressions).as_string())


def _beyond(shape: Shape, key: Key) -> sql.Composable:
    """Return the condition that a row comes behind the key."""
    firm = [name for name in shape.order_by if name not in shape.nullable]
    prefix, values = _identifiers(firm), _literals(key[: len(firm)])
    if len(firm) == len(shape.order_by):
        return sql.SQL("({}) > ({})").format(prefix, values)
    # The first comparison is what an index can use.
    return sql.SQL("(({}) >= ({}) and (({}) > ({}) or {}))").format(
        prefix, values, prefix, values, _tail_beyond(shape.order_by[len(firm) :], key[len(firm) :])
    )


def _up_to(shape: Shape, key: Key) -> sql.Composable:
    """Return the condition that a row comes before the key or has it."""
    firm = [name for name in shape.order_by if name not in shape.nullable]
    prefix, values = _identifiers(firm), _literals(key[: len(firm)])
    if len(firm) == len(shape.order_by):
        return sql.SQL("({}) <= ({})").format(prefix, values)
    return sql.SQL("(({}) <= ({}) and (({}) < ({}) or not {}))").format(
        prefix, values, prefix, values, _tail_beyond(shape.order_by[len(firm) :], key[len(firm) :])
    )


def _leading(shape: Shape, after: Key, upto: Key) -> Iterator[sql.Composable]:
    """Yield what the bounds imply for single columns.

    Of a comparison of rows the planner estimates the first column alone, and would read a whole organization for each segment.
    """
    for name, low, high in zip(shape.order_by, after, upto, strict=True):
        if name in shape.nullable:
            return
        column = sql.Identifier(name)
        if low != high:
            yield sql.SQL("{} >= {} and {} <= {}").format(column, sql.Literal(low), column, sql.Literal(high))
            return
        yield sql.SQL("{} = {}").format(column, sql.Literal(low))


def _tail_beyond(names: Sequence[str], values: Key) -> sql.Composable:
    """Return the condition that the columns, which may be null, come behind the values. It is never null itself."""
    if not names:
        return sql.SQL("false")
    name, rest = sql.Identifier(names[0]), _tail_beyond(names[1:], values[1:])
    if values[0] is None:
        return sql.SQL("({} is null and {})").format(name, rest)
    value = sql.Literal(values[0])
    return sql.SQL("({} is null or {} > {} or ({} = {} and {}))").format(name, name, value, name, value, rest)


def _names(shape: Shape) -> sql.Composable:
    return sql.SQL(", ").join(sql.Identifier(column.name) for column in shape.columns)


def _identifiers(names: Sequence[str]) -> sql.Composable:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _literals(values: Sequence[str | None]) -> sql.Composable:
    return sql.SQL(", ").join(map(sql.Literal, values))
