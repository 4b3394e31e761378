"""One table's week of one organization: out of the database into Parquet, and back.

Rows travel as COPY's text in primary key order, are stored with types (`columns.py`), and are summed up twice, by PostgreSQL
from the table and by Arrow from the file as it lies on disk. Both must say the same of every column.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, BinaryIO

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
from psycopg import sql
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus

from lyceum import faults
from lyceum.database import Connection
from lyceum.partitions import period_of
from lyceum.sealing.columns import Column, extremes_of
from lyceum.sealing.errors import ArchiveError
from lyceum.sealing.files import ArchiveFiles, measure
from lyceum.sealing.manifest import ColumnSummary, Manifest, SegmentColumn, combined_checksum

ARCHIVED_TABLES = (
    "stage_two.learner_day_states",
    "stage_two.learner_video_day_states",
    "stage_two.trainer_day_states",
    "stage_one.event_keys",
)

# A segment is what is held in memory at a time; a week of most organizations is a single one.
_SEGMENT_BYTES = 24 << 20
_SEGMENT_ROWS = 200_000
_WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class TableWeek:
    """What one archive is about."""

    table: str
    organization_id: int
    week_start: date

    @property
    def prefix(self) -> str:
        """The beginning of the names of all files of this table, organization and week."""
        return f"{self.table.partition('.')[2]}/{self.organization_id}/{period_of('week', self.week_start).name}"

    def __str__(self) -> str:
        return f"{self.table}, organization {self.organization_id}, week {period_of('week', self.week_start).name}"


@dataclass(frozen=True, slots=True)
class Shape:
    """The columns of a table and those of them, without the organization, that order its rows within an organization."""

    columns: tuple[Column, ...]
    order_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StoredArchive:
    """A row of `ops.archives`."""

    week: TableWeek
    uri: str
    rows: int
    byte_length: int
    sha256: str
    manifest: bytes


def write_archive(connection: Connection, files: ArchiveFiles, week: TableWeek) -> tuple[str, Manifest]:
    """Write the week's archive, read it back, compare it with the table, and publish it under a name of its content.

    The transaction of `connection` must see one snapshot (repeatable read) and have called `pin_text_forms`. Memory is
    bounded by a segment. Returns the archive's name and manifest. Raises `ArchiveError` when the file does not hold what
    the database says; then nothing was published.
    """
    shape = read_shape(connection, week.table)
    with files.stage(week.prefix) as sink:
        borders = _write_parquet(connection, sink, week, shape)
    faults.reach("seal.archive_staged")
    # The database sums up its rows while a thread reads the file back.
    with ThreadPoolExecutor(1) as pool:
        read_back = pool.submit(_read_back, files, week, shape)
        stated = [
            _summarize_table(connection, week, shape, after, upto)
            for after, upto in zip([None, *borders[:-1]], [*borders[:-1], None], strict=True)
        ]
        byte_length, sha256, found = read_back.result()
    manifest = _manifest(week, shape, found, byte_length, sha256)
    _require_same(week, manifest, _manifest(week, shape, stated, byte_length, sha256))
    faults.reach("seal.archive_verified")

    name = f"{week.prefix}-{sha256[:16]}"
    with files.stage(f"{name}.manifest.json") as sink:
        sink.write(manifest.to_json())
    files.publish(week.prefix, f"{name}.parquet")
    files.publish(f"{name}.manifest.json", f"{name}.manifest.json")
    faults.reach("seal.archive_published")
    return f"{name}.parquet", manifest


def open_archive(files: ArchiveFiles, archive: StoredArchive) -> Manifest:
    """Return the manifest after the file, the manifest beside it and the database's row have all said the same.

    Reads the whole file once. Raises `ArchiveError` naming the first that is missing or differs.
    """
    manifest_name = archive.uri.removesuffix(".parquet") + ".manifest.json"
    try:
        with files.open(manifest_name) as source:
            beside = Manifest.from_json(source.read())
        stored = Manifest.from_json(archive.manifest)
        with files.open(archive.uri) as source:
            byte_length, sha256 = measure(source)
    except FileNotFoundError as error:
        raise ArchiveError(_lost(files, archive, f"{error.filename} is missing")) from None
    except OSError as error:
        raise ArchiveError(_lost(files, archive, f"it cannot be read ({error.strerror})")) from None
    except msgspec.DecodeError:
        raise ArchiveError(_lost(files, archive, f"{files.root / manifest_name} is no manifest")) from None
    if beside != stored:
        raise ArchiveError(
            _lost(files, archive, f"{files.root / manifest_name} is not the manifest that ops.archives has")
        )
    expected = (stored.byte_length, stored.sha256)
    if (
        (byte_length, sha256) != expected
        or (archive.byte_length, archive.sha256) != expected
        or archive.rows != stored.rows
    ):
        raise ArchiveError(
            _lost(
                files,
                archive,
                f"the file has {byte_length} bytes with SHA-256 {sha256}, "
                f"expected {stored.byte_length} bytes with SHA-256 {stored.sha256}",
            )
        )
    return stored


def load_archive(connection: Connection, files: ArchiveFiles, archive: StoredArchive, manifest: Manifest) -> None:
    """Copy the archive's rows into the table and compare what the table then holds with the manifest.

    Partitions must exist, and the table must hold no row of this organization and week. Call `open_archive` and
    `pin_text_forms` before. Raises `ArchiveError`; the caller's transaction must then be rolled back.
    """
    columns = tuple(Column(summary.name, summary.type) for summary in manifest.columns)
    names = sql.SQL(", ").join(sql.Identifier(column.name) for column in columns)
    statement = sql.SQL("copy {} ({}) from stdin (format csv)").format(_table(archive.week.table), names)
    with files.open(archive.uri) as source, connection.cursor() as cursor, cursor.copy(statement) as copy:
        for batch in _read_parquet(source, archive.week, columns):
            sink = io.BytesIO()
            text = pa.table(
                {column.name: column.to_text(values) for column, values in zip(columns, batch, strict=True)}
            )
            arrow_csv.write_csv(text, sink, arrow_csv.WriteOptions(include_header=False, quoting_style="needed"))
            copy.write(sink.getbuffer())
    _require_same(archive.week, summarize_week(connection, manifest), manifest)


def summarize_week(connection: Connection, like: Manifest) -> Manifest:
    """Return what the database says of the week's rows now, cut into segments as in `like`, in the form of a manifest."""
    week = TableWeek(like.table, like.organization_id, like.week_start)
    columns = tuple(Column(summary.name, summary.type) for summary in like.columns)
    shape = Shape(columns, like.order_by)
    borders: list[tuple[str, ...] | None] = [None]
    rows = 0
    for segment in like.segments[:-1]:
        rows += segment
        borders.append(_key_at(connection, week, shape, rows))
    parts = [
        _summarize_table(connection, week, shape, after, upto)
        for after, upto in zip(borders, [*borders[1:], None], strict=True)
    ]
    return _manifest(week, shape, parts, like.byte_length, like.sha256)


def count_week(connection: Connection, week: TableWeek) -> int:
    """Return how many rows the table holds of the organization and week."""
    row = connection.execute(
        sql.SQL("select count(*) from {} where {}").format(_table(week.table), _of_week(week))
    ).fetchone()
    assert row is not None
    return int(row[0])


def read_shape(connection: Connection, table: str) -> Shape:
    """Return the columns of the table in their order, and the rest of its primary key after the organization."""
    rows = connection.execute(
        """
        select columns.attname, format_type(columns.atttypid, columns.atttypmod), key.position
        from pg_attribute as columns
        left join (
            select indexes.indrelid, positions.attnum, positions.position
            from pg_index as indexes
            cross join unnest(indexes.indkey::int2[]) with ordinality as positions (attnum, position)
            where indexes.indisprimary
        ) as key on key.indrelid = columns.attrelid and key.attnum = columns.attnum
        where columns.attrelid = to_regclass(%s) and columns.attnum > 0 and not columns.attisdropped
        order by columns.attnum
        """,
        [table],
    ).fetchall()
    key = sorted((position, name) for name, _, position in rows if position is not None)
    return Shape(
        tuple(Column(name, data_type) for name, data_type, _ in rows),
        tuple(name for _, name in key if name != "organization_id"),
    )


def pin_text_forms(connection: Connection) -> None:
    """Make PostgreSQL write and read values as the archives have them, for the rest of the transaction."""
    connection.execute(
        "set local datestyle = 'ISO, YMD'; set local timezone = 'UTC'; set local bytea_output = 'hex';"
        "set local intervalstyle = 'postgres'; set local extra_float_digits = 1"
    )


def _write_parquet(
    connection: Connection, sink: BinaryIO, week: TableWeek, shape: Shape
) -> list[tuple[str, ...] | None]:
    """Write the rows, one row group a segment; return the last primary key of each segment, at least one entry."""
    schema = pa.schema([pa.field(column.name, column.arrow_type) for column in shape.columns])
    borders: list[tuple[str, ...] | None] = []
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        for text in _copied_segments(connection, week, shape):
            batch = _typed(text, week, shape.columns)
            writer.write_table(pa.Table.from_arrays(batch, schema=schema), row_group_size=len(batch[0]))
            last = {
                column.name: column.to_text(values[-1:])[0].as_py()
                for column, values in zip(shape.columns, batch, strict=True)
                if column.name in shape.order_by
            }
            borders.append(tuple(last[name] for name in shape.order_by))
    return borders or [None]


def _copied_segments(connection: Connection, week: TableWeek, shape: Shape) -> Iterator[bytes]:
    """Yield the week's rows as CSV, in primary key order, cut at row ends."""
    statement = sql.SQL("copy (select {} from {} where {} order by {}) to stdout (format csv)").format(
        _names(shape), _table(week.table), _of_week(week), _key(shape)
    )
    # The server sends every row as a message of its own, and asking libpq directly for each costs a third of cursor.copy().
    server = connection.pgconn
    result = server.exec_(statement.as_bytes(connection))
    if result.status != ExecStatus.COPY_OUT:
        raise error_from_result(result)
    rows: list[bytes | memoryview] = []
    length = 0
    while True:
        count, row = server.get_copy_data(0)
        if count <= 0:
            break
        rows.append(row)
        length += count
        if length >= _SEGMENT_BYTES or len(rows) >= _SEGMENT_ROWS:
            yield b"".join(rows)
            rows, length = [], 0
    while end := server.get_result():
        if end.status != ExecStatus.COMMAND_OK:
            raise error_from_result(end)
    if rows:
        yield b"".join(rows)


def _typed(text: bytes, week: TableWeek, columns: Sequence[Column]) -> list[Any]:
    """Return one array a column."""
    try:
        table = arrow_csv.read_csv(
            pa.py_buffer(text),
            read_options=arrow_csv.ReadOptions(
                column_names=[column.name for column in columns], block_size=len(text), use_threads=False
            ),
            parse_options=arrow_csv.ParseOptions(
                newlines_in_values=any(column.may_hold_newlines for column in columns)
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types={column.name: column.csv_type for column in columns},
                null_values=[""],
                true_values=["t"],
                false_values=["f"],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
        return [column.from_csv(table[column.name].combine_chunks()) for column in columns]
    except ValueError as error:
        # Arrow's message quotes the value, so only its kind is passed on.
        raise ArchiveError(
            f"The rows of {week} hold a value that an archive cannot hold ({type(error).__name__}); expected finite dates and "
            "instants after year 0 and one-dimensional arrays. Correct the value in the table, and seal again."
        ) from None


def _read_parquet(source: BinaryIO, week: TableWeek, columns: Sequence[Column]) -> Iterator[list[Any]]:
    """Yield one array a column for each segment of the file."""
    try:
        parquet = pq.ParquetFile(source)
        expected = [(column.name, column.arrow_type) for column in columns]
        if [(field.name, field.type) for field in parquet.schema_arrow] != expected:
            raise ArchiveError(
                f"The archive of {week} has other columns than its manifest. Bring back the file from a backup."
            )
        for number in range(parquet.num_row_groups):
            table = parquet.read_row_group(number, use_threads=False)
            yield [table.column(position).combine_chunks() for position in range(len(columns))]
    except (pa.ArrowException, OSError) as error:
        raise ArchiveError(
            f"The archive of {week} cannot be read as Parquet ({type(error).__name__}). Bring back the file from a backup."
        ) from None


def _read_back(files: ArchiveFiles, week: TableWeek, shape: Shape) -> tuple[int, str, list[_Segment]]:
    """Return length, SHA-256 and segments of the staged file."""
    with files.open_staged(week.prefix) as source:
        byte_length, sha256 = measure(source)
        source.seek(0)
        return byte_length, sha256, _summarize_file(source, week, shape.columns)


def _summarize_file(source: BinaryIO, week: TableWeek, columns: Sequence[Column]) -> list[_Segment]:
    """Sum up each segment of an archive."""
    segments = []
    for batch in _read_parquet(source, week, columns):
        summaries = []
        for column, values in zip(columns, batch, strict=True):
            whole = pa.ListArray.from_arrays(
                pa.array([0, len(values)], pa.int32()), column.to_text(values).fill_null("\\N")
            )
            joined = pc.binary_join(whole, "\n")[0].as_buffer()
            summaries.append(
                SegmentColumn(
                    nulls=values.null_count,
                    digest=hashlib.sha256(joined).digest(),
                    extremes=column.extremes(values) if column.is_ordered else None,
                )
            )
        segments.append(_Segment(len(batch[0]), tuple(summaries)))
    return segments


def _summarize_table(
    connection: Connection, week: TableWeek, shape: Shape, after: tuple[str, ...] | None, upto: tuple[str, ...] | None
) -> _Segment:
    """Let the database sum up its rows of the week behind the key `after` up to the key `upto`."""
    bounds = [
        sql.SQL(" and ({}) {} ({})").format(
            _key(shape), sql.SQL(sign), sql.SQL(", ").join(sql.Literal(text) for text in key)
        )
        for sign, key in ((">", after), ("<=", upto))
        if key is not None
    ]
    query = sql.SQL("select {} from (select {} from {} where {}{} order by {}) as rows").format(
        _summary(shape),
        _names(shape),
        _table(week.table),
        _of_week(week),
        sql.Composed(bounds),
        _key(shape),
    )
    row = connection.execute(query).fetchone()
    assert row is not None
    rows, *values = row
    remaining = iter(values)
    summaries = []
    for column in shape.columns:
        present, digest = next(remaining), next(remaining)
        extremes = None
        if column.is_ordered:
            low, high = next(remaining), next(remaining)
            extremes = None if low is None else (low, high)
        summaries.append(SegmentColumn(nulls=rows - present, digest=digest or b"", extremes=extremes))
    return _Segment(rows, tuple(summaries))


@lru_cache(maxsize=16)
def _summary(shape: Shape) -> sql.Composable:
    """Return what sums up the rows of a table; putting it together anew for every week would take longer than reading a small one."""
    expressions: list[sql.Composable] = [sql.SQL("count(*)")]
    for column in shape.columns:
        name = sql.Identifier(column.name)
        expressions.append(sql.SQL("count({})").format(name))
        expressions.append(
            sql.SQL("sha256(convert_to(string_agg(coalesce({}::text, '\\N'), E'\\n'), 'UTF8'))").format(name)
        )
        if column.is_ordered:
            form = "trim_scale({}({}))::text" if column.type == "numeric" else "{}({})::text"
            expressions += [sql.SQL(form).format(sql.SQL(end), name) for end in ("min", "max")]
    return sql.SQL(sql.SQL(", ").join(expressions).as_string())


def _key_at(connection: Connection, week: TableWeek, shape: Shape, number: int) -> tuple[str, ...]:
    """Return the primary key, as text, of the week's row of this number, counted from 1; empty text where there is none."""
    # The text is made outside: inside, "order by" would take the name for that of the text.
    query = sql.SQL("select {} from (select {} from {} where {} order by {} offset {} limit 1) as rows").format(
        sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name in shape.order_by),
        _key(shape),
        _table(week.table),
        _of_week(week),
        _key(shape),
        sql.Literal(number - 1),
    )
    row = connection.execute(query).fetchone()
    if row is None:
        raise ArchiveError(
            f"The table holds fewer than {number} rows of {week}. Expected as many as its archive. "
            "Bring the week's rows back from a backup of the database."
        )
    return tuple(row)


class _Segment(msgspec.Struct, frozen=True):
    rows: int
    columns: tuple[SegmentColumn, ...]


def _manifest(week: TableWeek, shape: Shape, segments: Sequence[_Segment], byte_length: int, sha256: str) -> Manifest:
    """Put the segments together. A table without rows counts as having no segment, whichever side summed it up."""
    filled = [segment for segment in segments if segment.rows]
    summaries = []
    for position, column in enumerate(shape.columns):
        parts = [segment.columns[position] for segment in filled]
        extremes = extremes_of(column, [part.extremes for part in parts if part.extremes is not None])
        summaries.append(
            ColumnSummary(
                name=column.name,
                type=column.type,
                nulls=sum(part.nulls for part in parts),
                checksum=combined_checksum([part.digest for part in parts]),
                minimum=extremes[0] if extremes else None,
                maximum=extremes[1] if extremes else None,
            )
        )
    return Manifest(
        table=week.table,
        organization_id=week.organization_id,
        week_start=week.week_start,
        rows=sum(segment.rows for segment in filled),
        byte_length=byte_length,
        sha256=sha256,
        order_by=shape.order_by,
        segments=tuple(segment.rows for segment in filled),
        columns=tuple(summaries),
    )


def _require_same(week: TableWeek, found: Manifest, expected: Manifest) -> None:
    if found == expected:
        return
    differing = [one.name for one, other in zip(found.columns, expected.columns, strict=True) if one != other]
    raise ArchiveError(
        f"{week}: found {found.rows} rows, expected {expected.rows}"
        + (f"; the values of {', '.join(differing)} differ" if differing else "")
        + ". Nothing was sealed, restored or dropped. Check the disk and the server's log, and try again."
    )


def _lost(files: ArchiveFiles, archive: StoredArchive, found: str) -> str:
    return (
        f"The archive of {archive.week} ({files.root / archive.uri}) is lost or damaged: {found}. "
        "Bring back the file and its manifest from a backup, and try again. Nothing was changed."
    )


def _of_week(week: TableWeek) -> sql.Composable:
    return sql.SQL("organization_id = {} and activity_date >= {} and activity_date < {}").format(
        sql.Literal(week.organization_id), sql.Literal(week.week_start), sql.Literal(week.week_start + _WEEK)
    )


def _names(shape: Shape) -> sql.Composable:
    return sql.SQL(", ").join(sql.Identifier(column.name) for column in shape.columns)


def _key(shape: Shape) -> sql.Composable:
    return sql.SQL(", ").join(sql.Identifier(name) for name in shape.order_by)


def _table(name: str) -> sql.Identifier:
    return sql.Identifier(*name.split("."))
