"""A learner's own report: how the period went, beside the ones before it, and where they stand in each course."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from lyceum.reporting.people.asking import Question, titles
from lyceum.reporting.people.contents import (
    Contents,
    Figure,
    Heading,
    Section,
    Source,
    Table,
    change,
    plural,
    quotient,
    shown,
)
from lyceum.reporting.people.periods import Period
from lyceum.reporting.people.series import Drawn, Point, by_day, by_period

TRAIL = 12
"""A trend shows so many periods."""

STREAK_DAYS = 364
"""Streaks are looked for in so many days before the end of the period."""

_FIGURES = (
    "active_days",
    "time_on_task_seconds",
    "active_minutes",
    "session_count",
    "resources_viewed",
    "videos_completed",
    "attempt_count",
    "assessments_attempted",
    "assessments_passed",
    "score_sum",
    "score_count",
    "contributions",
    "completions",
)


@dataclass(frozen=True, slots=True)
class Activity:
    """The measures of one learner in a period or on a day. Time is None where no event told minutes."""

    active_days: int = 0
    time_on_task_seconds: int | None = None
    active_minutes: int | None = None
    session_count: int | None = None
    resources_viewed: int = 0
    videos_completed: int = 0
    attempt_count: int = 0
    assessments_attempted: int = 0
    assessments_passed: int = 0
    score_sum: Decimal = Decimal(0)
    score_count: int = 0
    contributions: int = 0
    completions: int = 0

    @property
    def score_mean(self) -> Decimal | None:
        """The mean scaled score."""
        return quotient(self.score_sum, self.score_count)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a learner stands in a course, as the learner summary was last refreshed."""

    course_id: int
    is_enrolled: bool
    is_completed: bool
    is_at_risk: bool
    last_active_on: date | None
    lifetime: Activity


def compose_learner(question: Question, period: Period) -> Contents:
    """Return the report of the learner who asks."""
    trail = period.trail(TRAIL)
    whole = _periods(question, trail, "all_courses")
    courses = {course_id: told for (_, course_id), told in _periods(question, (period,), "course").items()}
    days = _days(question, period)
    standings = _standings(question)
    named = titles(question)
    now = whole.get((period.start, None), Activity())
    before = whole.get((period.before.start, None), Activity())
    return Contents(
        kind="learner",
        owner_user_id=question.user_id,
        title="Your learning report",
        period=period,
        source=question.source,
        headline=_headline(now, courses, named),
        sections=(
            _glance(now, before, _active_days(question, period), period, question.source),
            _each_day(days, period, question.source),
            _trend(whole, trail, question.source),
            _courses(courses, standings, named),
            _standing(standings, named),
        ),
        notes=(
            "Time on task counts from the first to the last minute of each session; a pause of more than 30 minutes ends one.",
            "Scores are means of scaled scores. A dash means that nothing was told.",
        ),
    )


def _periods(question: Question, periods: Sequence[Period], scope: str) -> dict[tuple[date, int | None], Activity]:
    rows = question.rows(
        f"""
        select period_start, course_id, {", ".join(_FIGURES)}
        from api.aggregated_analytics
        where
            organization_id = %(organization_id)s
            and subject_type = 'learner'
            and subject_id = %(user_id)s
            and scope = %(scope)s
            and period_type = %(period_type)s
            and period_start between %(first)s and %(last)s
        """,  # noqa: S608
        scope=scope,
        period_type=periods[0].type,
        first=periods[0].start,
        last=periods[-1].start,
    )
    return {(row[0], row[1]): Activity(*row[2:]) for row in rows}


def _days(question: Question, period: Period) -> dict[date, Activity]:
    rows = question.rows(
        f"""
        select period_start, {", ".join(_FIGURES)}
        from api.aggregated_analytics
        where
            organization_id = %(organization_id)s
            and subject_type = 'learner'
            and subject_id = %(user_id)s
            and scope = 'all_courses'
            and period_type = 'day'
            and period_start between %(first)s and %(last)s
        """,  # noqa: S608
        first=period.start,
        last=min(period.end, question.source.closed_through),
    )
    return {row[0]: Activity(*row[1:]) for row in rows}


def _active_days(question: Question, period: Period) -> list[date]:
    """Return the active days up to the end of the period, ascending, for the streaks."""
    last = min(period.end, question.source.closed_through)
    rows = question.rows(
        """
        select period_start
        from api.aggregated_analytics
        where
            organization_id = %(organization_id)s
            and subject_type = 'learner'
            and subject_id = %(user_id)s
            and scope = 'all_courses'
            and period_type = 'day'
            and period_start between %(first)s and %(last)s
            and is_active
        order by period_start
        """,
        first=last - timedelta(days=STREAK_DAYS - 1),
        last=last,
    )
    return [day for (day,) in rows]


def _standings(question: Question) -> list[Standing]:
    lifetime = ", ".join(f"lifetime_{name}" for name in _FIGURES)
    rows = question.rows(
        f"""
        select course_id, is_enrolled, is_completed, is_at_risk, last_active_on, {lifetime}
        from api.learner_analytics_summary
        where organization_id = %(organization_id)s and learner_id = %(user_id)s
        order by course_id
        """  # noqa: S608
    )
    return [Standing(row[0], row[1], row[2], row[3], row[4], Activity(*row[5:])) for row in rows]


def streaks(active: Sequence[date], last: date) -> tuple[int, int]:
    """Return the length of the run of consecutive days that ends on `last`, 0 where that is none of them, and of the longest."""
    run = longest = 0
    previous: date | None = None
    for day in active:
        run = run + 1 if previous is not None and day == previous + timedelta(days=1) else 1
        longest, previous = max(longest, run), day
    return (run if previous == last else 0), longest


def _headline(now: Activity, courses: dict[int | None, Activity], named: dict[int, str]) -> str:
    if not now.active_days:
        return "No activity in this period. A few minutes are a beginning."
    told = [f"You were active on {plural(now.active_days, 'day')}"]
    if now.time_on_task_seconds is not None:
        told.append(f"for {shown(now.time_on_task_seconds, 'seconds')}")
    if len(courses) > 1:
        told.append(f"in {plural(len(courses), 'course')}")
    sentence = " ".join(told) + "."
    finished = [
        named.get(course_id or 0, f"Course {course_id}") for course_id, did in courses.items() if did.completions
    ]
    return f"{sentence} You completed {' and '.join(finished)}." if finished else sentence


def _glance(now: Activity, before: Activity, active: Sequence[date], period: Period, source: Source) -> Section:
    current, longest = streaks(active, min(period.end, source.closed_through))
    name = period.type
    return Section(
        "glance",
        "At a glance",
        f"This {name}; in small print how it differs from the {name} before.",
        figures=(
            _against("active_days", "Active days", now.active_days, before.active_days, name),
            Figure(
                "time_on_task_seconds",
                "Time on task",
                now.time_on_task_seconds,
                "seconds",
                Figure(
                    "time_on_task_change",
                    f"against the {name} before",
                    change(now.time_on_task_seconds, before.time_on_task_seconds),
                    "change",
                ),
            ),
            Figure("active_minutes", "Active minutes", now.active_minutes, "count"),
            _against(
                "assessments_passed", "Assessments passed", now.assessments_passed, before.assessments_passed, name
            ),
            Figure("score_mean", "Mean score", now.score_mean, "score"),
            Figure(
                "current_streak_days",
                f"Current streak, on {shown(min(period.end, source.closed_through), 'date')}",
                current,
                "days",
                Figure("longest_streak_days", "the longest in a year", longest, "days"),
                tone="good" if current > 1 else "",
            ),
        ),
    )


def _against(key: str, label: str, value: int, before: int, name: str) -> Figure:
    difference = Figure(f"{key}_difference", f"against the {name} before", value - before, "difference")
    return Figure(key, label, value, "count", difference)


def _each_day(days: dict[date, Activity], period: Period, source: Source) -> Section:
    told = [(day, days.get(day, Activity())) for day in period.days if day <= source.closed_through]
    drawn = Drawn(
        "active_minutes_by_day",
        f"Active minutes on each day from {shown(period.start, 'date')} to {shown(told[-1][0] if told else period.end, 'date')}: "
        f"{sum(did.active_minutes or 0 for _, did in told):,} in all.",
        (("series-1", "Active minutes"),),
        (
            ("active_minutes", "Active minutes", "count"),
            ("time_on_task_seconds", "Time on task", "seconds"),
            ("session_count", "Sessions", "count"),
            ("attempt_count", "Attempts", "count"),
        ),
        "days",
        "min",
    )
    points = (
        (
            day,
            Point(
                (did.active_minutes or 0,),
                plural(did.active_minutes or 0, "active minute"),
                (did.active_minutes, did.time_on_task_seconds, did.session_count, did.attempt_count),
            ),
        )
        for day, did in told
    )
    return Section(
        "days",
        "Day by day",
        "Active minutes: minutes of the clock in which you did something.",
        graphs=(by_day(drawn, period, points),),
    )


def _trend(whole: dict[tuple[date, int | None], Activity], trail: Sequence[Period], source: Source) -> Section:
    told = [(one, whole.get((one.start, None), Activity())) for one in trail if one.end >= source.first_activity_on]
    name = trail[0].type
    drawn = Drawn(
        "time_on_task_by_period",
        f"Hours on task in each of the last {plural(len(told), name)}; "
        f"{shown(told[-1][1].time_on_task_seconds or 0, 'seconds') if told else 'nothing'} in the newest.",
        (("series-1", "Hours on task"),),
        (
            ("active_days", "Active days", "count"),
            ("time_on_task_seconds", "Time on task", "seconds"),
            ("session_count", "Sessions", "count"),
            ("assessments_passed", "Passed", "count"),
            ("score_mean", "Mean score", "score"),
        ),
        "trend",
        "h",
    )
    points = (
        (
            one,
            Point(
                (Decimal(did.time_on_task_seconds or 0) / 3600,),
                shown(did.time_on_task_seconds or 0, "seconds"),
                (
                    did.active_days,
                    did.time_on_task_seconds,
                    did.session_count,
                    did.assessments_passed,
                    did.score_mean,
                ),
            ),
        )
        for one, did in told
    )
    return Section(
        "trend",
        f"{name.capitalize()} by {name}",
        f"Time on task by {name}, the newest to the right.",
        graphs=(by_period(drawn, name, points),),
    )


def _courses(courses: dict[int | None, Activity], standings: Sequence[Standing], named: dict[int, str]) -> Section:
    known = sorted(courses.items(), key=lambda item: (-(item[1].time_on_task_seconds or 0), item[0] or 0))
    return Section(
        "courses",
        "Your courses in this period",
        "What you did in each course.",
        tables=(
            Table(
                "courses",
                "One row per course in which you did something.",
                (
                    Heading("course", "Course", "text"),
                    Heading("active_days", "Active days", "count"),
                    Heading("time_on_task_seconds", "Time on task", "seconds"),
                    Heading("resources_viewed", "Viewed", "count"),
                    Heading("videos_completed", "Videos finished", "count"),
                    Heading("assessments_attempted", "Attempted", "count"),
                    Heading("assessments_passed", "Passed", "count"),
                    Heading("score_mean", "Mean score", "score"),
                ),
                tuple(
                    (
                        named.get(course_id or 0, f"Course {course_id}"),
                        did.active_days,
                        did.time_on_task_seconds,
                        did.resources_viewed,
                        did.videos_completed,
                        did.assessments_attempted,
                        did.assessments_passed,
                        did.score_mean,
                    )
                    for course_id, did in known
                ),
            ),
        ),
        notes=() if known else ("You did nothing in a course in this period.",),
    )


def _standing(standings: Sequence[Standing], named: dict[int, str]) -> Section:
    rows: list[tuple[Any, ...]] = []
    tones = []
    for one in sorted(standings, key=lambda one: (one.is_completed, not one.is_at_risk, named.get(one.course_id, ""))):
        state, tone = _state(one)
        rows.append(
            (
                named.get(one.course_id, f"Course {one.course_id}"),
                state,
                one.last_active_on,
                one.lifetime.active_days,
                one.lifetime.time_on_task_seconds,
                one.lifetime.assessments_passed,
                one.lifetime.score_mean,
            )
        )
        tones.append(tone)
    return Section(
        "standing",
        "Where you stand",
        "All that you have done so far, as of the last refresh of the learner summary.",
        tables=(
            Table(
                "standing",
                "One row per course.",
                (
                    Heading("course", "Course", "text"),
                    Heading("state", "State", "text"),
                    Heading("last_active_on", "Last active", "date"),
                    Heading("active_days", "Active days", "count"),
                    Heading("time_on_task_seconds", "Time on task", "seconds"),
                    Heading("assessments_passed", "Passed", "count"),
                    Heading("score_mean", "Mean score", "score"),
                ),
                tuple(rows),
                tuple(tones),
            ),
        ),
        notes=() if rows else ("You are in no course yet.",),
    )


def _state(standing: Standing) -> tuple[str, str]:
    if standing.is_completed:
        return "Completed", "good"
    if standing.is_at_risk:
        return "Quiet for a week or more", "warning"
    return ("In progress", "") if standing.is_enrolled else ("–", "")
