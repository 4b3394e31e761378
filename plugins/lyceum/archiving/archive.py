"""The rows of one scope: out of the database into Parquet, and back.

Rows travel as COPY's text in key order, are stored with types (`columns.py`), and are summed up twice, by PostgreSQL from
the table and by Arrow from the file as it was stored. Both must say the same of every column.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import msgspec
from psycopg import sql

from lyceum import faults
from lyceum.archiving.columns import Column, extremes_of
from lyceum.archiving.errors import ArchiveError
from lyceum.archiving.files import ArchiveFiles, measure
from lyceum.archiving.manifest import FORMAT, ColumnSummary, Manifest, SegmentSummary, combined_checksum
from lyceum.archiving.parquet_file import csv_of, read_parquet, summarize_parquet, write_parquet
from lyceum.archiving.scope import ArchiveScope, TableRows, find_rows
from lyceum.archiving.table_rows import Key, Shape, copied_segments, key_at, read_shape, summarize_segments
from lyceum.database import Connection


@dataclass(frozen=True, slots=True)
class StoredArchive:
    """What the database has on record of one archive. `uri` is relative to the place of the archives."""

    scope: ArchiveScope
    uri: str
    rows: int
    byte_length: int
    sha256: str
    manifest: bytes

    @property
    def names(self) -> tuple[str, str]:
        """The names of the file and of the manifest beside it."""
        return self.uri, manifest_name(self.uri)


def manifest_name(uri: str) -> str:
    """Return the name of the manifest beside an archive's file."""
    return uri.removesuffix(".parquet") + ".manifest.json"


def write_archive(connection: Connection, files: ArchiveFiles, scope: ArchiveScope) -> tuple[str, Manifest]:
    """Write the archive of a table's rows, read it back, compare it with the table, and publish it under a name of its content.

    The transaction of `connection` must see one snapshot (repeatable read) and have called `pin_text_forms`. Memory is
    bounded by a segment. Returns the archive's name and manifest. Raises `ArchiveError` when the file does not hold what
    the database says; then nothing was published.
    """
    return write_rows(connection, files, scope, find_rows(connection, scope), read_shape(connection, scope))


def write_rows(
    connection: Connection, files: ArchiveFiles, scope: ArchiveScope, rows: TableRows, shape: Shape
) -> tuple[str, Manifest]:
    """Write the archive of a scope from `rows`, which may be elsewhere than in its table. See `write_archive`."""
    with files.stage(scope.prefix) as sink:
        ends = write_parquet(copied_segments(connection, rows, shape), sink, scope, shape)
    faults.reach("archive.staged")
    # The database sums up its rows while a thread reads the file back.
    with ThreadPoolExecutor(1) as pool:
        read_back = pool.submit(_read_back, files, scope, shape)
        stated = summarize_segments(connection, rows, shape, ends)
        byte_length, sha256, found = read_back.result()
    manifest = _manifest(scope, shape, found, ends, byte_length, sha256)
    _require_same(scope, manifest, _manifest(scope, shape, stated, ends, byte_length, sha256))
    faults.reach("archive.verified")

    name = f"{scope.prefix}-{sha256[:16]}.parquet"
    beside = manifest_name(name)
    text = manifest.to_json()
    with files.stage(beside) as sink:
        sink.write(text)
    files.publish(scope.prefix, name, byte_length, sha256)
    files.publish(beside, beside, *measure(io.BytesIO(text)))
    faults.reach("archive.published")
    return name, manifest


def open_archive(files: ArchiveFiles, archive: StoredArchive) -> Manifest:
    """Return the manifest after the file, the manifest beside it and the database's row have all said the same.

    Reads the whole file once. Raises `ArchiveError` naming the first that is missing or differs.
    """
    beside_name = manifest_name(archive.uri)
    looked_at = beside_name
    try:
        with files.open(beside_name) as source:
            beside = Manifest.from_json(source.read())
        stored = Manifest.from_json(archive.manifest)
        looked_at = archive.uri
        with files.open(archive.uri) as source:
            byte_length, sha256 = measure(source)
    except FileNotFoundError:
        raise ArchiveError(_lost(files, archive, f"{files.address(looked_at)} is missing")) from None
    except OSError as error:
        raise ArchiveError(
            _lost(files, archive, f"{files.address(looked_at)} cannot be read ({type(error).__name__})")
        ) from None
    except msgspec.DecodeError:
        raise ArchiveError(_lost(files, archive, f"{files.address(beside_name)} is no manifest")) from None
    if beside != stored:
        raise ArchiveError(
            _lost(files, archive, f"{files.address(beside_name)} is not the manifest that the database has")
        )
    if stored.scope != archive.scope or stored.period_end != archive.scope.period.upper:
        raise ArchiveError(_lost(files, archive, f"its manifest is of {stored.scope}"))
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
    """Copy the archive's rows into the table, or into the partition, and compare what it then holds with the manifest.

    Partitions must exist, and hold no row of this scope. Call `open_archive` and `pin_text_forms` before. Raises
    `ArchiveError`; the caller's transaction must then be rolled back.
    """
    _require_columns(connection, archive.scope, _columns_of(manifest))
    copy_archive(connection, files, archive, manifest, find_rows(connection, archive.scope).relation)
    require_rows(connection, manifest)


def copy_archive(
    connection: Connection, files: ArchiveFiles, archive: StoredArchive, manifest: Manifest, relation: sql.Identifier
) -> None:
    """Copy the archive's rows into a relation that has its columns. Nothing is compared."""
    columns = _columns_of(manifest)
    names = sql.SQL(", ").join(sql.Identifier(column.name) for column in columns)
    statement = sql.SQL("copy {} ({}) from stdin (format csv)").format(relation, names)
    with files.open(archive.uri) as source, connection.cursor() as cursor, cursor.copy(statement) as copy:
        for batch in read_parquet(source, archive.scope, columns):
            copy.write(csv_of(columns, batch))


def summarize_rows(connection: Connection, like: Manifest) -> Manifest:
    """Return what the database says of the rows now, cut into segments as in `like`, in the form of a manifest."""
    shape = Shape(_columns_of(like), like.order_by, read_shape(connection, like.scope).nullable)
    return summarize_rows_at(connection, like, find_rows(connection, like.scope), shape)


def summarize_rows_at(connection: Connection, like: Manifest, rows: TableRows, shape: Shape) -> Manifest:
    """Return the same of `rows`, which may be elsewhere than in the table."""
    scope = like.scope
    ends: list[Key] = list(like.segment_ends)
    if not ends and like.segments:
        count = 0
        for segment in like.segments[:-1]:
            count += segment
            ends.append(key_at(connection, scope, rows, like.order_by, count))
        ends.append(())  # the last one is never looked at
    parts = summarize_segments(connection, rows, shape, ends)
    return _manifest(scope, shape, parts, like.segment_ends, like.byte_length, like.sha256, like.format)


def _columns_of(manifest: Manifest) -> tuple[Column, ...]:
    return tuple(Column(summary.name, summary.type) for summary in manifest.columns)


def require_rows(connection: Connection, manifest: Manifest) -> None:
    """Raise `ArchiveError` unless the database holds exactly the rows of the manifest."""
    _require_same(manifest.scope, summarize_rows(connection, manifest), manifest)


def _read_back(files: ArchiveFiles, scope: ArchiveScope, shape: Shape) -> tuple[int, str, list[SegmentSummary]]:
    """Return length, SHA-256 and segments of the staged file."""
    with files.open_staged(scope.prefix) as source:
        byte_length, sha256 = measure(source)
        source.seek(0)
        return byte_length, sha256, summarize_parquet(source, scope, shape.columns)


def _manifest(
    scope: ArchiveScope,
    shape: Shape,
    segments: Sequence[SegmentSummary],
    ends: Sequence[Key],
    byte_length: int,
    sha256: str,
    number: int = FORMAT,
) -> Manifest:
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
        format=number,
        table=scope.table,
        organization_id=scope.organization_id,
        granularity=scope.period.granularity,
        period_start=scope.period.lower,
        period_end=scope.period.upper,
        rows=sum(segment.rows for segment in filled),
        byte_length=byte_length,
        sha256=sha256,
        order_by=shape.order_by,
        segments=tuple(segment.rows for segment in filled),
        segment_ends=tuple(ends),
        columns=tuple(summaries),
    )


def _require_columns(connection: Connection, scope: ArchiveScope, columns: Sequence[Column]) -> None:
    present = {column.name for column in read_shape(connection, scope).columns}
    missing = [column.name for column in columns if column.name not in present]
    if missing:
        raise ArchiveError(
            f"The archive of {scope} has the columns {', '.join(missing)}, which the table has no longer. Expected every column "
            "of the archive: bring them back in a migration, restore, and take them away again. Nothing was changed."
        )


def _require_same(scope: ArchiveScope, found: Manifest, expected: Manifest) -> None:
    if found == expected:
        return
    differing = [one.name for one, other in zip(found.columns, expected.columns, strict=True) if one != other]
    raise ArchiveError(
        f"{scope}: found {found.rows} rows, expected {expected.rows}"
        + (f"; the values of {', '.join(differing)} differ" if differing else "")
        + ". Nothing was sealed, restored or dropped. Check the disk and the server's log, and try again."
    )


def _lost(files: ArchiveFiles, archive: StoredArchive, found: str) -> str:
    return (
        f"The archive of {archive.scope} ({files.address(archive.uri)}) is lost or damaged: {found}. "
        "Bring back the file and its manifest from a backup, and try again. Nothing was changed."
    )
