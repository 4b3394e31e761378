"""Sealing: the weeks that are due are archived, the archives are proven, and only then the weeks are final.

A week of an organization is due 7 days after its local end, and sealed once no hour of the organization waits to be built.
Everything happens under the organization's lock, the one that a collecting batch takes, so nothing is added meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime

import psycopg

from lyceum import faults
from lyceum.archiving import (
    ArchiveFiles,
    Manifest,
    archive_files,
    manifest_name,
    pin_text_forms,
    remove_others,
    write_archive,
)
from lyceum.database import Connection, ConnectionTarget, connect
from lyceum.organizations import Organization, find_organization, list_organizations, load_calendar
from lyceum.partitions import period_of
from lyceum.sealing.release import HeldPartition, release_partitions
from lyceum.sealing.weeks import ARCHIVED_TABLES, week_scope
from lyceum.settings import Settings

_LOG = logging.getLogger("lyceum.sealing")

# A batch is a matter of seconds; a collection of many batches lets go of the lock between them.
_LOCK_TIMEOUT = "60s"


@dataclass(frozen=True, slots=True)
class SealedWeek:
    """A week that is final now: what its archives hold together."""

    organization: str
    week_start: date
    rows: int
    byte_length: int


@dataclass(frozen=True, slots=True)
class HeldWeek:
    """A week that is due and stays open for now."""

    organization: str
    week_start: date
    reason: str


@dataclass(frozen=True, slots=True)
class SealReport:
    """What one call sealed, held back, dropped and kept."""

    sealed: tuple[SealedWeek, ...]
    held: tuple[HeldWeek, ...]
    dropped_partitions: tuple[str, ...]
    held_partitions: tuple[HeldPartition, ...]

    def __str__(self) -> str:
        rows = sum(week.rows for week in self.sealed)
        megabytes = sum(week.byte_length for week in self.sealed) / 1e6
        lines = [
            f"Sealed {len(self.sealed)} weeks: {rows:,} rows in {megabytes:.1f} MB of archives. "
            f"Dropped {len(self.dropped_partitions)} partitions."
        ]
        lines += [f"On hold: {week.organization}, {week_name(week.week_start)}: {week.reason}" for week in self.held]
        lines += [f"On hold: {partition.name}: {partition.reason}" for partition in self.held_partitions]
        return "\n".join(lines)


def seal_due_weeks(
    target: ConnectionTarget, settings: Settings, as_of: datetime, organization: str | None = None
) -> SealReport:
    """Seal every week that is due at `as_of`, of one organization or of all, and drop the partitions that no one needs.

    Every week is a transaction of its own, so an interruption costs at most the work on one week. A week whose
    organization has pending hours is held, not an error. Raises `ArchiveError` when an archive does not hold what the
    database says, `RetryableError` when the disk refuses it: that week and those after it stay open then.
    """
    files = archive_files(settings)
    sealed: list[SealedWeek] = []
    held: list[HeldWeek] = []
    with connect(target, autocommit=True) as connection:
        chosen = (
            [find_organization(connection, organization)]
            if organization is not None
            else list_organizations(connection)
        )
        for one in chosen:
            for week_start in due_weeks(connection, one, as_of):
                outcome = _seal_week(connection, files, one, week_start, as_of)
                if isinstance(outcome, HeldWeek):
                    held.append(outcome)
                elif outcome is not None:
                    sealed.append(outcome)
        with connect(target, autocommit=True) as guard:
            dropped, held_partitions = release_partitions(connection, guard, files, as_of)
    return SealReport(tuple(sealed), tuple(held), dropped, held_partitions)


def due_weeks(connection: Connection, organization: Organization, as_of: datetime) -> list[date]:
    """Return the Mondays of the organization's open weeks that may be sealed at `as_of`, earliest first."""
    calendar = load_calendar(connection, organization.organization_id)
    rows = connection.execute(
        "select week_start from ops.week_states where organization_id = %s and state = 'open' order by week_start",
        [organization.organization_id],
    ).fetchall()
    return [week_start for (week_start,) in rows if calendar.seal_due_at(week_start) <= as_of]


def week_name(week_start: date) -> str:
    """Return `2013w05`."""
    return period_of("week", week_start).name


def _seal_week(
    connection: Connection, files: ArchiveFiles, organization: Organization, week_start: date, as_of: datetime
) -> SealedWeek | HeldWeek | None:
    """Seal one week; None when another session has done so meanwhile."""
    identity = (organization.organization_id, week_start)
    try:
        with _organization_lock(connection, organization.organization_id), connection.transaction():
            # The snapshot is taken after the lock: it holds all that was committed before, and nothing comes after.
            connection.execute("set transaction isolation level repeatable read")
            pin_text_forms(connection)
            row = connection.execute(
                """
                select
                    exists (select from ops.week_states where (organization_id, week_start, state) = (%s, %s, 'open')),
                    (select count(*) from ops.pending_hours where organization_id = %s),
                    (select count(*) from ops.pending_users where organization_id = %s)
                """,
                [*identity, organization.organization_id, organization.organization_id],
            ).fetchone()
            assert row is not None
            is_open, pending, people = row
            if not is_open:
                return None
            if pending:
                return HeldWeek(
                    organization.slug, week_start, f"{pending} collected hours wait to be built; build first."
                )
            if people:
                return HeldWeek(
                    organization.slug,
                    week_start,
                    f"A roster has changed {people} people; build first, so that the week knows.",
                )
            archives = [
                (table, *write_archive(connection, files, week_scope(table, *identity))) for table in ARCHIVED_TABLES
            ]
            _mark_sealed(connection, archives, as_of)
            faults.reach("seal.week_marked")
    except psycopg.errors.LockNotAvailable:
        return HeldWeek(organization.slug, week_start, f"its organization was being collected for {_LOCK_TIMEOUT}.")
    faults.reach("seal.week_committed")
    for table, name, _ in archives:
        remove_others(files, week_scope(table, *identity).prefix, {name, manifest_name(name)})
    manifests = [manifest for _, _, manifest in archives]
    week = SealedWeek(
        organization.slug,
        week_start,
        sum(manifest.rows for manifest in manifests),
        sum(manifest.byte_length for manifest in manifests),
    )
    _LOG.info(
        "sealed week %s of %s: %d rows, %d bytes",
        week_name(week_start),
        organization.slug,
        week.rows,
        week.byte_length,
        extra={"organization": organization.slug, "week": week_name(week_start), "rows": week.rows},
    )
    return week


def _mark_sealed(connection: Connection, archives: list[tuple[str, str, Manifest]], as_of: datetime) -> None:
    """Record the archives and the week's new state, in the transaction that saw the rows."""
    for table, name, manifest in archives:
        connection.execute(
            """
            insert into ops.archives (
                organization_id, table_name, week_start, uri, row_count, byte_length, sha256, manifest, archived_at,
                verified_at
            ) values (%s, %s, %s, %s, %s, %s, %s, %s::jsonb, %s, %s)
            on conflict (organization_id, table_name, week_start) do update set
                uri = excluded.uri,
                row_count = excluded.row_count,
                byte_length = excluded.byte_length,
                sha256 = excluded.sha256,
                manifest = excluded.manifest,
                archived_at = excluded.archived_at,
                verified_at = excluded.verified_at
            """,
            [
                manifest.organization_id,
                table,
                manifest.period_start,
                name,
                manifest.rows,
                manifest.byte_length,
                bytes.fromhex(manifest.sha256),
                manifest.to_json().decode(),
                as_of,
                as_of,
            ],
        )
    first = archives[0][2]
    connection.execute(
        "update ops.week_states set state = 'sealed', sealed_at = %s where organization_id = %s and week_start = %s",
        [as_of, first.organization_id, first.period_start],
    )


@contextmanager
def _organization_lock(connection: Connection, organization_id: int) -> Iterator[None]:
    """Hold the organization's lock for the session: it must be there before the snapshot of the transaction is taken."""
    connection.execute("select set_config('lock_timeout', %s, false)", [_LOCK_TIMEOUT])
    connection.execute("select pg_advisory_lock(hashtext('lyceum.organization'), %s::int)", [organization_id])
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("select pg_advisory_unlock(hashtext('lyceum.organization'), %s::int)", [organization_id])
            connection.execute("reset lock_timeout")
