"""Which weeks take events, and what the clock says."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from lyceum.collect.clock import IN_THE_FUTURE, OLDER_THAN_RETENTION, ON_TIME, Clock
from lyceum.collect.weeks import day_ranges, plan_weeks
from lyceum.local_calendar import LocalCalendar, to_microseconds

LONDON = LocalCalendar.of_zone("Europe/London")
WEEK = date(2024, 4, 29)
DUE = datetime(2024, 5, 12, 23, tzinfo=UTC)


@pytest.mark.parametrize("is_history", [False, True])
def test_an_open_week_takes_events(is_history: bool) -> None:
    plan = plan_weeks([WEEK], {WEEK: "open"}, LONDON, DUE + timedelta(days=100), is_history=is_history)

    assert (plan.taking, plan.opening, plan.restoring) == ({WEEK}, (), ())


@pytest.mark.parametrize(("seconds", "is_history", "opens"), [(-1, False, True), (0, False, False), (0, True, True)])
def test_a_week_that_was_never_built_opens_until_seven_days_after_its_local_end(
    seconds: int, is_history: bool, opens: bool
) -> None:
    plan = plan_weeks([WEEK], {}, LONDON, DUE + timedelta(seconds=seconds), is_history=is_history)

    assert (plan.taking, plan.opening) == (({WEEK}, (WEEK,)) if opens else (set(), ()))


@pytest.mark.parametrize("is_history", [False, True])
def test_a_sealed_week_is_restored_for_history_alone(is_history: bool) -> None:
    plan = plan_weeks([WEEK], {WEEK: "sealed"}, LONDON, DUE - timedelta(days=3), is_history=is_history)

    assert (plan.taking, plan.restoring) == (({WEEK}, (WEEK,)) if is_history else (set(), ()))


def test_neighbouring_weeks_become_one_range_of_days() -> None:
    weeks = [date(2024, 5, 13), date(2024, 4, 29), date(2024, 5, 6), date(2024, 1, 1)]

    assert day_ranges(weeks) == [(date(2024, 1, 1), date(2024, 1, 8)), (date(2024, 4, 29), date(2024, 5, 20))]


@pytest.mark.parametrize(
    ("occurred_at", "verdict"),
    [
        (datetime(2024, 2, 29, 12, 5, tzinfo=UTC), ON_TIME),
        (datetime(2024, 2, 29, 12, 5, 0, 1, tzinfo=UTC), IN_THE_FUTURE),
        (datetime(2017, 2, 28, 12, tzinfo=UTC), ON_TIME),
        (datetime(2017, 2, 28, 11, 59, 59, 999999, tzinfo=UTC), OLDER_THAN_RETENTION),
        (datetime(1, 1, 2, tzinfo=UTC), OLDER_THAN_RETENTION),
    ],
)
def test_the_clock_judges_by_the_instant(occurred_at: datetime, verdict: int) -> None:
    clock = Clock(datetime(2024, 2, 29, 12, tzinfo=UTC))

    assert clock.verdicts(np.array([to_microseconds(occurred_at)])).tolist() == [verdict]
