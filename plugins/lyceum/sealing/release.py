"""Dropping the partitions of weeks that every organization has sealed: only after their archives were proven once more.

A partition holds the rows of all organizations. It goes when no organization has its week open, and every organization that
has rows in it has an archive of exactly as many rows whose file is whole. Otherwise it stays, and the report says why.

While a partition goes, writing to `ops.week_states` waits: nobody can open the week, and without an open week nobody writes.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import psycopg
from psycopg import sql

from lyceum import faults
from lyceum.archiving import ArchiveError, ArchiveFiles, StoredArchive, open_archive
from lyceum.database import Connection
from lyceum.errors import RetryableError
from lyceum.partitions import Patience, drop_partition, let_go_of_snapshot
from lyceum.sealing.weeks import ARCHIVED_TABLES, read_archives

_LOG = logging.getLogger("lyceum.sealing")

_WEEK_PARTITION = re.compile(r"(?P<table>[a-z_]+)_p(?P<year>\d{4})w(?P<week>\d{2})")
# A week without any event is over for everyone by then: 7 days after it ended in the last time zone.
_EMPTY_AFTER = timedelta(days=7 + 7 + 1)
_GUARD_TIMEOUT = "2s"
# Readers of before may take long. A detachment that waits for them goes on with the next call.
_PATIENCE = Patience(attempts=3)


@dataclass(frozen=True, slots=True)
class HeldPartition:
    """A partition of a sealed week that stays. `needs_attention` is true where only a person can help."""

    name: str
    reason: str
    needs_attention: bool


@dataclass(frozen=True, slots=True)
class _WeekPartition:
    """A partition of one of the archived tables, be it attached or left detached by an interruption."""

    name: str
    table: str
    week_start: date


@dataclass(frozen=True, slots=True)
class _Weeks:
    """What `ops.week_states` says of all weeks: those somebody has open, and those somebody has sealed."""

    opened: Mapping[date, tuple[int, ...]]
    sealed: frozenset[date]


def release_partitions(
    connection: Connection, guard: Connection, files: ArchiveFiles, as_of: datetime
) -> tuple[tuple[str, ...], tuple[HeldPartition, ...]]:
    """Drop the partitions that may go; return their names, and those that are on hold with the reason.

    Both connections are in autocommit mode; `guard` keeps weeks from being opened while `connection` drops.
    """
    dropped: list[str] = []
    held: list[HeldPartition] = []
    weeks = _read_weeks(connection)
    stuck: set[str] = set()
    for partition in _week_partitions(connection):
        is_sealed = partition.week_start in weeks.sealed
        if partition.week_start in weeks.opened:
            if is_sealed:
                count = len(weeks.opened[partition.week_start])
                held.append(_held(partition, f"{count} organizations still have the week open.", needs_attention=False))
            continue
        if not is_sealed and as_of.astimezone(UTC).date() < partition.week_start + _EMPTY_AFTER:
            continue
        if partition.table in stuck:
            held.append(
                _held(partition, "another partition of its table waits for its readers.", needs_attention=False)
            )
            continue
        try:
            archives = _proven_archives(connection, files, partition)
            faults.reach("seal.archives_proven")
            if _drop_guarded(connection, guard, partition, archives):
                dropped.append(partition.name)
        except ArchiveError as error:
            held.append(_held(partition, str(error), needs_attention=True))
        except RetryableError as error:
            stuck.add(partition.table)
            held.append(_held(partition, str(error), needs_attention=False))
    return tuple(dropped), tuple(held)


def _proven_archives(
    connection: Connection, files: ArchiveFiles, partition: _WeekPartition
) -> dict[int, StoredArchive]:
    """Return the archives of all organizations with rows in the partition. Raises `ArchiveError` when one does not cover them."""
    query = sql.SQL("select organization_id, count(*) from {} group by organization_id")
    try:
        counts = connection.execute(query.format(sql.Identifier("partitions", partition.name))).fetchall()
    except psycopg.errors.UndefinedTable:
        return {}  # another session has dropped it meanwhile, and dropping it again does nothing
    archives = read_archives(connection, partition.table, partition.week_start) if counts else {}
    for organization_id, count in counts:
        archive = archives.get(organization_id)
        if archive is None:
            raise ArchiveError(
                f"it holds {count} rows of organization {organization_id}, of which there is no archive. "
                "Expected the week to be sealed: see to its row in ops.week_states, and seal again."
            )
        if archive.rows != count:
            raise ArchiveError(
                f"it holds {count} rows of organization {organization_id}, but their archive holds {archive.rows}. "
                "Expected no change after the seal: find out what wrote to a sealed week, reopen it, and seal again."
            )
        open_archive(files, archive)
    return {organization_id: archives[organization_id] for organization_id, _ in counts}


def _drop_guarded(
    connection: Connection, guard: Connection, partition: _WeekPartition, archives: Mapping[int, StoredArchive]
) -> bool:
    """Drop the partition unless the week was opened since its archives were proven; return whether it went."""
    try:
        with guard.transaction():
            guard.execute("select set_config('lock_timeout', %s, true)", [_GUARD_TIMEOUT])
            guard.execute("lock table ops.week_states in share mode")
            rows = guard.execute(
                "select organization_id, state from ops.week_states where week_start = %s", [partition.week_start]
            ).fetchall()
            sealed = {organization_id for organization_id, state in rows if state == "sealed"}
            if len(sealed) < len(rows):
                return False
            if not sealed.issuperset(archives):
                raise ArchiveError(
                    f"it holds rows of organizations {sorted(set(archives) - sealed)}, which have not sealed the week. "
                    "Expected a row in ops.week_states for each: restore it."
                )
            now = read_archives(guard, partition.table, partition.week_start)
            if any(now.get(organization_id) != archive for organization_id, archive in archives.items()):
                return False
            let_go_of_snapshot(guard)
            is_dropped = drop_partition(connection, partition.table, partition.name, patience=_PATIENCE)
            faults.reach("seal.partition_dropped")
            return is_dropped
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
        raise RetryableError("weeks are being opened just now; it goes with the next call.") from None


def _read_weeks(connection: Connection) -> _Weeks:
    rows = connection.execute(
        "select week_start, state, array_agg(organization_id) from ops.week_states group by week_start, state"
    ).fetchall()
    return _Weeks(
        {week_start: tuple(organizations) for week_start, state, organizations in rows if state == "open"},
        frozenset(week_start for week_start, state, _ in rows if state == "sealed"),
    )


def _week_partitions(connection: Connection) -> Iterable[_WeekPartition]:
    rows = connection.execute(
        "select relname from pg_class where relnamespace = 'partitions'::regnamespace and relkind in ('r', 'p')"
    ).fetchall()
    tables = {table.partition(".")[2]: table for table in ARCHIVED_TABLES}
    found = []
    for (name,) in rows:
        match = _WEEK_PARTITION.fullmatch(name)
        if match is not None and match["table"] in tables:
            week_start = date.fromisocalendar(int(match["year"]), int(match["week"]), 1)
            found.append(_WeekPartition(name, tables[match["table"]], week_start))
    return sorted(found, key=lambda partition: (partition.week_start, partition.name))


def _held(partition: _WeekPartition, reason: str, *, needs_attention: bool) -> HeldPartition:
    level = logging.ERROR if needs_attention else logging.INFO
    _LOG.log(level, "partition %s is on hold: %s", partition.name, reason, extra={"partition": partition.name})
    return HeldPartition(partition.name, reason, needs_attention)
