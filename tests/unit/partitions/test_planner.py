"""The planner: every day has exactly one partition, and the steps depend on what exists and nothing else."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lyceum.partitions import (
    Existing,
    Granularity,
    Partition,
    Policy,
    period_of,
    periods_ahead,
    plan,
    wanted_partitions,
)

DAYS = st.dates(date(1999, 1, 1), date(2040, 12, 31))
GRANULARITIES: tuple[Granularity, ...] = ("day", "week", "month", "year")
DAY_COUNT = 30 * 366

WEEKS = Policy("stage_two.learner_day_states", "week", 8, 2, "activity_date", "date")
KEYS = Policy("stage_one.event_keys", "week", 8, 1, "activity_date", "date")
RAW = Policy("stage_one.raw_data_collection", "day", 3, 1, "collected_at", "timestamptz")
QUARANTINE = Policy("stage_one.quarantine", "month", 3, 1, "quarantined_at", "timestamptz")
YEARS = Policy("stage_three.aggregated_analytics", "year", 2, 2, "period_start", "date")
POLICIES = (WEEKS, KEYS, RAW, QUARANTINE, YEARS)


@pytest.mark.parametrize(
    ("granularity", "day", "name"),
    [
        ("week", date(2024, 12, 30), "2025w01"),
        ("week", date(2020, 12, 31), "2020w53"),
        ("week", date(2021, 1, 3), "2020w53"),
        ("week", date(2021, 1, 4), "2021w01"),
        ("week", date(2013, 2, 5), "2013w06"),
        ("month", date(2024, 2, 29), "2024m02"),
        ("day", date(2013, 2, 5), "20130205"),
        ("year", date(2013, 12, 31), "2013"),
    ],
)
def test_periods_are_named_by_the_iso_calendar(granularity: Granularity, day: date, name: str) -> None:
    assert period_of(granularity, day).name == name


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_periods_of_thirty_years_follow_one_another_without_gap_or_overlap_and_have_names_of_their_own(
    granularity: Granularity,
) -> None:
    first = date(2000, 1, 1)
    periods = sorted({period_of(granularity, first + timedelta(days=number)) for number in range(DAY_COUNT)})

    assert all(before.upper == after.lower for before, after in pairwise(periods))
    assert periods[0].lower <= first < periods[0].upper
    assert len({period.name for period in periods}) == len(periods)


@given(st.sampled_from(GRANULARITIES), DAYS, DAYS)
def test_a_day_lies_in_the_period_that_bears_it_and_in_no_other(
    granularity: Granularity, day: date, other: date
) -> None:
    own, others = period_of(granularity, day), period_of(granularity, other)

    assert own.lower <= day < own.upper
    assert (own == others) == (others.lower <= day < others.upper)


@given(st.sampled_from(GRANULARITIES), DAYS, st.integers(0, 20))
def test_periods_ahead_are_contiguous_and_begin_with_the_day_given(
    granularity: Granularity, day: date, count: int
) -> None:
    periods = list(periods_ahead(granularity, day, count))

    assert len(periods) == count + 1
    assert periods[0] == period_of(granularity, day)
    assert all(before.upper == after.lower for before, after in pairwise(periods))


@given(st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_every_policy_is_ready_ahead_of_any_clock(as_of: datetime) -> None:
    wanted = wanted_partitions(POLICIES, as_of, {})

    today = as_of.date()
    for policy, distance in ((WEEKS, timedelta(weeks=8)), (KEYS, timedelta(weeks=8)), (QUARANTINE, timedelta(days=89))):
        for day in (today, today + distance):
            assert _holders(wanted, policy, day) == 1
    assert all(_holders(wanted, YEARS, date(today.year + number, 6, 1)) == 1 for number in range(3))
    days = [day for month in wanted if month.root == RAW.parent_table for day in month.days]
    assert [day.lower for day in days] == [today + timedelta(days=number) for number in range(len(days))]
    assert days[-1].upper.day == 1
    assert days[-1].upper >= today + timedelta(days=89)


@given(st.sets(DAYS, min_size=1, max_size=20))
def test_every_needed_day_lies_in_exactly_one_leaf(days: set[date]) -> None:
    wanted = wanted_partitions(POLICIES, None, {policy.parent_table: days for policy in POLICIES})

    leaves = [leaf for partition in wanted for leaf in (partition.days or (partition,))]
    for policy in POLICIES:
        for day in days:
            assert sum(leaf.root == policy.parent_table and leaf.lower <= day < leaf.upper for leaf in leaves) == 1
    names = [partition.name for partition in wanted] + [day.name for month in wanted for day in month.days]
    assert len(set(names)) == len(names)


def test_nothing_is_planned_when_everything_exists() -> None:
    as_of = datetime(2026, 11, 22, 12, tzinfo=UTC)
    wanted = wanted_partitions(POLICIES, as_of, {})
    existing = {partition.name: Existing("attached") for top in wanted for partition in (top, *top.days)}

    assert not plan(existing, POLICIES, as_of, {})


def test_a_month_gains_only_the_days_that_are_missing() -> None:
    existing = {
        "raw_data_collection_p2026m11": Existing("attached"),
        "raw_data_collection_p20261122": Existing("attached"),
    }

    planned = plan(existing, [RAW], None, {RAW.parent_table: [date(2026, 11, 22), date(2026, 11, 23)]})

    assert planned.sentences == (
        "Create partitions.raw_data_collection_p20261123 in partitions.raw_data_collection_p2026m11 "
        "for collected_at from 2026-11-23 00:00:00+00 to before 2026-11-24 00:00:00+00.",
    )


def test_days_before_as_of_are_not_created_again() -> None:
    planned = plan({}, [RAW], datetime(2026, 11, 29, 23, 59, tzinfo=UTC), {})

    november = planned.partitions[0]
    assert [day.name for day in november.days] == ["raw_data_collection_p20261129", "raw_data_collection_p20261130"]


def test_as_of_counts_in_utc() -> None:
    kathmandu = datetime.fromisoformat("2026-12-01T02:00:00+05:45")

    assert plan({}, [QUARANTINE], kathmandu, {}).partitions[0].name == "quarantine_p2026m11"


def test_plans_read_like_sentences() -> None:
    needed = {WEEKS.parent_table: [date(2026, 11, 22)], RAW.parent_table: [date(2026, 11, 22)]}

    assert plan({}, [WEEKS, RAW], None, needed).sentences == (
        "Create partitions.learner_day_states_p2026w47 in stage_two.learner_day_states "
        "for activity_date from 2026-11-16 to before 2026-11-23, split into 2 leaves by organization_id.",
        "Create partitions.raw_data_collection_p2026m11 in stage_one.raw_data_collection for collected_at "
        "from 2026-11-01 00:00:00+00 to before 2026-12-01 00:00:00+00, split into days: 2026-11-22 to 2026-11-22 (1).",
    )


@pytest.mark.parametrize(
    ("found", "actions"),
    [
        (Existing("attached"), []),
        (Existing("detached", has_rows=False), ["discard", "create"]),
        (Existing("detached", has_rows=True), ["attach"]),
        (Existing("detaching", has_rows=True), ["finalize", "attach"]),
        (Existing("detaching", has_rows=False), ["finalize", "discard", "create"]),
    ],
)
def test_what_an_interruption_left_is_picked_up_without_giving_up_a_row(found: Existing, actions: list[str]) -> None:
    planned = plan({"event_keys_p2026w47": found}, [KEYS], None, {KEYS.parent_table: [date(2026, 11, 22)]})

    assert [step.action for step in planned.steps] == actions


def test_a_reattached_month_still_gains_its_missing_days() -> None:
    existing = {"raw_data_collection_p2026m11": Existing("detached", has_rows=True)}

    planned = plan(existing, [RAW], None, {RAW.parent_table: [date(2026, 11, 22)]})

    assert [(step.action, step.partition.name) for step in planned.steps] == [
        ("attach", "raw_data_collection_p2026m11"),
        ("create", "raw_data_collection_p20261122"),
    ]


def _holders(partitions: tuple[Partition, ...], policy: Policy, day: date) -> int:
    return sum(
        partition.root == policy.parent_table and partition.lower <= day < partition.upper for partition in partitions
    )
