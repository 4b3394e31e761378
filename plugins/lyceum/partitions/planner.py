"""Which partitions are missing, and what to do about it: pure functions from what exists to a plan.

A partitioned table has one partition a period. Three shapes exist: the time partition is the leaf (`event_keys`), it is
split by hash of the organization (`learner_day_states`), or it is a month that is split into days (`raw_data_collection`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Literal

from lyceum.partitions.periods import Granularity, period_of, periods_ahead

PARTITION_SCHEMA = "partitions"


@dataclass(frozen=True, slots=True)
class Policy:
    """How one table is partitioned: a row of `ops.partition_policies` with the table's own partition key.

    `key_type` is `date` or `timestamptz`; the bounds of the latter are UTC midnights. `create_ahead` counts periods beyond
    the one that holds as_of; for days it counts months.
    """

    parent_table: str
    granularity: Granularity
    create_ahead: int
    hash_modulus: int
    key_column: str
    key_type: Literal["date", "timestamptz"]


@dataclass(frozen=True, slots=True)
class Partition:
    """One time partition as it should be. `name` is its name in the schema `partitions`, `parent` the qualified name of
    the table right above it, `root` that of the table that people know. `days` are the leaves of a month, if it has any."""

    name: str
    parent: str
    root: str
    lower: date
    upper: date
    key_column: str
    key_type: Literal["date", "timestamptz"]
    hash_modulus: int = 1
    is_split_into_days: bool = False
    days: tuple[Partition, ...] = ()

    @property
    def qualified_name(self) -> str:
        """The name with its schema."""
        return f"{PARTITION_SCHEMA}.{self.name}"

    @property
    def bounds(self) -> tuple[str, str]:
        """The half-open bounds as literals of the key's type."""
        suffix = " 00:00:00+00" if self.key_type == "timestamptz" else ""
        return f"{self.lower.isoformat()}{suffix}", f"{self.upper.isoformat()}{suffix}"

    @property
    def leaf_count(self) -> int:
        """How many tables hold the rows."""
        return len(self.days) if self.is_split_into_days else self.hash_modulus


@dataclass(frozen=True, slots=True)
class Existing:
    """A table of the schema `partitions` as the catalogue has it.

    `detaching` is an interrupted DETACH CONCURRENTLY, `detached` a table that no parent has: what an interrupted drop left.
    `has_rows` is only known, and only matters, for these two.
    """

    state: Literal["attached", "detaching", "detached"]
    has_rows: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do to one partition."""

    action: Literal["finalize", "discard", "create", "attach"]
    partition: Partition

    @property
    def sentence(self) -> str:
        """What the step does, for a person."""
        partition = self.partition
        lower, upper = partition.bounds
        if self.action == "finalize":
            return f"Finish the interrupted detachment of {partition.qualified_name} from {partition.parent}."
        if self.action == "discard":
            return f"Drop {partition.qualified_name}, which is detached and holds no row."
        if self.action == "attach":
            return f"Attach {partition.qualified_name}, which is detached and still holds rows, to {partition.parent} again."
        shape = ""
        if partition.is_split_into_days:
            days = partition.days
            shape = (
                f", split into days: {days[0].lower} to {days[-1].lower} ({len(days)})" if days else ", split into days"
            )
        elif partition.hash_modulus > 1:
            shape = f", split into {partition.hash_modulus} leaves by organization_id"
        return (
            f"Create {partition.qualified_name} in {partition.parent} "
            f"for {partition.key_column} from {lower} to before {upper}{shape}."
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """What has to happen so that every wanted partition exists. An empty plan means: nothing to do."""

    steps: tuple[Step, ...] = ()
    partitions: tuple[Partition, ...] = field(default=(), repr=False)
    """The wanted time partitions that the steps are about."""

    def __bool__(self) -> bool:
        return bool(self.steps)

    @property
    def sentences(self) -> tuple[str, ...]:
        """The steps in order, one sentence each."""
        return tuple(step.sentence for step in self.steps)


def wanted_partitions(
    policies: Iterable[Policy], as_of: datetime | None, needed: Mapping[str, Iterable[date]]
) -> tuple[Partition, ...]:
    """Return the time partitions that must exist, by table and time, months with the days that must exist in them.

    With `as_of` these are the periods that hold it and the policy's number of periods after it; days begin with the day of
    as_of, because earlier ones may have been dropped. `needed` adds the periods of days per table: local days for keys
    of type `date`, UTC days for `timestamptz`.
    """
    return tuple(
        partition
        for policy in policies
        for partition in _partitions(policy, _periods_of_policy(policy, as_of, needed.get(policy.parent_table, ())))
    )


def plan(
    existing: Mapping[str, Existing],
    policies: Sequence[Policy],
    as_of: datetime | None,
    needed: Mapping[str, Iterable[date]],
) -> Plan:
    """Return the steps from what exists, by relation name, to what `wanted_partitions` says must exist."""
    partitions = []
    steps: list[Step] = []
    for partition in wanted_partitions(policies, as_of, needed):
        own_steps = tuple(steps_towards(partition, existing))
        if own_steps:
            partitions.append(partition)
            steps.extend(own_steps)
    return Plan(tuple(steps), tuple(partitions))


def steps_towards(partition: Partition, existing: Mapping[str, Existing]) -> Iterator[Step]:
    """Yield the steps after which `partition` is attached, its days included. Rows are never given up."""
    found = existing.get(partition.name)
    if found is None:
        yield Step("create", partition)
        return
    if found.state == "detaching":
        yield Step("finalize", partition)
    if found.state != "attached":
        if not found.has_rows:
            # Its shape may be of another time (columns, leaves); a new one costs nothing.
            yield Step("discard", partition)
            yield Step("create", partition)
            return
        yield Step("attach", partition)
    for day in partition.days:
        yield from steps_towards(day, existing)


def _periods_of_policy(policy: Policy, as_of: datetime | None, days: Iterable[date]) -> list[date]:
    """Return the first days of all wanted periods, sorted, each once."""
    first_days = {period_of(policy.granularity, day).lower for day in days}
    if as_of is not None:
        today = as_of.astimezone(UTC).date()
        if policy.granularity == "day":
            *_, last_month = periods_ahead("month", today, policy.create_ahead)
            day_count = (last_month.upper - today).days
            first_days.update(period.lower for period in periods_ahead("day", today, day_count - 1))
        else:
            first_days.update(period.lower for period in periods_ahead(policy.granularity, today, policy.create_ahead))
    return sorted(first_days)


def _partitions(policy: Policy, first_days: Sequence[date]) -> Iterator[Partition]:
    if policy.granularity != "day":
        for first_day in first_days:
            yield _partition(policy, policy.granularity, first_day, policy.parent_table)
        return
    months: dict[date, list[date]] = {}
    for day in first_days:
        months.setdefault(period_of("month", day).lower, []).append(day)
    for first_day, days in months.items():
        month = _partition(policy, "month", first_day, policy.parent_table)
        yield Partition(
            name=month.name,
            parent=month.parent,
            root=month.root,
            lower=month.lower,
            upper=month.upper,
            key_column=month.key_column,
            key_type=month.key_type,
            is_split_into_days=True,
            days=tuple(_partition(policy, "day", day, month.qualified_name) for day in days),
        )


def _partition(policy: Policy, granularity: Granularity, first_day: date, parent: str) -> Partition:
    period = period_of(granularity, first_day)
    table = policy.parent_table.partition(".")[2]
    return Partition(
        name=f"{table}_p{period.name}",
        parent=parent,
        root=policy.parent_table,
        lower=period.lower,
        upper=period.upper,
        key_column=policy.key_column,
        key_type=policy.key_type,
        hash_modulus=policy.hash_modulus,
    )
