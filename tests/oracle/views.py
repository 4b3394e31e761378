"""Rows of stage three → every row of the two materialized views, as `docs/metrics.md` (Views) defines them.

Each number is looked up again in all day rows; nothing is carried along.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from fractions import Fraction
from typing import Any, NamedTuple

from oracle.calendars import ONE_DAY
from oracle.figures import Figures, quotient

Row = dict[str, Any]

WINDOWS = {"weekly": 7, "monthly": 28}
COUNTED = (
    "active_days",
    "event_count",
    "interaction_count",
    "resources_viewed",
    "videos_started",
    "videos_completed",
    "video_seconds_watched",
    "assessments_attempted",
    "assessments_passed",
    "attempt_count",
    "score_sum",
    "score_count",
    "contributions",
    "completions",
)
KNOWN_OR_NOT = ("active_minutes", "session_count", "time_on_task_seconds")

HIGH, LOW = Fraction(85, 100), Fraction(15, 100)
STRUGGLING_ATTEMPTS = 3
STRUGGLING = Fraction(85, 100)
LISTED_COURSES = 3
LEAST_ENROLLED = 10


class Pair(NamedTuple):
    """A learner and a course; None is the unassigned course."""

    learner: str
    course: str | None


def learner_summary(figures: Figures, last_closed: date) -> dict[Pair, Row]:
    """Every row of `mv_learner_analytics_summary` of one organization."""
    days: dict[Pair, dict[date, Row]] = defaultdict(dict)
    for key, row in figures.stage_three.items():
        if key.subject is None or key.is_trainer or key.scope.is_all or key.period_type != "day":
            continue
        if key.start <= last_closed:
            days[Pair(key.subject, key.scope.course)][key.start] = row
    enrolled = {
        Pair(learner, course)
        for (learner, course), found in figures.memberships.items()
        if any(day <= last_closed for day in found.enrolled_on)
    }
    rows = {}
    for pair in days.keys() | enrolled:
        told = days.get(pair, {})
        row = _measures(told, last_closed) | _streaks({day for day in told if told[day]["is_active"]}, last_closed)
        membership = None if pair.course is None else figures.memberships[pair.learner, pair.course]
        rows[pair] = row | {
            "is_enrolled": membership is not None and last_closed in membership.enrolled_on,
            "enrolled_on": None if membership is None else membership.enrolled_on.get(last_closed),
            "is_completed": membership is not None and membership.is_completed(last_closed),
            "completed_at": None
            if membership is None or not membership.is_completed(last_closed)
            else membership.completed_at,
            "is_at_risk": membership is not None and last_closed in membership.at_risk_on,
        }
    courses: dict[str | None, list[Row]] = defaultdict(list)
    for pair, row in rows.items():
        courses[pair.course].append(row)
    for course in courses.values():
        _rank(course)
    return rows


def _measures(days: Mapping[date, Row], last_closed: date) -> Row:
    row: Row = {}
    for window in (*WINDOWS, "lifetime"):
        within = [
            told
            for day, told in days.items()
            if window == "lifetime" or day > last_closed - timedelta(days=WINDOWS[window])
        ]
        for column in COUNTED:
            row[f"{window}_{column}"] = sum((told[column] for told in within), Fraction(0))
        for column in KNOWN_OR_NOT:
            known = [told[column] for told in within if told.get(column) is not None]
            row[f"{window}_{column}"] = sum(known) if known else None
        row[f"{window}_score_mean"] = quotient(row[f"{window}_score_sum"], row[f"{window}_score_count"])
    return row | {
        "first_event_at": min((told["first_event_at"] for told in days.values()), default=None),
        "last_event_at": max((told["last_event_at"] for told in days.values()), default=None),
    }


def _streaks(active: set[date], last_closed: date) -> Row:
    return {
        "last_active_on": max(active, default=None),
        "current_streak_days": _streak_that_ends(active, last_closed),
        "longest_streak_days": max((_streak_that_ends(active, day) for day in active), default=0),
    }


def _streak_that_ends(active: set[date], day: date) -> int:
    length = 0
    while day in active:
        length, day = length + 1, day - ONE_DAY
    return length


def _rank(course: Sequence[Row]) -> None:
    """Compare the learners of one course."""
    active = [row for row in course if row["weekly_active_days"] > 0]
    trying = [row for row in course if row["weekly_attempt_count"] > 0]
    for row in trying:
        row["weekly_attempts_per_pass"] = quotient(
            row["weekly_attempt_count"], max(row["weekly_assessments_passed"], 1)
        )
    for row in course:
        row["engagement_rank"] = row["struggle_rank"] = None
    efforts = sorted(map(_effort, active))
    for row in active:
        row["engagement_rank"] = percent_rank(_effort(row), efforts)
    ratios = sorted(row["weekly_attempts_per_pass"] for row in trying)
    for row in trying:
        row["struggle_rank"] = percent_rank(row["weekly_attempts_per_pass"], ratios)
    for row in course:
        row["engagement_band"] = _band(row["engagement_rank"])
        row["is_struggling"] = (
            row["weekly_attempt_count"] >= STRUGGLING_ATTEMPTS
            and row["struggle_rank"] is not None
            and row["struggle_rank"] >= STRUGGLING
        )


def _effort(row: Row) -> Fraction:
    time = row["weekly_time_on_task_seconds"]
    return Fraction(row["weekly_event_count"] if time is None else time)


def percent_rank(value: Fraction, ranked: Sequence[Fraction]) -> Fraction:
    """Share of the others with a smaller value; 0 for the only one. `ranked` are all values in order."""
    if len(ranked) == 1:
        return Fraction(0)
    rank = quotient(bisect_left(ranked, value), len(ranked) - 1)
    assert rank is not None
    return rank


def _band(rank: Fraction | None) -> str:
    if rank is None:
        return "inactive"
    if rank >= HIGH:
        return "high"
    return "low" if rank < LOW else "medium"


def organization_metrics(figures: Figures, last_closed: date, course_id: Callable[[str], int]) -> Row | None:
    """The row of `mv_organization_metrics` but for `data_as_of`, or None. `course_id` decides between equal courses."""
    today = figures.organization_days.get(last_closed)
    if today is None:
        return None
    row: Row = {"window_ends_on": last_closed}
    actives = {"daily": "learners_active", "weekly": "weekly_active_learners", "monthly": "monthly_active_learners"}
    for window, length in {"daily": 1, **WINDOWS}.items():
        now = today[actives[window]]
        before = figures.organization_days.get(last_closed - timedelta(days=length), {}).get(actives[window], 0)
        times = [
            found["time_on_task_seconds"]
            for back in range(length)
            if (found := figures.organization_days.get(last_closed - timedelta(days=back))) is not None
            and found.get("time_on_task_seconds") is not None
        ]
        time = sum(times) if times else None
        row |= {
            f"{window}_active_learners": now,
            f"{window}_active_learners_before": before,
            f"{window}_active_learners_change": quotient(now - before, before),
            f"{window}_time_on_task_seconds": time,
            f"{window}_time_on_task_seconds_per_active_learner": None if time is None else quotient(time, now),
        }
    enrolled = {pair for pair, found in figures.memberships.items() if last_closed in found.enrolled_on}
    learners = {learner for learner, _ in enrolled}
    at_risk = {learner for (learner, _), found in figures.memberships.items() if last_closed in found.at_risk_on}
    completed = {pair for pair in enrolled if figures.memberships[pair].is_completed(last_closed)}
    row |= {
        "enrollments_open": len(enrolled),
        "enrollments_completed": len(completed),
        "completion_rate": quotient(len(completed), len(enrolled)),
        "learners_enrolled": len(learners),
        "learners_at_risk": len(at_risk),
        "at_risk_share": quotient(len(at_risk), len(learners)),
    }
    courses = []
    for course in {course for _, course in enrolled}:
        members = [pair for pair in enrolled if pair[1] == course]
        if len(members) >= LEAST_ENROLLED:
            rate = quotient(sum(pair in completed for pair in members), len(members))
            assert rate is not None
            courses.append((rate, -len(members), course_id(course)))
    best = sorted(courses, key=lambda found: (-found[0], *found[1:]))[:LISTED_COURSES]
    weakest = sorted(courses)[:LISTED_COURSES]
    return row | {
        "best_course_ids": _third(best),
        "best_course_completion_rates": [found[0] for found in best],
        "weakest_course_ids": _third(weakest),
        "weakest_course_completion_rates": [found[0] for found in weakest],
    }


def _third(found: Iterable[tuple[Any, Any, int]]) -> list[int]:
    return [course for _, _, course in found]
