"""Archives of whole partitions: written and proven before a partition goes, and brought back into one.

`ops.partition_archives` has one row a partition. It remembers which relation was archived: a partition that was dropped and
made anew, empty or with a few late rows, must never take the place of what was archived from the first.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg
from psycopg import sql

from lyceum import faults
from lyceum.archiving.archive import (
    StoredArchive,
    load_archive,
    open_archive,
    summarize_rows,
    write_archive,
)
from lyceum.archiving.errors import ArchiveError
from lyceum.archiving.files import ArchiveFiles, archive_files, remove_others
from lyceum.archiving.manifest import Manifest
from lyceum.archiving.scope import ArchiveScope, find_rows, scope_of_partition
from lyceum.archiving.table_rows import has_rows, pin_text_forms, read_shape
from lyceum.audit import Access, ensure_audit_partitions, record_access
from lyceum.data_versions import ANSWERED_FROM, advance_versions
from lyceum.database import Connection
from lyceum.errors import ConfigurationError, RetryableError
from lyceum.partitions import Period, ensure_for_dates, keep_partitions, read_existing
from lyceum.partitions.planner import PARTITION_SCHEMA
from lyceum.settings import Settings

_LOG = logging.getLogger("lyceum.archiving")

KEEP = timedelta(days=30)
"""How long a restored partition stays unless somebody says otherwise."""

# Another session that archives or restores the same partition may be at it for a while.
_LOCK_TIMEOUT = "60s"
_WRITERS_TIMEOUT = "5s"


@dataclass(frozen=True, slots=True)
class RestoredPartition:
    """A partition that stays although it has expired, because somebody has asked for its rows.

    `was_there` says of one that was just asked for that its rows had not gone.
    """

    parent_table: str
    name: str
    period: Period
    restored_until: datetime
    rows: int
    was_there: bool = False


@dataclass(frozen=True, slots=True)
class _Record:
    """A row of `ops.partition_archives`."""

    archive: StoredArchive
    relation_id: int
    restored_until: datetime | None


def archive_partition(
    connection: Connection, settings: Settings, parent_table: str, partition_name: str, as_of: datetime
) -> StoredArchive:
    """Archive a partition, attached or detached, read the archive back, compare it, and record it; return the record.

    `connection` must be idle and in autocommit mode. The partition stays as it is, and nobody waits. An archive that holds
    what the partition holds is left alone; one that does not is replaced. Raises `ArchiveError` when the rows cannot be archived
    exactly, or when the partition was made anew since its archive was written and would displace it; `RetryableError` when the
    place of the archives cannot be written to. Nothing is recorded then.
    """
    scope = scope_of_partition(parent_table, partition_name)
    files = archive_files(settings)
    with archive_lock(connection, scope):
        with _snapshot(connection):
            relation_id = _relation_id(connection, scope)
            record = _read_record(connection, scope)
            if record is not None and _stands(connection, files, record, relation_id):
                _mark_verified(connection, scope, as_of)
                return record.archive
            name, manifest = write_archive(connection, files, scope)
            archive = StoredArchive(
                scope, name, manifest.rows, manifest.byte_length, manifest.sha256, manifest.to_json()
            )
            _record(connection, archive, relation_id, as_of)
        faults.reach("partition_archive.recorded")
        remove_others(files, scope.prefix, archive.names)
    _LOG.info(
        "archived %s: %d rows, %d bytes",
        scope,
        archive.rows,
        archive.byte_length,
        extra={"partition": partition_name, "rows": archive.rows},
    )
    return archive


def is_archived(connection: Connection, settings: Settings, parent_table: str, partition_name: str) -> bool:
    """Whether an archive holds exactly the rows that the partition, attached or detached, has now.

    Reads the archive back, and lets the database sum up the partition: number of rows, and checksum, nulls and extremes of
    every column. True of a partition without rows, as long as there is an archive of it. `connection` must be idle and in
    autocommit mode. Raises `ArchiveError` when the archive is missing or damaged.
    """
    scope = scope_of_partition(parent_table, partition_name)
    with _snapshot(connection):
        record = _read_record(connection, scope)
        return record is not None and _is_proven(connection, archive_files(settings), record.archive)


def restore_partition(
    connection: Connection,
    settings: Settings,
    parent_table: str,
    partition_name: str,
    as_of: datetime,
    keep: timedelta = KEEP,
) -> RestoredPartition:
    """Bring a partition back from its archive, and keep it from being dropped for `keep` from `as_of` on.

    The archive is proven, the partition made as every other is, its rows are loaded and compared with the manifest, and become
    visible all at once; the access is audited with them. Readers never wait. Where the rows are there already nothing is loaded.
    `connection` must be idle and in autocommit mode. Whatever interrupts it: calling again ends in the same state.

    Raises `ConfigurationError` when no such archive is on record, `ArchiveError` when it is missing or damaged, or when the
    partition holds other rows, which are never replaced; `RetryableError` when writers keep it locked.
    """
    scope = scope_of_partition(parent_table, partition_name)
    files = archive_files(settings)
    restored_until = as_of + keep
    with archive_lock(connection, scope):
        record = _read_record(connection, scope)
        if record is None:
            raise ConfigurationError(
                f"There is no archive of {PARTITION_SCHEMA}.{partition_name}. Expected the name of an archived partition: look "
                "at `lyceum archive list`."
            )
        manifest = open_archive(files, record.archive)
        ensure_audit_partitions(connection)
        _protect(connection, scope, restored_until)
        faults.reach("partition_restore.protected")
        try:
            rows = _restore_rows(connection, files, record.archive, manifest, restored_until)
        except BaseException:
            if not connection.closed:
                _set_restored_until(connection, scope, record.restored_until)
            raise
    _LOG.info(
        "restored %s: %d rows, kept until %s",
        scope,
        record.archive.rows,
        restored_until.isoformat(),
        extra={"partition": partition_name, "rows": record.archive.rows},
    )
    return RestoredPartition(
        parent_table, partition_name, scope.period, restored_until, record.archive.rows, was_there=rows == 0
    )


def restored_partitions(connection: Connection, as_of: datetime) -> tuple[RestoredPartition, ...]:
    """Return the partitions that must not be dropped at `as_of`, because they were restored for longer, by table and name."""
    rows = connection.execute(
        """
        select table_name, partition_name, restored_until, row_count
        from ops.partition_archives
        where organization_id is null and restored_until > %s
        order by table_name, partition_name
        """,
        [as_of],
    ).fetchall()
    return tuple(
        RestoredPartition(table, name, scope_of_partition(table, name).period, restored_until, count)
        for table, name, restored_until, count in rows
    )


def _restore_rows(
    connection: Connection, files: ArchiveFiles, archive: StoredArchive, manifest: Manifest, restored_until: datetime
) -> int:
    """Make the partition and load it; return how many rows were loaded."""
    scope = archive.scope
    ensure_for_dates(connection, scope.table, [scope.period.lower])
    faults.reach("partition_restore.partition_made")
    try:
        with connection.transaction():
            keep_partitions(connection, scope.table, [scope.period.lower])
            found = read_existing(connection, [scope.partition_name]).get(scope.partition_name)
            if found is None or found.state != "attached":
                raise ConfigurationError(
                    f"{scope.table} has no partition {scope.partition_name}, and its policy makes none of that name. Expected the "
                    f"granularity {scope.period.granularity!r}, as when it was archived: look at ops.partition_policies."
                )
            pin_text_forms(connection)
            rows = find_rows(connection, scope)
            connection.execute("select set_config('lock_timeout', %s, true)", [_WRITERS_TIMEOUT])
            # Readers go on; whoever would write waits until the rows are there, or is told to come back.
            connection.execute(sql.SQL("lock table {} in share row exclusive mode").format(rows.relation))
            connection.execute("set local lock_timeout = 0")
            loaded = 0
            if has_rows(connection, rows):
                _require_archived_rows(connection, manifest)
            elif manifest.rows:
                load_archive(connection, files, archive, manifest)
                loaded = manifest.rows
                if scope.table in ANSWERED_FROM:
                    advance_versions(connection)
            faults.reach("partition_restore.rows_loaded")
            connection.execute(
                """
                update ops.partition_archives set relation_id = %s, restored_until = %s
                where organization_id is null and table_name = %s and partition_name = %s
                """,
                [_relation_id(connection, scope), restored_until, scope.table, scope.partition_name],
            )
            detail = {"restored_until": restored_until.isoformat(), "loaded": loaded}
            record_access(
                connection,
                Access("archive_restored", f"{PARTITION_SCHEMA}.{scope.partition_name}", detail=detail),
                row_count=manifest.rows,
            )
    except psycopg.errors.LockNotAvailable:
        raise RetryableError(
            f"{PARTITION_SCHEMA}.{scope.partition_name} could not be restored: somebody has been writing to it for "
            f"{_WRITERS_TIMEOUT}. Wait for that session to end, and try again. Nothing was restored."
        ) from None
    return loaded


def _require_archived_rows(connection: Connection, manifest: Manifest) -> None:
    if summarize_rows(connection, manifest) != manifest:
        raise ArchiveError(
            f"{PARTITION_SCHEMA}.{manifest.scope.partition_name} holds rows, and others than its archive. Expected none, or the "
            "same: rows are never replaced. Find out where they come from, move them elsewhere, and try again. "
            "Nothing was restored."
        )


def _stands(connection: Connection, files: ArchiveFiles, record: _Record, relation_id: int) -> bool:
    """Whether the archive on record may stay the archive of the partition, which is `relation_id` now.

    Raises `ArchiveError` where it neither holds what the partition holds nor may be replaced.
    """
    try:
        if _is_proven(connection, files, record.archive):
            return True
    except ArchiveError as error:
        if relation_id != record.relation_id:
            raise
        _LOG.warning("an archive is written again: %s", error, extra={"partition": record.archive.scope.partition_name})
        return False
    if relation_id != record.relation_id:
        raise ArchiveError(
            f"{PARTITION_SCHEMA}.{record.archive.scope.partition_name} was made anew after its archive was written, and holds rows "
            f"that are not those {record.archive.rows} of the archive. Expected no rows of a partition that was archived and "
            "dropped: find out where they come from, move them elsewhere, and restore the partition. Nothing was written."
        )
    return False


def _is_proven(connection: Connection, files: ArchiveFiles, archive: StoredArchive) -> bool:
    """Whether the archive holds what the partition holds, or the partition holds nothing. Raises `ArchiveError` when it is damaged."""
    manifest = open_archive(files, archive)
    if not has_rows(connection, find_rows(connection, archive.scope)):
        return True
    shape = read_shape(connection, archive.scope)
    if [(column.name, column.type) for column in shape.columns] != [(one.name, one.type) for one in manifest.columns]:
        return False
    return summarize_rows(connection, manifest) == manifest


def _relation_id(connection: Connection, scope: ArchiveScope) -> int:
    row = connection.execute(
        "select to_regclass(%s)::oid::bigint", [f"{PARTITION_SCHEMA}.{scope.partition_name}"]
    ).fetchone()
    if row is None or row[0] is None:
        raise ConfigurationError(
            f"There is no partition {PARTITION_SCHEMA}.{scope.partition_name}. Expected one of {scope.table}; one that has been "
            "dropped may have an archive: look at `lyceum archive list`."
        )
    return int(row[0])


def _read_record(connection: Connection, scope: ArchiveScope) -> _Record | None:
    row = connection.execute(
        """
        select uri, row_count, byte_length, sha256, manifest::text, relation_id, restored_until
        from ops.partition_archives
        where organization_id is null and table_name = %s and partition_name = %s
        """,
        [scope.table, scope.partition_name],
    ).fetchone()
    if row is None:
        return None
    uri, rows, byte_length, sha256, manifest, relation_id, restored_until = row
    return _Record(
        StoredArchive(scope, uri, rows, byte_length, sha256.hex(), manifest.encode()), relation_id, restored_until
    )


def _record(connection: Connection, archive: StoredArchive, relation_id: int, as_of: datetime) -> None:
    connection.execute(
        """
        insert into ops.partition_archives (
            table_name, partition_name, period_lower, period_upper, uri, row_count, byte_length, sha256, manifest, archived_at,
            verified_at, relation_id
        ) values (
            %(table)s, %(partition)s, %(lower)s, %(upper)s, %(uri)s, %(rows)s, %(byte_length)s, %(sha256)s, %(manifest)s::jsonb,
            %(as_of)s, %(as_of)s, %(relation_id)s
        )
        on conflict (organization_id, table_name, partition_name) do update set
            uri = excluded.uri,
            row_count = excluded.row_count,
            byte_length = excluded.byte_length,
            sha256 = excluded.sha256,
            manifest = excluded.manifest,
            archived_at = excluded.archived_at,
            verified_at = excluded.verified_at,
            relation_id = excluded.relation_id
        """,
        {
            "table": archive.scope.table,
            "partition": archive.scope.partition_name,
            "lower": archive.scope.period.lower,
            "upper": archive.scope.period.upper,
            "uri": archive.uri,
            "rows": archive.rows,
            "byte_length": archive.byte_length,
            "sha256": bytes.fromhex(archive.sha256),
            "manifest": archive.manifest.decode(),
            "as_of": as_of,
            "relation_id": relation_id,
        },
    )


def _mark_verified(connection: Connection, scope: ArchiveScope, as_of: datetime) -> None:
    connection.execute(
        """
        update ops.partition_archives set verified_at = greatest(verified_at, %s)
        where organization_id is null and table_name = %s and partition_name = %s
        """,
        [as_of, scope.table, scope.partition_name],
    )


def _protect(connection: Connection, scope: ArchiveScope, restored_until: datetime) -> None:
    """Say that the partition stays, before it is there; a clean-up that is dropping it just now is waited for."""
    with connection.transaction():
        keep_partitions(connection, scope.table, [scope.period.lower])
        _set_restored_until(connection, scope, restored_until)


def _set_restored_until(connection: Connection, scope: ArchiveScope, restored_until: datetime | None) -> None:
    connection.execute(
        """
        update ops.partition_archives set restored_until = %s
        where organization_id is null and table_name = %s and partition_name = %s
        """,
        [restored_until, scope.table, scope.partition_name],
    )


@contextmanager
def _snapshot(connection: Connection) -> Iterator[None]:
    """Open a transaction that sees one snapshot, with values written as archives have them."""
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read")
        pin_text_forms(connection)
        # Hundreds of expressions over a segment: compiling them would take longer than reading it.
        connection.execute("set local jit = off")
        yield


@contextmanager
def archive_lock(connection: Connection, scope: ArchiveScope) -> Iterator[None]:
    """Let one session at a time write or restore the archive of a partition: its files are staged under one name.

    A lock of the session, because it must be there before the snapshot of the transaction is taken.
    """
    key = f"lyceum.archive {scope}"
    connection.execute("select set_config('lock_timeout', %s, false)", [_LOCK_TIMEOUT])
    try:
        connection.execute("select pg_advisory_lock(hashtextextended(%s, 0))", [key])
    except psycopg.errors.LockNotAvailable:
        raise RetryableError(
            f"The archive of {scope} has been worked on by another session for {_LOCK_TIMEOUT}. Try again when it is done."
        ) from None
    finally:
        if not connection.closed:
            connection.execute("reset lock_timeout")
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("select pg_advisory_unlock(hashtextextended(%s, 0))", [key])
