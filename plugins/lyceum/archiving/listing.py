"""What archives there are, and whether they are still whole: of sealed weeks and of partitions alike."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime

from lyceum.archiving.archive import StoredArchive, open_archive
from lyceum.archiving.errors import ArchiveError
from lyceum.archiving.files import ArchiveFiles, archive_files
from lyceum.archiving.scope import ArchiveScope, scope_of_partition
from lyceum.database import Connection
from lyceum.errors import ConfigurationError, RetryableError
from lyceum.organizations import find_organization
from lyceum.settings import Settings

_LOG = logging.getLogger("lyceum.archiving")

_ARCHIVES = """
    with

    found as (

        select
            archives.table_name,
            split_part(archives.table_name, '.', 2) || '_p' || to_char(archives.week_start, 'IYYY"w"IW') as partition_name,
            archives.organization_id,
            archives.week_start as period_lower,
            archives.week_start + 7 as period_upper,
            archives.uri,
            archives.row_count,
            archives.byte_length,
            archives.sha256,
            archives.manifest,
            archives.archived_at,
            archives.verified_at,
            null::timestamptz as restored_until
        from ops.archives as archives

        union all

        select
            partition_archives.table_name,
            partition_archives.partition_name,
            partition_archives.organization_id,
            partition_archives.period_lower,
            partition_archives.period_upper,
            partition_archives.uri,
            partition_archives.row_count,
            partition_archives.byte_length,
            partition_archives.sha256,
            partition_archives.manifest,
            partition_archives.archived_at,
            partition_archives.verified_at,
            partition_archives.restored_until
        from ops.partition_archives as partition_archives

    )

    select
        found.table_name,
        found.partition_name,
        found.organization_id,
        organizations.slug,
        found.period_lower,
        found.period_upper,
        found.uri,
        found.row_count,
        found.byte_length,
        found.sha256,
        found.manifest::text,
        found.archived_at,
        found.verified_at,
        found.restored_until
    from found
    left join core.organizations as organizations on found.organization_id = organizations.organization_id
"""


@dataclass(frozen=True, slots=True)
class ArchiveEntry:
    """One archive on record. `name` is the partition's that holds or held the rows; `organization` the slug, None for all."""

    name: str
    table: str
    organization: str | None
    period_start: date
    period_end: date
    rows: int
    byte_length: int
    archived_at: datetime
    verified_at: datetime
    restored_until: datetime | None
    uri: str


@dataclass(frozen=True, slots=True)
class VerifiedArchive:
    """One archive that was looked at. `problem` is None where the file, its manifest and its record say the same."""

    entry: ArchiveEntry
    problem: str | None


@dataclass(frozen=True, slots=True)
class VerificationReport:
    """What a verification has looked at: archives and bytes, and which of them are not whole."""

    archives: int
    byte_length: int
    damaged: tuple[VerifiedArchive, ...]

    def __str__(self) -> str:
        damaged = len(self.damaged)
        found = "all are whole" if not damaged else f"{damaged:,} {'is' if damaged == 1 else 'are'} not whole"
        lines = [f"Verified {self.archives:,} archives, {self.byte_length / 1e6:,.1f} MB: {found}."]
        lines += [str(one.problem) for one in self.damaged]
        return "\n".join(lines)


def list_archives(
    connection: Connection, *, table: str | None = None, organization: str | None = None, name: str | None = None
) -> list[ArchiveEntry]:
    """Return the archives on record by table, period and organization; those of one table, organization or name where given.

    An organization's are its sealed weeks. `table` may go without its schema. Raises `ConfigurationError` for an unknown slug.
    """
    return [entry for entry, _ in _read(connection, table=table, organization=organization, name=name)]


def verify_archives(
    connection: Connection,
    settings: Settings,
    as_of: datetime,
    *,
    name: str | None = None,
    organization: str | None = None,
    sample: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> VerificationReport:
    """Read archives whole, and compare each with its manifest and its record: all of them, those of a name, or a sample.

    A sample are those that were not looked at for longest, so that repeated ones reach all. What is whole is recorded as seen
    at `as_of`. `connection` must be idle and in autocommit mode. `progress` is told bytes. Raises `ConfigurationError` when there is
    none of that name.
    """
    found = _read(connection, name=name, organization=organization)
    if name is not None and not found:
        raise ConfigurationError(f"There is no archive {name}. Expected a name as `lyceum archive list` shows it.")
    if sample is not None:
        found = sorted(found, key=lambda pair: (pair[0].verified_at, pair[0].period_start, pair[0].uri))[:sample]
    return _look_at(
        archive_files(settings), found, lambda archive: _mark_verified(connection, archive.scope, as_of), progress
    )


def check_archives(connection: Connection, settings: Settings) -> VerificationReport:
    """Read every archive whole, and compare each with its manifest and its record. Records nothing."""
    return _look_at(archive_files(settings), _read(connection), lambda _: None, lambda done, total: None)


def _look_at(
    files: ArchiveFiles,
    found: list[tuple[ArchiveEntry, StoredArchive]],
    mark_whole: Callable[[StoredArchive], None],
    progress: Callable[[int, int], None],
) -> VerificationReport:
    total = sum(entry.byte_length for entry, _ in found)
    done = 0
    damaged: list[VerifiedArchive] = []
    for entry, archive in found:
        problem = _problem(files, archive)
        if problem is None:
            mark_whole(archive)
        else:
            damaged.append(VerifiedArchive(entry, problem))
            _LOG.error("an archive is not whole: %s", problem, extra={"archive": entry.uri})
        done += entry.byte_length
        progress(done, total)
    return VerificationReport(len(found), total, tuple(damaged))


def find_archive(connection: Connection, name: str) -> ArchiveEntry:
    """Return the archive of a whole partition by the partition's name. Raises `ConfigurationError` when there is none."""
    entries = [entry for entry in list_archives(connection, name=name) if entry.organization is None]
    if not entries:
        raise ConfigurationError(
            f"There is no archive of a partition {name}. Expected a name as `lyceum archive list` shows it, of an archive that "
            "holds all organizations. A sealed week comes back by itself when one of its refused events is replayed."
        )
    return entries[0]


def _problem(files: ArchiveFiles, archive: StoredArchive) -> str | None:
    try:
        open_archive(files, archive)
    except (ArchiveError, RetryableError) as error:
        return str(error)
    return None


def read_expired(connection: Connection, as_of: datetime) -> list[tuple[ArchiveEntry, StoredArchive]]:
    """Return the archives whose policy is over at `as_of` and that nothing can ask for any more (see `retention.py`)."""
    rows = connection.execute(
        f"""
        {_ARCHIVES}
        inner join ops.archive_policies as policies on found.table_name = policies.table_name
        where
            -- A local day is over everywhere a day after it is over in UTC.
            (found.period_upper + 1)::timestamp at time zone 'UTC' + policies.retention <= %(as_of)s
            and coalesce(found.restored_until <= %(as_of)s, true)
            and to_regclass(format('partitions.%%I', found.partition_name)) is null
            and case
                when found.organization_id is null then true
                else exists (
                    select
                    from ops.week_states as weeks
                    inner join ops.partition_policies as results on results.parent_table = 'stage_three.aggregated_analytics'
                    where
                        weeks.organization_id = found.organization_id
                        and weeks.week_start = found.period_lower
                        and weeks.state = 'sealed'
                        and (date_trunc('year', (found.period_upper - 1)::timestamp) + interval '1 year 1 day') at time zone 'UTC'
                        + results.retention <= %(as_of)s
                )
            end
        order by found.table_name, found.period_lower, organizations.slug, found.organization_id
        """.encode(),  # noqa: S608
        {"as_of": as_of},
    ).fetchall()
    return [_pair(*row) for row in rows]


def _read(
    connection: Connection, *, table: str | None = None, organization: str | None = None, name: str | None = None
) -> list[tuple[ArchiveEntry, StoredArchive]]:
    organization_id = find_organization(connection, organization).organization_id if organization is not None else None
    rows = connection.execute(
        f"""
        {_ARCHIVES}
        where
            (%(table)s::text is null or %(table)s in (found.table_name, split_part(found.table_name, '.', 2)))
            and (%(organization_id)s::bigint is null or found.organization_id = %(organization_id)s)
            and (%(name)s::text is null or found.partition_name = %(name)s)
        order by found.table_name, found.period_lower, organizations.slug, found.organization_id
        """.encode(),
        {"table": table, "organization_id": organization_id, "name": name},
    ).fetchall()
    return [_pair(*row) for row in rows]


def _pair(
    table: str,
    name: str,
    organization_id: int | None,
    slug: str | None,
    lower: date,
    upper: date,
    uri: str,
    rows: int,
    byte_length: int,
    sha256: bytes,
    manifest: str,
    archived_at: datetime,
    verified_at: datetime,
    restored_until: datetime | None,
) -> tuple[ArchiveEntry, StoredArchive]:
    scope = ArchiveScope(table, scope_of_partition(table, name).period, organization_id)
    owner = slug if slug is not None or organization_id is None else str(organization_id)
    return (
        ArchiveEntry(
            name, table, owner, lower, upper, rows, byte_length, archived_at, verified_at, restored_until, uri
        ),
        StoredArchive(scope, uri, rows, byte_length, sha256.hex(), manifest.encode()),
    )


def _mark_verified(connection: Connection, scope: ArchiveScope, as_of: datetime) -> None:
    if scope.organization_id is None:
        connection.execute(
            """
            update ops.partition_archives set verified_at = greatest(verified_at, %s)
            where organization_id is null and table_name = %s and partition_name = %s
            """,
            [as_of, scope.table, scope.partition_name],
        )
        return
    connection.execute(
        """
        update ops.archives set verified_at = greatest(verified_at, %s)
        where organization_id = %s and table_name = %s and week_start = %s
        """,
        [as_of, scope.organization_id, scope.table, scope.period.lower],
    )
