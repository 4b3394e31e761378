"""The oracle's views, held against cases that were worked out by hand."""

from __future__ import annotations

from datetime import date, timedelta
from fractions import Fraction
from typing import Any

import pytest

from oracle.figures import Figures, compute
from oracle.histories import calendar, record
from oracle.views import Pair, learner_summary, organization_metrics, percent_rank

LAST = date(2026, 3, 31)


def told(*records: Any) -> Figures:
    return compute(records, calendar(), LAST)


def on(back: int, minute: int = 0, **changes: Any) -> Any:
    """An event so many days before the last closed day."""
    return record(f"{LAST - timedelta(days=back)} 10:{minute:02}", **changes)


def summary(*records: Any, learner: str = "ann") -> dict[str, Any]:
    return learner_summary(told(*records), LAST)[Pair(learner, "c1")]


def test_windows_end_on_the_last_closed_day_and_hold_7_and_28_days() -> None:
    row = summary(on(-1), on(0), on(6), on(7), on(27), on(28), on(60))
    assert (row["weekly_event_count"], row["monthly_event_count"], row["lifetime_event_count"]) == (2, 4, 6)
    assert row["last_active_on"] == LAST


def test_who_came_only_after_the_last_closed_day_has_no_row() -> None:
    assert learner_summary(told(on(3), on(-1, learner="ben")), LAST).keys() == {Pair("ann", "c1")}


@pytest.mark.parametrize(
    ("days", "current", "longest"),
    [((), 0, 0), ((0,), 1, 1), ((1, 2, 3), 0, 3), ((0, 1, 3, 4, 5), 2, 3), ((0, 1, 2, 40, 41), 3, 3)],
)
def test_a_streak_is_consecutive_active_days(days: tuple[int, ...], current: int, longest: int) -> None:
    row = summary(on(90, kind="registered"), *(on(back) for back in days))
    assert (row["current_streak_days"], row["longest_streak_days"]) == (current, longest)


def test_ranked_are_those_who_were_active_in_the_week_and_ties_share() -> None:
    records = [on(3, learner=name) for name in ("ann", "ben", "cid")]
    records += [on(3, minute, learner="dot") for minute in (1, 2)]
    records += [on(9, learner="eve"), on(2, learner="fay", kind="registered")]
    rows = learner_summary(told(*records), LAST)
    found = {
        pair.learner: (rows[pair]["engagement_rank"], rows[pair]["engagement_band"])
        for pair in sorted(rows, key=lambda pair: pair.learner)
    }
    assert found == {
        "ann": (0, "low"),
        "ben": (0, "low"),
        "cid": (0, "low"),
        "dot": (1, "high"),
        "eve": (None, "inactive"),
        "fay": (None, "inactive"),
    }


def test_a_percent_rank_has_six_digits_before_it_is_compared() -> None:
    assert percent_rank(Fraction(5), [Fraction(5)]) == 0
    assert percent_rank(Fraction(5), [Fraction(number) for number in (1, 5, 5, 9)]) == Fraction(333333, 10**6)


def test_where_there_is_no_time_events_are_compared() -> None:
    day = LAST - timedelta(days=1)
    rows = learner_summary(
        told(on(1, day=day), on(1, 5, learner="ben", day=day), on(1, 6, learner="ben", day=day)), LAST
    )
    assert rows[Pair("ben", "c1")]["weekly_time_on_task_seconds"] is None
    assert [rows[Pair(name, "c1")]["engagement_rank"] for name in ("ann", "ben")] == [0, 1]


def test_struggling_are_those_with_three_attempts_who_pass_least() -> None:
    def attempts(learner: str, number: int, passed: int) -> list[Any]:
        return [
            on(2, minute, learner=learner, kind="answered", target=f"quiz-{minute}", is_success=minute < passed)
            for minute in range(number)
        ]

    records = [*attempts("ann", 6, 1), *attempts("ben", 6, 6), *attempts("cid", 2, 0), *attempts("dot", 4, 2)]
    rows = learner_summary(told(*records), LAST)
    found = {pair.learner: row["weekly_attempts_per_pass"] for pair, row in rows.items()}
    assert found == {"ann": 6, "ben": 1, "cid": 2, "dot": 2}
    assert {pair.learner for pair, row in rows.items() if row["is_struggling"]} == {"ann"}


def test_with_two_attempts_nobody_struggles() -> None:
    rows = learner_summary(
        told(*(on(2, minute, learner=name, kind="answered") for name, minute in (("ann", 1), ("ann", 2), ("ben", 1)))),
        LAST,
    )
    assert rows[Pair("ann", "c1")]["struggle_rank"] == 1
    assert not rows[Pair("ann", "c1")]["is_struggling"]


def test_who_registered_and_never_came_is_at_risk_and_inactive() -> None:
    row = summary(on(40, kind="registered"))
    assert row["is_at_risk"]
    assert row["is_enrolled"]
    assert (row["engagement_band"], row["lifetime_active_days"], row["last_active_on"]) == ("inactive", 0, None)


def metrics(*records: Any) -> dict[str, Any]:
    found = organization_metrics(told(*records), LAST, lambda course: int(course[1:]))
    assert found is not None
    return found


def test_actives_are_compared_with_the_period_before_and_null_from_zero() -> None:
    row = metrics(on(0), on(0, learner="ben"), on(0, learner="cid"), on(1), on(8), on(8, learner="ben"), on(40))
    assert (row["daily_active_learners"], row["daily_active_learners_before"]) == (3, 1)
    assert row["daily_active_learners_change"] == 2
    assert (row["weekly_active_learners_before"], row["weekly_active_learners_change"]) == (2, Fraction(1, 2))
    assert row["monthly_active_learners_before"] == 1
    assert metrics(on(0))["weekly_active_learners_change"] is None


def test_courses_are_ranked_from_ten_enrolled_learners_on() -> None:
    def course(name: str, learners: int, completed: int) -> list[Any]:
        return [
            on(0, number, learner=f"{name}-{number}", course=name, kind="completed", target=name)
            if number < completed
            else on(0, number, learner=f"{name}-{number}", course=name)
            for number in range(learners)
        ]

    records = [
        *course("c5", 10, 5),
        *course("c2", 10, 1),
        *course("c3", 20, 2),
        *course("c4", 9, 9),
        *course("c1", 10, 1),
    ]
    row = metrics(*records)
    assert row["best_course_ids"] == [5, 3, 1]
    assert row["best_course_completion_rates"] == [Fraction(1, 2), Fraction(1, 10), Fraction(1, 10)]
    assert row["weakest_course_ids"] == [3, 1, 2]


def test_an_organization_without_a_row_of_the_last_closed_day_has_none() -> None:
    assert organization_metrics(told(), LAST, len) is None
    assert organization_metrics(told(on(-1)), LAST, len) is None
