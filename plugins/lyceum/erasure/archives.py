"""The archives of an organization, rewritten with fresh ids in the places of those of an erased person.

A sealed week is rewritten under its organization's lock, which whoever seals or restores it takes; a year under the lock of
its archive. The record of the new file commits before the old one is removed, so whatever interrupts leaves one that is whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import psycopg

from lyceum import faults
from lyceum.archiving import ArchiveFiles, StoredArchive, archive_files, remove_others, scope_of_partition
from lyceum.archiving.partitions import archive_lock
from lyceum.archiving.rewriting import IdChange, count_archived, rewrite_archive
from lyceum.archiving.scope import ArchiveScope
from lyceum.database import Connection
from lyceum.erasure.tables import USER_COLUMNS
from lyceum.errors import RetryableError
from lyceum.partitions import period_of
from lyceum.settings import Settings

_LOCK_TIMEOUT = "60s"

Recorded = Callable[[Connection, str, int], None]
"""Is told, in the transaction that records an archive, its table and how many rows have changed."""


@dataclass(frozen=True, slots=True)
class ArchivedRows:
    """What archives hold of a person: rows by table, in how many archives of how many."""

    rows: Mapping[str, int]
    archives: int
    archives_read: int


def count_in_archives(
    connection: Connection, settings: Settings, organization_id: int, ids: Mapping[int, int]
) -> ArchivedRows:
    """Return how many archived rows an erasure would change. Raises `ArchiveError` when an archive cannot be read."""
    files = archive_files(settings)
    rows: Counter[str] = Counter()
    archives = read = 0
    for archive, change in _archives(connection, organization_id, ids):
        read += 1
        if found := count_archived(files, archive, change):
            rows[archive.scope.table] += found
            archives += 1
    return ArchivedRows(dict(sorted(rows.items())), archives, read)


def rewrite_archives(
    connection: Connection,
    settings: Settings,
    organization_id: int,
    ids: Mapping[int, int],
    as_of: datetime,
    recorded: Recorded,
    *,
    of_partitions: bool,
) -> int:
    """Rewrite every archive that holds one of the ids, of sealed weeks or of whole partitions; return how many.

    Calling again rewrites what is left.

    `connection` is idle and in autocommit mode. Raises `ArchiveError` when an archive is missing or damaged: it must be brought
    back from a backup, or its record be removed, before the person is erased. Raises `RetryableError` when somebody else keeps
    the organization or an archive locked.
    """
    files = archive_files(settings)
    rewritten = 0
    for archive, change in list(_archives(connection, organization_id, ids)):
        whole = archive.scope.is_whole_partition
        if whole is not of_partitions:
            continue
        lock = archive_lock(connection, archive.scope) if whole else organization_lock(connection, organization_id)
        with lock:
            current = _current(connection, archive.scope)
            if current is None:
                continue
            with connection.transaction():
                outcome = rewrite_archive(connection, files, current, change)
                if outcome is not None:
                    current, changed = outcome
                    _record(connection, current, as_of)
                    recorded(connection, archive.scope.table, changed)
                    rewritten += 1
            faults.reach("erasure.archive_recorded")
            # What an interruption has left is cleared away here, too.
            _remove_others(files, current)
    return rewritten


@contextmanager
def organization_lock(connection: Connection, organization_id: int) -> Iterator[None]:
    """Keep batches, rosters and seals of the organization waiting, for the session: nothing of it may change in between."""
    connection.execute("select set_config('lock_timeout', %s, false)", [_LOCK_TIMEOUT])
    try:
        connection.execute("select pg_advisory_lock(hashtext('lyceum.organization'), %s::int)", [organization_id])
    except psycopg.errors.LockNotAvailable:
        raise RetryableError(
            f"Something has been working on the organization for {_LOCK_TIMEOUT} (a batch, a roster, a seal). "
            "Wait for it to end, and try again: the erasure goes on where it stopped."
        ) from None
    finally:
        if not connection.closed:
            connection.execute("reset lock_timeout")
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("select pg_advisory_unlock(hashtext('lyceum.organization'), %s::int)", [organization_id])


def _remove_others(files: ArchiveFiles, archive: StoredArchive) -> None:
    remove_others(files, archive.scope.prefix, archive.names)


def _archives(
    connection: Connection, organization_id: int, ids: Mapping[int, int]
) -> Iterator[tuple[StoredArchive, IdChange]]:
    """Yield the archives that may name people of the organization, in the order of tables and time."""
    columns = {column.table: column for column in USER_COLUMNS}
    weeks = connection.execute(
        """
        select table_name, week_start, uri, row_count, byte_length, sha256, manifest::text
        from ops.archives
        where organization_id = %s and table_name = any(%s)
        order by table_name, week_start
        """,
        [organization_id, list(columns)],
    ).fetchall()
    for table, week_start, *stored in weeks:
        scope = ArchiveScope(table, period_of("week", week_start), organization_id)
        yield _stored(scope, *stored), columns[table].change(organization_id, ids)
    partitions = connection.execute(
        """
        select table_name, partition_name, uri, row_count, byte_length, sha256, manifest::text
        from ops.partition_archives
        where organization_id is null and table_name = any(%s)
        order by table_name, period_lower
        """,
        [list(columns)],
    ).fetchall()
    for table, name, *stored in partitions:
        yield _stored(scope_of_partition(table, name), *stored), columns[table].change(organization_id, ids)


def _stored(scope: ArchiveScope, uri: str, rows: int, byte_length: int, sha256: bytes, manifest: str) -> StoredArchive:
    return StoredArchive(scope, uri, rows, byte_length, sha256.hex(), manifest.encode())


_WHICH = {
    False: (
        "ops.archives",
        "organization_id = %(organization)s and table_name = %(table)s and week_start = %(lower)s",
    ),
    True: (
        "ops.partition_archives",
        "organization_id is null and table_name = %(table)s and partition_name = %(partition)s",
    ),
}


def _key(scope: ArchiveScope) -> dict[str, object]:
    return {
        "organization": scope.organization_id,
        "table": scope.table,
        "lower": scope.period.lower,
        "partition": scope.partition_name,
    }


def _current(connection: Connection, scope: ArchiveScope) -> StoredArchive | None:
    """Return what is on record now that nobody else can change it."""
    table, which = _WHICH[scope.is_whole_partition]
    row = connection.execute(
        f"select uri, row_count, byte_length, sha256, manifest::text from {table} where {which}".encode(),  # noqa: S608
        _key(scope),
    ).fetchone()
    return None if row is None else _stored(scope, *row)


def _record(connection: Connection, archive: StoredArchive, as_of: datetime) -> None:
    table, which = _WHICH[archive.scope.is_whole_partition]
    connection.execute(
        f"""
        update {table}
        set
            uri = %(uri)s,
            row_count = %(rows)s,
            byte_length = %(byte_length)s,
            sha256 = %(sha256)s,
            manifest = %(manifest)s::jsonb,
            verified_at = greatest(verified_at, %(as_of)s)
        where {which}
        """.encode(),  # noqa: S608
        {
            **_key(archive.scope),
            "uri": archive.uri,
            "rows": archive.rows,
            "byte_length": archive.byte_length,
            "sha256": bytes.fromhex(archive.sha256),
            "manifest": archive.manifest.decode(),
            "as_of": as_of,
        },
    )
