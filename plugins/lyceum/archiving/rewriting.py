"""Archives with other ids: the rows of a file with some values replaced, written and proven as every archive is.

The rows go through a temporary table, because other ids are another order: PostgreSQL sorts them as it sorts the table that
they came from, and what it says of them is compared with the new file. The old file is proven before, and removed by the
caller once the new one is on record.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from psycopg import sql

from lyceum.archiving.archive import (
    StoredArchive,
    copy_archive,
    open_archive,
    summarize_rows_at,
    write_rows,
)
from lyceum.archiving.columns import Column
from lyceum.archiving.errors import ArchiveError
from lyceum.archiving.files import ArchiveFiles
from lyceum.archiving.manifest import Manifest
from lyceum.archiving.scope import ArchiveScope, TableRows
from lyceum.archiving.table_rows import Shape, pin_text_forms
from lyceum.database import Connection

_TABLE = "rewritten_archive"


@dataclass(frozen=True, slots=True)
class IdChange:
    """Ids of one organization that become others in one column, 1:1; `only_where` limits it to rows with one of these texts."""

    column: str
    organization_id: int
    ids: Mapping[int, int] = field(repr=False)
    only_where: Mapping[str, Collection[str]] = field(default_factory=dict)

    @property
    def condition(self) -> sql.Composed:
        """The rows that change, in SQL."""
        parts = [
            sql.SQL("organization_id = {}").format(sql.Literal(self.organization_id)),
            sql.SQL("{} = any({})").format(sql.Identifier(self.column), sql.Literal(list(self.ids))),
            *(
                sql.SQL("{} = any({})").format(sql.Identifier(name), sql.Literal(list(texts)))
                for name, texts in self.only_where.items()
            ),
        ]
        return sql.SQL(" and ").join(parts)


def count_archived(files: ArchiveFiles, archive: StoredArchive, change: IdChange) -> int:
    """Return how many rows of an archive hold one of the ids. Reads those columns alone.

    Raises `ArchiveError` when the archive cannot be read.
    """
    try:
        with files.open(archive.uri) as source:
            return sum(_counted(pq.ParquetFile(source), change))
    except (OSError, pa.ArrowException) as error:
        raise ArchiveError(
            f"The archive of {archive.scope} ({files.address(archive.uri)}) cannot be read ({type(error).__name__}). "
            "Bring back the file from a backup, and try again."
        ) from None


def rewrite_archive(
    connection: Connection, files: ArchiveFiles, archive: StoredArchive, change: IdChange
) -> tuple[StoredArchive, int] | None:
    """Write an archive with other ids beside the old one; return it and how many rows changed, None where none does.

    In an open transaction, in which the caller records the new archive; whoever else writes this archive must be kept out.
    Memory is bounded by a segment, the temporary table is as large as the rows. Restoring a rewritten archive gives rows with
    the new ids alone. Raises `ArchiveError` when the old one is missing or damaged, or the new one does not hold what it should.
    """
    manifest = open_archive(files, archive)
    if not count_archived(files, archive, change):
        return None
    pin_text_forms(connection)
    connection.execute("set local jit = off")
    rows = TableRows(sql.Identifier("pg_temp", _TABLE), sql.SQL("true"))
    shape = _load(connection, files, archive, manifest, rows)
    changed = _change(connection, rows, change)
    name, written = write_rows(connection, files, archive.scope, rows, shape)
    connection.execute(sql.SQL("drop table {}").format(rows.relation))
    _require_rows(archive.scope, manifest, written)
    rewritten = StoredArchive(archive.scope, name, written.rows, written.byte_length, written.sha256, written.to_json())
    return rewritten, changed


def _counted(parquet: pq.ParquetFile, change: IdChange) -> Iterator[int]:
    columns = ["organization_id", change.column, *change.only_where]
    ids = pa.array(sorted(change.ids), pa.int64())
    for batch in parquet.iter_batches(columns=columns):
        found = pc.and_(
            pc.equal(batch.column("organization_id"), change.organization_id),
            pc.is_in(batch.column(change.column), value_set=ids),
        )
        for name, texts in change.only_where.items():
            found = pc.and_(found, pc.is_in(batch.column(name), value_set=pa.array(sorted(texts), pa.string())))
        yield pc.sum(found).as_py() or 0


def _load(
    connection: Connection, files: ArchiveFiles, archive: StoredArchive, manifest: Manifest, rows: TableRows
) -> Shape:
    """Put the rows of the archive into the temporary table, and prove that they are there."""
    columns = tuple(Column(summary.name, summary.type) for summary in manifest.columns)
    shape = Shape(columns, manifest.order_by, _nullable(connection, archive.scope, manifest.order_by))
    # An interrupted transaction takes the table with it; one that is rewritten after another in one session does not.
    connection.execute(sql.SQL("drop table if exists {}").format(rows.relation))
    connection.execute(
        sql.SQL("create temporary table {} ({}) on commit drop").format(
            sql.Identifier(_TABLE),
            sql.SQL(", ").join(
                sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(_type_name(column))) for column in columns
            ),
        )
    )
    copy_archive(connection, files, archive, manifest, rows.relation)
    order = sql.SQL(", ").join(map(sql.Identifier, manifest.order_by))
    connection.execute(sql.SQL("create index on {} ({})").format(rows.relation, order))
    connection.execute(sql.SQL("analyze {}").format(rows.relation))
    if summarize_rows_at(connection, manifest, rows, shape) != manifest:
        raise ArchiveError(
            f"The rows of {archive.scope} are other rows in PostgreSQL than its manifest says. Expected the same: look with "
            "`lyceum archive verify`. Nothing was written."
        )
    return shape


def _type_name(column: Column) -> str:
    # A type as format_type names it is one that PostgreSQL reads; only what archives support comes here.
    if not column.is_supported:
        raise ArchiveError(f"An archive has a column of the type {column.type}, which no archive can hold.")
    return column.type


def _nullable(connection: Connection, scope: ArchiveScope, names: Sequence[str]) -> frozenset[str]:
    rows = connection.execute(
        "select attname from pg_attribute where attrelid = to_regclass(%s) and attname = any(%s) and not attnotnull",
        [scope.table, list(names)],
    ).fetchall()
    return frozenset(name for (name,) in rows)


def _change(connection: Connection, rows: TableRows, change: IdChange) -> int:
    return connection.execute(
        sql.SQL(
            """
            update {relation} as archived
            set {column} = changes.fresh_id
            from unnest({old}::bigint[], {fresh}::bigint[]) as changes (old_id, fresh_id)
            where archived.{column} = changes.old_id and {condition}
            """
        ).format(
            relation=rows.relation,
            column=sql.Identifier(change.column),
            old=sql.Literal(list(change.ids)),
            fresh=sql.Literal(list(change.ids.values())),
            condition=change.condition,
        )
    ).rowcount


def _require_rows(scope: ArchiveScope, before: Manifest, after: Manifest) -> None:
    """Require what other ids in another order cannot change: rows, and nulls and extremes of every other column."""
    names = {column.name for column in before.columns}

    def facts(manifest: Manifest) -> list[tuple[str, int]]:
        return [(column.name, column.nulls) for column in manifest.columns]

    if before.rows != after.rows or facts(before) != facts(after) or names != {one.name for one in after.columns}:
        raise ArchiveError(
            f"The rewritten archive of {scope} has {after.rows} rows, expected the {before.rows} of the old one with as many nulls. "
            "The old one stays. Check the disk and the server's log, and try again."
        )
