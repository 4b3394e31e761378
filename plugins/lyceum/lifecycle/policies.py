"""How long things stay: rows of `ops.partition_policies` for partitions, of `ops.retention_policies` for all else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal, LiteralString, TypeAlias, get_args

from lyceum.database import Connection
from lyceum.lifecycle.spans import Span
from lyceum.partitions import Granularity, Period
from lyceum.partitions import read_policies as read_shapes

Schedule: TypeAlias = Literal["daily", "weekly", "monthly", "yearly"]
SCHEDULES: tuple[Schedule, ...] = get_args(Schedule)

# A local day is over everywhere 12 hours after it is over in UTC. A whole day keeps the bounds at midnight.
_EVERYWHERE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class PartitionPolicy:
    """How long the partitions of one table stay after their end, and what becomes of them before they go.

    `cleanup` is the schedule that drops them. Where `is_archived`, an archive is made and proven first: `archive_after` their
    end, or when they expire. `hold_grace` is how long one may be on hold before somebody is told.
    """

    parent_table: str
    granularity: Granularity
    key_type: Literal["date", "timestamptz"]
    retention: Span
    cleanup: Schedule
    is_archived: bool
    archive_after: Span | None
    hold_grace: Span

    def ends_at(self, period: Period) -> datetime:
        """Return the instant from which on no row can belong to the period any more, wherever its organization is."""
        end = _midnight(period.upper)
        return end + _EVERYWHERE if self.key_type == "date" else end

    def expires_at(self, period: Period) -> datetime:
        """Return the instant from which on the partition of the period may go."""
        return self.retention.after(self.ends_at(period))

    def archive_due_at(self, period: Period) -> datetime:
        """Return the instant from which on the partition of the period is archived; for policies that archive."""
        expires_at = self.expires_at(period)
        return (
            expires_at
            if self.archive_after is None
            else min(expires_at, self.archive_after.after(self.ends_at(period)))
        )


@dataclass(frozen=True, slots=True)
class RowPolicy:
    """How long rows, or pages, of `subject` stay. `lyceum.lifecycle.rows` knows what their age is."""

    subject: str
    retention: Span
    cleanup: Schedule


def read_partition_policies(connection: Connection) -> tuple[PartitionPolicy, ...]:
    """Return the policies of all partitioned tables, by name. Raises `ConfigurationError` for one that fits no table."""
    key_types = {shape.parent_table: shape.key_type for shape in read_shapes(connection)}
    query = f"""
        select
            parent_table, granularity, cleanup, is_archived,
            {_parts("retention")}, {_parts("archive_after")}, {_parts("hold_grace")}
        from ops.partition_policies
        order by parent_table
    """  # noqa: S608
    rows = connection.execute(query.encode()).fetchall()
    return tuple(
        PartitionPolicy(
            parent_table=table,
            granularity=granularity,
            key_type=key_types[table],
            retention=Span(*parts[0:3]),
            cleanup=cleanup,
            is_archived=is_archived,
            archive_after=None if parts[3] is None else Span(*parts[3:6]),
            hold_grace=Span(*parts[6:9]),
        )
        for table, granularity, cleanup, is_archived, *parts in rows
    )


def read_row_policies(connection: Connection) -> tuple[RowPolicy, ...]:
    """Return the policies of what goes row by row, by subject."""
    rows: list[tuple[Any, ...]] = connection.execute(
        f"select subject, cleanup, {_parts('retention')} from ops.retention_policies order by subject".encode()  # noqa: S608
    ).fetchall()
    return tuple(RowPolicy(subject, Span(*parts), cleanup) for subject, cleanup, *parts in rows)


def _parts(column: LiteralString) -> str:
    """Return what reads an interval as months, days and seconds: a timedelta would take every year for 365 days."""
    return (
        f"(extract(year from {column}) * 12 + extract(month from {column}))::integer, extract(day from {column})::integer, "
        f"(extract(hour from {column}) * 3600 + extract(minute from {column}) * 60 + extract(second from {column}))::integer"
    )


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
