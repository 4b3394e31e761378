"""The planner against an oracle that walks over days: nothing goes too early, nothing that is needed, and all else goes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lyceum.lifecycle.planner import (
    ArchivePartition,
    CleanupPlan,
    DropPartition,
    FoundPartition,
    Need,
    plan_partitions,
    plan_rows,
)
from lyceum.lifecycle.policies import SCHEDULES, PartitionPolicy, RowPolicy, Schedule
from lyceum.lifecycle.spans import Span
from lyceum.partitions import Granularity, period_named, period_of
from oracle.retention import days_of, may_go

RAW = "stage_one.raw_data_collection"
STATES = "stage_two.learner_day_states"
LEARNERS = "stage_two.learner_analytics"
YEARS = "stage_three.aggregated_analytics"
AUDIT = "audit.audit_logs"
QUARANTINE = "stage_one.quarantine"


def policy(table: str, granularity: Granularity, retention: Span, cleanup: Schedule, **more: object) -> PartitionPolicy:
    values: dict[str, object] = {
        "key_type": "date",
        "is_archived": False,
        "archive_after": None,
        "hold_grace": Span(days=1),
    }
    return PartitionPolicy(table, granularity, retention=retention, cleanup=cleanup, **(values | more))  # type: ignore[arg-type]


POLICIES = (
    policy(RAW, "day", Span(seconds=86_400), "daily", key_type="timestamptz"),
    policy(QUARANTINE, "month", Span(days=90), "weekly", key_type="timestamptz"),
    policy(STATES, "week", Span(days=7), "weekly"),
    policy(LEARNERS, "week", Span(days=7), "weekly"),
    policy(YEARS, "year", Span(months=84), "yearly", is_archived=True),
    policy(
        AUDIT,
        "month",
        Span(months=120),
        "yearly",
        key_type="timestamptz",
        is_archived=True,
        archive_after=Span(months=13),
    ),
)
# What the ERD says, once more and in other words.
RETENTION = {
    RAW: ("hours", 24),
    QUARANTINE: ("days", 90),
    STATES: ("days", 7),
    LEARNERS: ("days", 7),
    YEARS: ("years", 7),
    AUDIT: ("years", 10),
}
BY_TABLE = {one.parent_table: one for one in POLICIES}
SEALED = frozenset({STATES})

# Around leap days, the turn of ISO years, clock changes in Europe and America, and years apart.
EDGES = [
    date(2020, 12, 28),
    date(2021, 1, 3),
    date(2024, 2, 29),
    date(2024, 12, 30),
    date(2025, 1, 1),
    date(2026, 3, 29),
]
days = st.one_of(
    st.sampled_from(EDGES),
    st.dates(date(2013, 1, 1), date(2034, 12, 31)),
    st.dates(date(2025, 11, 1), date(2026, 12, 31)),
)
instants = st.one_of(
    st.datetimes(datetime(2020, 1, 1), datetime(2036, 12, 31)).map(  # noqa: DTZ001
        lambda moment: moment.replace(tzinfo=UTC)
    ),
    st.builds(
        lambda day, later: datetime(day.year, day.month, day.day, tzinfo=UTC) + later,
        st.one_of(st.sampled_from(EDGES), st.dates(date(2025, 11, 1), date(2027, 1, 31))),
        st.sampled_from(
            [timedelta(), timedelta(seconds=-1), timedelta(hours=12), timedelta(days=1), timedelta(days=8)]
        ),
    ),
)


def found(table: str, day: date, *, is_month: bool = False) -> FoundPartition:
    period = period_of("month" if is_month else BY_TABLE[table].granularity, day)
    return FoundPartition(table, f"{table.partition('.')[2]}_p{period.name}", period, is_month)


@st.composite
def catalogues(draw: st.DrawFn) -> tuple[FoundPartition, ...]:
    partitions = set()
    for table in BY_TABLE:
        for day in draw(st.lists(days, max_size=6)):
            partitions.add(found(table, day))
            if table == RAW:
                partitions.add(found(RAW, day, is_month=True))
    return tuple(draw(st.permutations(sorted(partitions, key=lambda one: one.name))))


@st.composite
def all_needs(draw: st.DrawFn) -> tuple[Need, ...]:
    needs = []
    for _ in range(draw(st.integers(0, 4))):
        lower = draw(days)
        upper = draw(
            st.one_of(st.none(), st.integers(1, 40).map(lambda number, lower=lower: lower + timedelta(days=number)))
        )
        needs.append(
            Need(
                draw(st.sampled_from(["build", "seal"])),
                draw(st.sampled_from(sorted(BY_TABLE))),
                lower,
                upper,
                "it waits",
                draw(st.booleans()),
            )
        )
    return tuple(needs)


def is_expired(partition: FoundPartition, as_of: datetime) -> bool:
    return may_go(
        partition.name.rpartition("_p")[2],
        is_local=BY_TABLE[partition.parent_table].key_type == "date",
        retention=RETENTION[partition.parent_table],
        as_of=as_of,
    )


def is_needed(partition: FoundPartition, needs: tuple[Need, ...]) -> bool:
    """Whether any single day of the partition is needed."""
    return any(
        need.parent_table == partition.parent_table
        and any(
            need.lower <= day and (need.upper is None or day < need.upper)
            for day in days_of(partition.name.rpartition("_p")[2])
        )
        for need in needs
    )


def plan(
    catalogue: tuple[FoundPartition, ...],
    needs: tuple[Need, ...],
    as_of: datetime,
    schedule: Schedule,
    *,
    archived: frozenset[str] = frozenset(),
    is_forced: bool = False,
) -> CleanupPlan:
    return plan_partitions(catalogue, POLICIES, needs, archived, SEALED, as_of, schedule, is_forced=is_forced)


def drops(planned: CleanupPlan) -> set[str]:
    return {step.name for step in planned.steps if isinstance(step, DropPartition)}


def all_drops(run: Callable[[Schedule], CleanupPlan]) -> set[str]:
    return set().union(*(drops(run(schedule)) for schedule in SCHEDULES))


@given(catalogues(), all_needs(), instants)
def test_exactly_what_has_expired_and_nobody_needs_goes(
    catalogue: tuple[FoundPartition, ...], needs: tuple[Need, ...], as_of: datetime
) -> None:
    gone = all_drops(lambda schedule: plan(catalogue, needs, as_of, schedule))

    leaves = [one for one in catalogue if not one.is_month_of_days]
    assert {one.name for one in leaves} & gone == {
        one.name for one in leaves if is_expired(one, as_of) and not is_needed(one, needs)
    }


@given(catalogues(), all_needs(), instants)
def test_a_month_goes_when_it_has_expired_and_every_day_of_it_goes(
    catalogue: tuple[FoundPartition, ...], needs: tuple[Need, ...], as_of: datetime
) -> None:
    planned = plan(catalogue, needs, as_of, "daily")

    gone = drops(planned)
    for month in (one for one in catalogue if one.is_month_of_days):
        rest = {
            one.name
            for one in catalogue
            if one.parent_table == RAW
            and not one.is_month_of_days
            and month.period.lower <= one.period.lower < month.period.upper
        } - gone
        assert (month.name in gone) == (is_expired(month, as_of) and not rest)
    order = [step.name for step in planned.steps]
    for month in (one for one in catalogue if one.name in gone and one.is_month_of_days):
        assert all(
            order.index(name) < order.index(month.name)
            for name in gone
            if name.startswith(f"raw_data_collection_p{month.period.lower:%Y%m}")
        )


def test_a_month_of_which_one_day_is_needed_stays_with_that_day() -> None:
    november = [found(RAW, date(2026, 11, day)) for day in (3, 4, 5)]
    catalogue = (found(RAW, date(2026, 11, 1), is_month=True), *november)
    needs = (Need("build", RAW, date(2026, 11, 4), date(2026, 11, 5), "it waits"),)
    as_of = datetime(2027, 1, 1, tzinfo=UTC)

    assert drops(plan(catalogue, needs, as_of, "daily")) == {november[0].name, november[2].name}
    assert drops(plan(catalogue, (), as_of, "daily")) == {one.name for one in catalogue}


@given(catalogues(), all_needs(), instants)
def test_a_hold_is_exactly_what_has_expired_and_is_needed(
    catalogue: tuple[FoundPartition, ...], needs: tuple[Need, ...], as_of: datetime
) -> None:
    for schedule in SCHEDULES:
        holds = plan(catalogue, needs, as_of, schedule).holds
        assert sorted(hold.name for hold in holds) == sorted(
            one.name
            for one in catalogue
            if not one.is_month_of_days and is_expired(one, as_of) and is_needed(one, needs)
        )


@given(catalogues(), all_needs(), instants)
def test_a_force_overrules_what_may_be_forced_and_nothing_younger_or_firmer(
    catalogue: tuple[FoundPartition, ...], needs: tuple[Need, ...], as_of: datetime
) -> None:
    firm = tuple(need for need in needs if not need.may_be_forced)

    forced = all_drops(lambda schedule: plan(catalogue, needs, as_of, schedule, is_forced=True))

    assert forced == all_drops(lambda schedule: plan(catalogue, firm, as_of, schedule))


@given(catalogues(), all_needs(), instants, st.timedeltas(timedelta(), timedelta(days=4000)))
def test_what_may_go_may_go_later_too(
    catalogue: tuple[FoundPartition, ...], needs: tuple[Need, ...], as_of: datetime, later: timedelta
) -> None:
    for schedule in SCHEDULES:
        assert drops(plan(catalogue, needs, as_of, schedule)) <= drops(plan(catalogue, needs, as_of + later, schedule))


@given(catalogues(), all_needs(), instants, st.randoms(use_true_random=False))
def test_the_same_world_in_another_order_gives_the_same_plan(
    catalogue: tuple[FoundPartition, ...], needs: tuple[Need, ...], as_of: datetime, chance: object
) -> None:
    for schedule in SCHEDULES:
        shuffled, asked = list(catalogue), list(needs)
        chance.shuffle(shuffled)  # type: ignore[attr-defined]
        chance.shuffle(asked)  # type: ignore[attr-defined]
        one, other = plan(catalogue, needs, as_of, schedule), plan(tuple(shuffled), tuple(asked), as_of, schedule)
        assert one == other
        assert one.sentences == other.sentences


@given(catalogues(), all_needs(), instants)
def test_the_clock_counts_not_the_zone_it_is_told_in(
    catalogue: tuple[FoundPartition, ...], needs: tuple[Need, ...], as_of: datetime
) -> None:
    from zoneinfo import ZoneInfo

    for schedule in SCHEDULES:
        there = plan(catalogue, needs, as_of.astimezone(ZoneInfo("America/New_York")), schedule)
        assert drops(there) == drops(plan(catalogue, needs, as_of, schedule))


@given(catalogues(), all_needs(), instants)
def test_a_partition_that_is_archived_is_archived_before_it_goes(
    catalogue: tuple[FoundPartition, ...], needs: tuple[Need, ...], as_of: datetime
) -> None:
    planned = plan(catalogue, needs, as_of, "yearly")

    archived: set[str] = set()
    for step in planned.steps:
        if isinstance(step, ArchivePartition):
            archived.add(step.name)
        elif isinstance(step, DropPartition) and BY_TABLE[step.parent_table].is_archived:
            assert step.proof == "archive"
            assert step.name in archived
    again = plan(catalogue, needs, as_of, "yearly", archived=frozenset(archived))
    assert [step for step in again.steps if isinstance(step, ArchivePartition)] == []
    assert drops(again) == drops(planned)


def test_audit_months_are_archived_after_thirteen_months_and_stay() -> None:
    month = found(AUDIT, date(2025, 1, 10))

    before = plan((month,), (), datetime(2026, 2, 28, 23, 59, tzinfo=UTC), "monthly")
    after = plan((month,), (), datetime(2026, 3, 1, tzinfo=UTC), "monthly")
    daily = plan((month,), (), datetime(2026, 3, 1, tzinfo=UTC), "daily")

    assert before.steps == daily.steps == ()
    assert after.sentences == (
        "Archive partitions.audit_logs_p2025m01 and read the archive back: due since 2026-03-01 00:00 UTC.",
    )


@pytest.mark.parametrize(
    ("name", "still_there", "gone"),
    [
        # A raw day lives 24 hours after its end: its rows 24 to 48 hours.
        ("raw_data_collection_p20261120", "2026-11-21T23:59:59Z", "2026-11-22T00:00:00Z"),
        # Weeks end when they are over in the last zone: a day late in UTC.
        ("learner_analytics_p2020w53", "2021-01-11T23:59:59Z", "2021-01-12T00:00:00Z"),
        ("learner_analytics_p2025w01", "2025-01-13T23:59:59Z", "2025-01-14T00:00:00Z"),
        ("aggregated_analytics_p2019", "2027-01-01T23:59:59Z", "2027-01-02T00:00:00Z"),
        ("audit_logs_p2016m02", "2026-02-28T23:59:59Z", "2026-03-01T00:00:00Z"),
        ("quarantine_p2026m01", "2026-05-01T23:59:59Z", "2026-05-02T00:00:00Z"),
    ],
)
def test_each_kind_of_partition_goes_at_its_instant(name: str, still_there: str, gone: str) -> None:
    prefix, _, suffix = name.rpartition("_p")
    table = next(table for table in BY_TABLE if table.endswith(f".{prefix}"))
    period = period_named(suffix)
    assert period is not None
    partition = FoundPartition(table, name, period)

    for instant, expected in ((still_there, set()), (gone, {name})):
        as_of = datetime.fromisoformat(instant)
        assert all_drops(lambda schedule, as_of=as_of: plan((partition,), (), as_of, schedule)) == expected  # type: ignore[misc]


def test_a_plan_reads_like_sentences() -> None:
    catalogue = (found(RAW, date(2026, 11, 19)), found(RAW, date(2026, 11, 20)), found(STATES, date(2026, 10, 5)))
    needs = (
        Need(
            "build",
            RAW,
            date(2026, 11, 20),
            date(2026, 11, 21),
            "3 collected hours of 2 organizations wait to be built",
            True,
        ),
    )
    as_of = datetime(2026, 11, 22, 0, 25, tzinfo=UTC)

    assert plan(catalogue, needs, as_of, "daily").sentences == (
        "Drop partitions.raw_data_collection_p20261119: expired since 2026-11-21 00:00 UTC, nobody needs it.",
        "Keep partitions.raw_data_collection_p20261120, expired since 2026-11-22 00:00 UTC: held by build, because 3 collected "
        "hours of 2 organizations wait to be built.",
    )
    assert plan(catalogue, needs, as_of, "daily", is_forced=True).sentences[1] == (
        "Drop partitions.raw_data_collection_p20261120: expired since 2026-11-22 00:00 UTC, by force, although 3 collected hours "
        "of 2 organizations wait to be built."
    )
    assert plan(catalogue, needs, as_of, "weekly").sentences[0] == (
        "Drop partitions.learner_day_states_p2026w41: expired since 2026-10-20 00:00 UTC, every organization has sealed the week, "
        "whose archives are proven first."
    )


def test_rows_go_by_their_own_schedule_when_the_oldest_is_old_enough() -> None:
    policies = (
        RowPolicy("ops.alerts", Span(months=13), "weekly"),
        RowPolicy("reporting.quality_pages", Span(days=7), "daily"),
    )
    oldest = {
        "ops.alerts": datetime(2025, 10, 22, tzinfo=UTC),
        "reporting.quality_pages": datetime(2026, 11, 15, tzinfo=UTC),
    }
    as_of = datetime(2026, 11, 22, tzinfo=UTC)

    assert [step.subject for step in plan_rows(oldest, policies, as_of, "weekly")] == ["ops.alerts"]
    assert [step.subject for step in plan_rows(oldest, policies, as_of, "daily")] == ["reporting.quality_pages"]
    assert plan_rows(oldest, policies, as_of - timedelta(seconds=1), "daily") == ()
    assert plan_rows({}, policies, as_of, "weekly") == ()
