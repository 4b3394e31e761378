"""What may go at an instant, what is archived before, and what has to wait for whom: pure functions.

A partition goes when it has outlived its retention, no consumer needs it, and its archive, where its policy wants one, is
there. What has outlived its retention and stays is a hold with a reason. The plan says what is due; whether an archive is
whole, and whether anybody needs the partition after all, is looked at again by who carries the plan out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, TypeAlias

from lyceum.lifecycle.policies import PartitionPolicy, RowPolicy, Schedule
from lyceum.partitions import Period, period_of
from lyceum.partitions.planner import PARTITION_SCHEMA

_INSTANT = "%Y-%m-%d %H:%M UTC"


@dataclass(frozen=True, slots=True)
class FoundPartition:
    """A time partition as the catalogue has it. `is_month_of_days`: it holds no rows itself but days do."""

    parent_table: str
    name: str
    period: Period
    is_month_of_days: bool = False


@dataclass(frozen=True, slots=True)
class Need:
    """That `consumer` has not passed the days from `lower` to before `upper` of a table; `upper` None means all later ones.

    The days are those of the partition key: UTC days for instants, local days else. `may_be_forced`: somebody may decide that
    the rows are dropped all the same.
    """

    consumer: str
    parent_table: str
    lower: date
    upper: date | None
    reason: str
    may_be_forced: bool = False

    def concerns(self, parent_table: str, period: Period) -> bool:
        """Whether a row of the period is among those needed."""
        return (
            parent_table == self.parent_table
            and self.lower < period.upper
            and (self.upper is None or period.lower < self.upper)
        )


@dataclass(frozen=True, slots=True)
class Hold:
    """A partition that has expired and stays. `found_by` says whether the plan or the work on it met the reason."""

    parent_table: str
    name: str
    held_by: str
    reason: str
    expired_at: datetime
    grace_ends_at: datetime
    needs_attention: bool = False
    found_by: Literal["plan", "work"] = "plan"

    @property
    def sentence(self) -> str:
        """The hold, for a person."""
        return (
            f"Keep {PARTITION_SCHEMA}.{self.name}, expired since {self.expired_at:{_INSTANT}}: held by {self.held_by}, "
            f"because {self.reason}."
        )


@dataclass(frozen=True, slots=True)
class ArchivePartition:
    """Write the archive of a partition, read it back and record it. The partition stays."""

    parent_table: str
    name: str
    due_at: datetime

    @property
    def sentence(self) -> str:
        """The step, for a person."""
        return f"Archive {PARTITION_SCHEMA}.{self.name} and read the archive back: due since {self.due_at:{_INSTANT}}."


@dataclass(frozen=True, slots=True)
class DropPartition:
    """Drop a partition. `proof` is what stands in for its rows from then on; `forced_over` the needs that are overruled."""

    parent_table: str
    name: str
    period: Period
    expired_at: datetime
    proof: Literal["nothing", "archive", "sealed weeks"]
    forced_over: tuple[str, ...] = ()
    is_empty_month: bool = False

    @property
    def sentence(self) -> str:
        """The step, for a person."""
        shown = f"{PARTITION_SCHEMA}.{self.name}"
        if self.is_empty_month:
            return f"Drop {shown}: expired since {self.expired_at:{_INSTANT}}, and none of its days is left."
        because = {
            "nothing": "nobody needs it",
            "archive": "its archive is proven first",
            "sealed weeks": "every organization has sealed the week, whose archives are proven first",
        }[self.proof]
        if self.forced_over:
            because = f"by force, although {'; '.join(self.forced_over)}"
        return f"Drop {shown}: expired since {self.expired_at:{_INSTANT}}, {because}."


@dataclass(frozen=True, slots=True)
class RemoveRows:
    """Remove the rows, or pages, of `subject` that are at least as old as `retention` at `as_of`."""

    subject: str
    retention: str
    oldest: datetime

    @property
    def sentence(self) -> str:
        """The step, for a person."""
        return f"Remove from {self.subject} what is older than {self.retention}: the oldest is of {self.oldest:{_INSTANT}}."


Step: TypeAlias = ArchivePartition | DropPartition | RemoveRows


@dataclass(frozen=True, slots=True)
class CleanupPlan:
    """What is to be done, in order, and what stays although it has expired."""

    steps: tuple[Step, ...] = ()
    holds: tuple[Hold, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """The steps, then the holds, one sentence each."""
        return tuple(one.sentence for one in (*self.steps, *self.holds))


def plan_partitions(
    found: Iterable[FoundPartition],
    policies: Iterable[PartitionPolicy],
    needs: Sequence[Need],
    archived: frozenset[str],
    sealed_tables: frozenset[str],
    as_of: datetime,
    schedule: Schedule,
    *,
    is_forced: bool = False,
) -> CleanupPlan:
    """Return the steps of one schedule, and the holds of all, by table and time.

    `archived` are the names of partitions that have an archive on record; `sealed_tables` those whose weeks are archived by the
    seal, organization by organization. Archives are due on the monthly and on the yearly schedule.
    """
    by_table: dict[str, list[FoundPartition]] = defaultdict(list)
    for partition in found:
        by_table[partition.parent_table].append(partition)
    steps: list[Step] = []
    holds: list[Hold] = []
    for policy in sorted(policies, key=lambda policy: policy.parent_table):
        goes: set[str] = set()
        partitions = sorted(
            by_table[policy.parent_table], key=lambda one: (one.is_month_of_days, one.period.lower, one.name)
        )
        days_by_month = _days_by_month(partitions)
        for partition in partitions:
            if partition.is_month_of_days:
                days = days_by_month[partition.period]
                if policy.cleanup == schedule and policy.expires_at(partition.period) <= as_of and days <= goes:
                    steps.append(_drop(policy, partition, "nothing", ()))
                continue
            keeping = [
                need
                for need in needs
                if need.concerns(policy.parent_table, partition.period) and not (is_forced and need.may_be_forced)
            ]
            if keeping:
                # One that has not expired is not on hold: it is where it belongs.
                if policy.expires_at(partition.period) <= as_of:
                    holds.append(_hold(policy, partition, keeping))
                continue
            if _is_archive_due(policy, partition, archived, as_of, schedule):
                steps.append(
                    ArchivePartition(policy.parent_table, partition.name, policy.archive_due_at(partition.period))
                )
            if policy.cleanup == schedule and policy.expires_at(partition.period) <= as_of:
                goes.add(partition.name)
                proof: Literal["nothing", "archive", "sealed weeks"] = "archive" if policy.is_archived else "nothing"
                if policy.parent_table in sealed_tables:
                    proof = "sealed weeks"
                steps.append(_drop(policy, partition, proof, _overruled(partition, needs)))
    return CleanupPlan(tuple(steps), tuple(holds))


def plan_rows(
    oldest: Mapping[str, datetime], policies: Iterable[RowPolicy], as_of: datetime, schedule: Schedule
) -> tuple[RemoveRows, ...]:
    """Return what goes row by row on a schedule. `oldest` is the age of the oldest row that may go, by subject."""
    return tuple(
        RemoveRows(policy.subject, str(policy.retention), oldest[policy.subject])
        for policy in sorted(policies, key=lambda policy: policy.subject)
        if policy.cleanup == schedule
        and policy.subject in oldest
        and policy.retention.after(oldest[policy.subject]) <= as_of
    )


def _days_by_month(partitions: Iterable[FoundPartition]) -> Mapping[Period, set[str]]:
    days: dict[Period, set[str]] = defaultdict(set)
    for partition in partitions:
        if not partition.is_month_of_days:
            days[period_of("month", partition.period.lower)].add(partition.name)
    return days


def _hold(policy: PartitionPolicy, partition: FoundPartition, keeping: Iterable[Need]) -> Hold:
    expired_at = policy.expires_at(partition.period)
    return Hold(
        policy.parent_table,
        partition.name,
        ", ".join(sorted({need.consumer for need in keeping})),
        "; ".join(sorted({need.reason for need in keeping})),
        expired_at,
        policy.hold_grace.after(expired_at),
    )


def _overruled(partition: FoundPartition, needs: Iterable[Need]) -> tuple[str, ...]:
    """Return the reasons of needs that concern a partition which goes all the same."""
    return tuple(sorted({need.reason for need in needs if need.concerns(partition.parent_table, partition.period)}))


def _is_archive_due(
    policy: PartitionPolicy, partition: FoundPartition, archived: frozenset[str], as_of: datetime, schedule: Schedule
) -> bool:
    return (
        policy.is_archived
        and schedule in ("monthly", "yearly")
        and partition.name not in archived
        and policy.archive_due_at(partition.period) <= as_of
    )


def _drop(
    policy: PartitionPolicy,
    partition: FoundPartition,
    proof: Literal["nothing", "archive", "sealed weeks"],
    forced_over: tuple[str, ...],
) -> DropPartition:
    return DropPartition(
        policy.parent_table,
        partition.name,
        partition.period,
        policy.expires_at(partition.period),
        proof,
        forced_over,
        is_empty_month=partition.is_month_of_days,
    )
