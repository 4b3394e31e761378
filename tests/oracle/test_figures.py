from __future__ import annotations

from datetime import date
from fractions import Fraction

import pytest

from oracle.calendars import Calendar
from oracle.figures import ALL_COURSES, Figures, Key, Row, Scope, compute, measure, quotient
from oracle.histories import calendar, instant, record, watched
from oracle.rosters import NO_ROSTERS, RosterDays
from oracle.statements import Record, read_day_record

C1 = Scope(False, "c1")
UNASSIGNED = Scope(False, None)


def figures(*records: Record, closed_through: str, zone: str = "UTC", roster: RosterDays = NO_ROSTERS) -> Figures:
    return compute(records, calendar(zone), date.fromisoformat(closed_through), roster)


def learner(found: Figures, period_type: str, start: str, scope: Scope = C1, subject: str = "ann") -> Row:
    return found.stage_three[Key(subject, scope, period_type, date.fromisoformat(start))]


def organization(found: Figures, period_type: str, start: str) -> Row:
    return found.stage_three[Key(None, ALL_COURSES, period_type, date.fromisoformat(start))]


# Time


def test_a_session_across_hours_is_one_and_a_gap_of_thirty_minutes_does_not_cut_it() -> None:
    row = measure([record(f"2026-03-02 {at}") for at in ("09:40:59", "10:10:00", "10:40:30", "10:40:59")])
    assert (row["active_minutes"], row["session_count"], row["time_on_task_seconds"]) == (3, 1, 61 * 60)


def test_a_gap_of_thirty_one_minutes_cuts_a_session() -> None:
    row = measure([record(f"2026-03-02 {at}") for at in ("09:40", "10:11", "10:12")])
    assert (row["active_minutes"], row["session_count"], row["time_on_task_seconds"]) == (3, 2, 60 + 120)


def test_seconds_within_the_minute_do_not_lengthen_the_gap() -> None:
    assert measure([record("2026-03-02 09:00:00"), record("2026-03-02 09:30:59.999999")])["session_count"] == 1
    assert measure([record("2026-03-02 09:00:59"), record("2026-03-02 09:31:00")])["session_count"] == 2


def test_sessions_are_cut_at_local_midnight() -> None:
    found = figures(
        record("2026-06-10 22:59"), record("2026-06-10 23:00"), zone="Europe/London", closed_through="2026-06-11"
    )
    for day in ("2026-06-10", "2026-06-11"):
        assert learner(found, "day", day)["time_on_task_seconds"] == 60
    assert learner(found, "week", "2026-06-08")["session_count"] == 2


@pytest.mark.parametrize(
    ("at", "day"),
    [
        ("2026-03-28 23:59:59.999999", "2026-03-28"),
        ("2026-03-29 00:00", "2026-03-29"),
        ("2026-03-29 22:59", "2026-03-29"),
    ],
)
def test_an_event_at_midnight_of_a_daylight_saving_day_lands_on_one_day(at: str, day: str) -> None:
    found = figures(record(at), zone="Europe/London", closed_through="2026-03-30")
    assert [key.start.isoformat() for key in found.stage_three if key.subject and key.period_type == "day"] == [
        day,
        day,
    ]


def test_events_that_know_only_their_day_have_no_minutes() -> None:
    event = read_day_record(
        "1", "ann", "c1", date(2026, 3, 2), instant("2026-03-02 00:00"), "interacted", "site", quantity=17
    )
    row = learner(figures(event, closed_through="2026-03-02"), "day", "2026-03-02")
    assert row["interaction_count"] == 17
    assert (row["active_minutes"], row["session_count"], row["time_on_task_seconds"]) == (None, None, None)


def test_across_courses_minutes_are_united_and_counts_add() -> None:
    found = figures(
        record("2026-03-02 10:00:10"),
        record("2026-03-02 10:00:20", course="c2"),
        record("2026-03-02 10:20:00", course=None),
        closed_through="2026-03-02",
    )
    across = learner(found, "day", "2026-03-02", ALL_COURSES)
    assert (across["event_count"], across["active_minutes"], across["session_count"]) == (3, 2, 1)
    assert across["time_on_task_seconds"] == 21 * 60
    assert across["resources_viewed"] == 1, "the same object in three courses"
    assert learner(found, "day", "2026-03-02", UNASSIGNED)["event_count"] == 1
    assert organization(found, "day", "2026-03-02")["time_on_task_seconds"] == 21 * 60
    assert organization(found, "day", "2026-03-02")["courses_active"] == 2, "unassigned is no course"


# Videos


def test_overlapping_segments_of_one_day_count_once_and_of_two_days_twice() -> None:
    found = figures(
        watched("2026-03-02 10:00", ("0", "10"), ("5", "12.5")),
        watched("2026-03-02 23:59", ("12", "13")),
        watched("2026-03-03 00:01", ("0", "13")),
        closed_through="2026-03-03",
    )
    assert learner(found, "day", "2026-03-02")["video_seconds_watched"] == 13
    assert learner(found, "week", "2026-03-02")["video_seconds_watched"] == 26


@pytest.mark.parametrize(("end", "expected"), [("95", 1), ("94.999999", 0)])
def test_a_video_is_completed_by_95_percent_of_the_greatest_length(end: str, expected: int) -> None:
    row = measure([watched("2026-03-02 10:00", ("0", end), length="90"), watched("2026-03-02 11:00", length="100")])
    assert row["videos_completed"] == expected


def test_without_a_length_only_the_event_completes_a_video() -> None:
    assert measure([watched("2026-03-02 10:00", ("0", "1000"))])["videos_completed"] == 0
    assert measure([watched("2026-03-02 10:00", kind="completed")])["videos_completed"] == 1
    assert measure([record("2026-03-02 10:00", "completed", "quiz")])["videos_completed"] == 0
    by_another = [watched("2026-03-02 10:00"), record("2026-03-02 11:00", "completed", "film")]
    assert measure(by_another)["videos_completed"] == 0, "this statement does not say that it is about a video"


def test_a_video_watched_in_two_courses_is_completed_across_courses() -> None:
    found = figures(
        watched("2026-03-02 10:00", ("0", "50"), length="100"),
        watched("2026-03-02 11:00", ("45", "100"), course="c2"),
        closed_through="2026-03-02",
    )
    assert learner(found, "day", "2026-03-02")["videos_completed"] == 0
    assert learner(found, "day", "2026-03-02", ALL_COURSES)["videos_completed"] == 1
    assert learner(found, "day", "2026-03-02", ALL_COURSES)["video_seconds_watched"] == 100


# Assessments


def test_attempts_passes_and_scores() -> None:
    row = measure(
        [
            record("2026-03-02 10:00", "answered", "q1", is_success=True, score=Fraction(1, 3)),
            record("2026-03-02 10:01", "answered", "q1", is_success=False, score=Fraction(-1, 3)),
            record("2026-03-02 10:02", "submitted", "essay"),
            record("2026-03-02 10:03", "evaluated", "essay", score=Fraction(3, 4)),
            record("2026-03-02 10:04", "passed", "exam"),
            record("2026-03-02 10:05", "passed", "c1"),
            record("2026-03-02 10:06", "viewed", "page", is_success=True),
        ]
    )
    assert (row["attempt_count"], row["assessments_attempted"], row["assessments_passed"]) == (4, 2, 2)
    assert (row["score_sum"], row["score_count"]) == (Fraction(3, 4), 3)
    assert (row["interaction_count"], row["resources_viewed"]) == (3, 1)


# Stock


def test_completed_holds_from_the_first_completion_in_whatever_order_events_are_told() -> None:
    events = [
        record("2026-03-04 10:00", "completed", "c1"),
        record("2026-03-02 10:00"),
        record("2026-03-03 09:00", "passed", "c1"),
        record("2026-03-03 08:00", "passed", "quiz"),
    ]
    for order in (events, events[::-1]):
        found = figures(*order, closed_through="2026-03-04")
        assert [learner(found, "day", f"2026-03-0{day}")["is_completed"] for day in (2, 3, 4)] == [False, True, True]
        assert [learner(found, "day", f"2026-03-0{day}")["completions"] for day in (2, 3, 4)] == [0, 1, 0]
        assert learner(found, "day", "2026-03-04")["completed_at"] == instant("2026-03-03 09:00")
        assert learner(found, "day", "2026-03-04")["course_completed_at"] == instant("2026-03-04 10:00")
        assert learner(found, "day", "2026-03-03", ALL_COURSES)["completions"] == 1
        assert learner(found, "day", "2026-03-03", ALL_COURSES)["completed_at"] is None


def test_one_who_registered_and_never_came_is_at_risk_not_invisible() -> None:
    found = figures(record("2026-03-02 10:00", "registered", "c1"), closed_through="2026-03-15")
    assert [organization(found, "day", f"2026-03-{day:02}")["learners_at_risk"] for day in (2, 8, 9, 15)] == [
        0,
        0,
        1,
        1,
    ]
    assert organization(found, "day", "2026-03-09")["learners_active"] == 0
    assert organization(found, "week", "2026-03-09")["learners_at_risk"] == 1
    assert learner(found, "month", "2026-03-01")["is_at_risk"] is True
    assert learner(found, "week", "2026-03-02")["is_at_risk"] is False
    assert "is_at_risk" not in learner(found, "day", "2026-03-02")


def test_stock_of_a_period_is_that_of_its_last_closed_day_and_unknown_before_one_closed() -> None:
    events = [record("2026-03-02 10:00", "registered", "c1"), record("2026-03-16 10:00")]
    before = figures(*events, closed_through="2026-03-15")
    assert learner(before, "month", "2026-03-01")["is_at_risk"] is True
    assert "is_enrolled" not in learner(before, "week", "2026-03-16")
    assert learner(before, "week", "2026-03-16")["event_count"] == 1
    after = figures(*events, closed_through="2026-03-16")
    assert learner(after, "month", "2026-03-01")["is_at_risk"] is False
    assert learner(after, "week", "2026-03-16")["enrolled_on"] == date(2026, 3, 2)


def test_nobody_is_enrolled_in_the_unassigned_course() -> None:
    found = figures(record("2026-03-02 10:00", course=None), closed_through="2026-03-20")
    assert learner(found, "week", "2026-03-02", UNASSIGNED)["is_enrolled"] is False
    assert organization(found, "day", "2026-03-20")["enrollments_open"] == 0
    assert organization(found, "day", "2026-03-20")["completion_rate"] is None


def test_organization_days_count_people_and_learner_courses() -> None:
    found = figures(
        record("2026-03-02 10:00"),
        record("2026-03-02 10:00", course="c2"),
        record("2026-03-02 10:00", "passed", "c1", learner="bob"),
        record("2026-03-03 10:00", learner="tom"),
        closed_through="2026-03-04",
        roster=RosterDays(teaching={("tom", "c9"): frozenset({date(2026, 3, 3)})}),
    )
    day = organization(found, "day", "2026-03-02")
    assert (day["learners_active"], day["trainers_active"], day["courses_active"]) == (1, 0, 2)
    assert (day["enrollments_open"], day["enrollments_new"], day["enrollments_completed"]) == (3, 3, 1)
    assert day["completion_rate"] == Fraction(333333, 10**6)
    assert day["completions"] == 1
    assert organization(found, "day", "2026-03-03")["trainers_active"] == 1
    quiet = organization(found, "day", "2026-03-04")
    assert (quiet["event_count"], quiet["active_days"], quiet["is_active"]) == (0, 0, False)
    assert (quiet["weekly_active_learners"], quiet["stickiness"], quiet["time_on_task_seconds"]) == (2, 0, None)
    week = organization(found, "week", "2026-03-02")
    assert (week["learners_active"], week["active_days"], week["enrollments_new"]) == (2, 2, 4)
    assert week["stickiness"] == quotient(Fraction(2, 3), 2)


def test_rolling_actives_hold_seven_and_twenty_eight_days() -> None:
    found = figures(record("2026-03-02 10:00"), closed_through="2026-04-01")
    active = {
        day: (row["weekly_active_learners"], row["monthly_active_learners"])
        for day, row in found.organization_days.items()
    }
    assert active[date(2026, 3, 8)] == (1, 1)
    assert active[date(2026, 3, 9)] == (0, 1)
    assert active[date(2026, 3, 29)] == (0, 1)
    assert active[date(2026, 3, 30)] == (0, 0)


def test_open_days_have_learner_rows_and_no_organization_row() -> None:
    found = figures(record("2026-03-02 10:00"), record("2026-03-03 10:00"), closed_through="2026-03-02")
    assert learner(found, "day", "2026-03-03")["event_count"] == 1
    assert set(found.organization_days) == {date(2026, 3, 2)}
    assert learner(found, "week", "2026-03-02")["event_count"] == 2
    assert organization(found, "week", "2026-03-02")["event_count"] == 1


# Periods


def test_week_53_lies_in_the_year_of_its_monday_and_the_year_row_is_the_calendar_year() -> None:
    found = figures(record("2020-12-31 10:00"), record("2021-01-03 10:00"), closed_through="2021-01-10")
    assert learner(found, "week", "2020-12-28")["event_count"] == 2
    assert learner(found, "year", "2020-01-01")["event_count"] == 1
    assert learner(found, "year", "2021-01-01")["event_count"] == 1
    assert learner(found, "month", "2021-01-01")["active_days"] == 1


def test_the_leap_day_belongs_to_february() -> None:
    found = figures(record("2024-02-29 23:59"), record("2024-03-01 00:00"), closed_through="2024-03-01")
    assert learner(found, "month", "2024-02-01")["event_count"] == 1
    assert learner(found, "month", "2024-02-01")["is_enrolled"] is True
    assert learner(found, "week", "2024-02-26")["event_count"] == 2


def test_active_days_count_days_and_inactive_events_make_none() -> None:
    found = figures(
        record("2026-03-02 10:00"),
        record("2026-03-02 11:00"),
        record("2026-03-03 10:00", "failed", "exam"),
        closed_through="2026-03-31",
    )
    assert learner(found, "month", "2026-03-01")["active_days"] == 1
    assert learner(found, "day", "2026-03-03")["is_active"] is False
    assert learner(found, "day", "2026-03-03")["active_days"] == 0


def test_a_cohort_is_kept_when_its_learners_come_back_weeks_later() -> None:
    found = figures(
        record("2026-03-02 10:00"),
        record("2026-03-09 10:00"),
        record("2026-03-17 10:00"),
        record("2026-03-03 10:00", learner="bob"),
        record("2026-03-02 10:00", "registered", "c1", learner="cat"),
        record("2026-03-10 10:00", learner="cat"),
        closed_through="2026-03-21",
    )
    first = organization(found, "week", "2026-03-02")
    assert (first["cohort_size"], first["retained_1"]) == (2, Fraction(1, 2))
    assert "retained_2" not in first, "that week has not closed"
    assert organization(found, "week", "2026-03-09")["cohort_size"] == 1
    empty = organization(found, "week", "2026-03-16")
    assert (empty["cohort_size"], empty.get("retained_1")) == (0, None)
    closed = figures(record("2026-03-02 10:00"), record("2026-03-17 10:00"), closed_through="2026-03-22")
    assert organization(closed, "week", "2026-03-02")["retained_2"] == 1


@pytest.mark.parametrize(
    ("numerator", "denominator", "expected"),
    [
        (1, 3, "0.333333"),
        (2, 3, "0.666667"),
        (-2, 3, "-0.666667"),
        (1, 2_000_000, "0.000001"),
        (-1, 2_000_000, "-0.000001"),
    ],
)
def test_quotients_are_rounded_half_away_from_zero(numerator: int, denominator: int, expected: str) -> None:
    assert quotient(numerator, denominator) == Fraction(expected)
    assert quotient(numerator, 0) is None


def test_a_moved_organization_keeps_its_earlier_days() -> None:
    moved = Calendar(((instant("2000-01-01 00:00"), "UTC"), (instant("2026-03-03 00:00"), "Asia/Kathmandu")))
    found = compute([record("2026-03-02 20:00"), record("2026-03-03 20:00")], moved, closed_through=date(2026, 3, 4))
    assert {key.start for key in found.stage_three if key.period_type == "day" and key.subject} == {
        date(2026, 3, 2),
        date(2026, 3, 4),
    }


def test_nothing_has_no_rows() -> None:
    assert compute([], calendar(), date(2026, 3, 1)) == Figures({}, {}, {}, {})
