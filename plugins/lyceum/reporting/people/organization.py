"""An organization's report: how learning goes in the whole of it, against the period before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from lyceum.reporting.charts import Column
from lyceum.reporting.people.asking import Question, titles
from lyceum.reporting.people.contents import (
    Contents,
    Figure,
    Graph,
    Heading,
    Section,
    Table,
    Unit,
    change,
    plural,
    quotient,
    shown,
)
from lyceum.reporting.people.periods import Period
from lyceum.reporting.people.trainer import NAMELESS

TRAIL = 12

_FIGURES = (
    "learners_active",
    "trainers_active",
    "courses_active",
    "event_count",
    "attempt_count",
    "time_on_task_seconds",
    "enrollments_open",
    "enrollments_new",
    "enrollments_completed",
    "completions",
    "completion_rate",
    "learners_at_risk",
    "score_sum",
    "score_count",
    "stickiness",
)


@dataclass(frozen=True, slots=True)
class Whole:
    """The organization's row of a period or a day."""

    learners_active: int = 0
    trainers_active: int = 0
    courses_active: int = 0
    event_count: int = 0
    attempt_count: int = 0
    time_on_task_seconds: int | None = None
    enrollments_open: int = 0
    enrollments_new: int = 0
    enrollments_completed: int = 0
    completions: int = 0
    completion_rate: Decimal | None = None
    learners_at_risk: int = 0
    score_sum: Decimal = Decimal(0)
    score_count: int = 0
    stickiness: Decimal | None = None

    @property
    def time_per_active_learner(self) -> Decimal | None:
        """Time on task in the mean of the active learners."""
        return quotient(self.time_on_task_seconds, self.learners_active)


@dataclass(frozen=True, slots=True)
class CourseTold:
    """A course in a period; enrolled, completed and at risk as of its last closed day."""

    course_id: int
    learners_active: int
    time_on_task_seconds: int | None
    score_sum: Decimal
    score_count: int
    completions: int
    enrolled: int
    completed: int
    at_risk: int


@dataclass(frozen=True, slots=True)
class TrainerTold:
    """A trainer in a period."""

    trainer_id: int
    courses: int
    attempts_reviewed: int
    contributions: int


def compose_organization(question: Question, period: Period) -> Contents:
    """Return the report of the organization whose administrator asks."""
    trail = period.trail(TRAIL)
    rows = _rows(question, period.type, trail[0].start, period.start)
    days = _rows(question, "day", period.start, min(period.end, question.source.closed_through))
    named = titles(question)
    courses = sorted(_courses(question, period), key=lambda one: (-one.learners_active, -one.enrolled, one.course_id))
    trainers = _trainers(question, period)
    now, before = rows.get(period.start, Whole()), rows.get(period.before.start)
    told = [one for one in trail if one.end >= question.source.first_activity_on]
    return Contents(
        kind="organization",
        owner_user_id=None,
        title="Learning in your organization",
        period=period,
        source=question.source,
        headline=_headline(now, before, period),
        sections=(
            _glance(now, before, period),
            _days_section(days, period),
            _trend(rows, told),
            _risk(rows, told),
            _course_section(courses, named),
            _trainer_section(trainers),
        ),
        notes=(
            NAMELESS,
            "At risk: enrolled for at least 7 days, not completed, and not active on any of the last 7 days.",
            "Enrollments, completion rate and learners at risk are told as of the last closed day of the period.",
        ),
        people=frozenset(one.trainer_id for one in trainers),
    )


def _rows(question: Question, period_type: str, first: date, last: date) -> dict[date, Whole]:
    rows = question.rows(
        f"""
        select period_start, {", ".join(_FIGURES)}
        from api.aggregated_analytics
        where
            organization_id = %(organization_id)s
            and subject_type = 'organization'
            and subject_id = %(organization_id)s
            and scope = 'all_courses'
            and period_type = %(period_type)s
            and period_start between %(first)s and %(last)s
        """,  # noqa: S608
        period_type=period_type,
        first=first,
        last=last,
    )
    return {row[0]: Whole(*row[1:]) for row in rows}


def _courses(question: Question, period: Period) -> list[CourseTold]:
    rows = question.rows(
        """
        with active as (
            select
                course_id,
                count(*) filter (where is_active) as learners_active,
                sum(time_on_task_seconds)::bigint as time_on_task_seconds,
                sum(score_sum) as score_sum,
                sum(score_count)::bigint as score_count,
                sum(completions)::bigint as completions
            from api.aggregated_analytics
            where
                organization_id = %(organization_id)s
                and subject_type = 'learner'
                and scope = 'course'
                and period_type = %(period_type)s
                and period_start = %(first)s
            group by course_id
        ),

        enrolled as (
            select
                course_id,
                count(*) as enrolled,
                count(*) filter (where completed_on <= %(on)s) as completed,
                count(*) filter (where at_risk_days @> %(on)s) as at_risk
            from api.learner_courses
            where
                organization_id = %(organization_id)s
                and enrolled_days @> %(on)s
            group by course_id
        )

        select
            coalesce(active.course_id, enrolled.course_id),
            coalesce(active.learners_active, 0),
            active.time_on_task_seconds,
            coalesce(active.score_sum, 0),
            coalesce(active.score_count, 0),
            coalesce(active.completions, 0),
            coalesce(enrolled.enrolled, 0),
            coalesce(enrolled.completed, 0),
            coalesce(enrolled.at_risk, 0)
        from active
        full join enrolled on active.course_id = enrolled.course_id
        """,
        period_type=period.type,
        first=period.start,
        on=min(period.end, question.source.closed_through),
    )
    return [CourseTold(*row) for row in rows]


def _trainers(question: Question, period: Period) -> list[TrainerTold]:
    rows = question.rows(
        """
        select
            subject_id,
            count(*),
            sum(attempts_reviewed)::bigint,
            sum(contributions)::bigint
        from api.aggregated_analytics
        where
            organization_id = %(organization_id)s
            and subject_type = 'trainer'
            and scope = 'course'
            and period_type = %(period_type)s
            and period_start = %(first)s
        group by subject_id
        order by subject_id
        """,
        period_type=period.type,
        first=period.start,
    )
    return [TrainerTold(*row) for row in rows]


def _headline(now: Whole, before: Whole | None, period: Period) -> str:
    name = "week" if period.type == "week" else "month"
    if not now.learners_active:
        return f"Nobody was active this {name}."
    told = f"{plural(now.learners_active, 'learner was', 'learners were')} active in {plural(now.courses_active, 'course')}"
    relative = change(now.learners_active, before.learners_active) if before is not None else None
    if relative is None:
        return f"{told}."
    return f"{told}, {shown(relative, 'change')} against the {name} before."


def _glance(now: Whole, before: Whole | None, period: Period) -> Section:
    name = "week" if period.type == "week" else "month"

    def against(key: str, label: str, unit: Unit, measure: Callable[[Whole], int | Decimal | None]) -> Figure:
        was = None if before is None else measure(before)
        return Figure(
            key,
            label,
            measure(now),
            unit,
            Figure(f"{key}_change", f"against the {name} before", change(measure(now), was), "change"),
        )

    return Section(
        "glance",
        "At a glance",
        f"This {name}; in small print the change against the {name} before.",
        figures=(
            against("learners_active", "Active learners", "count", lambda row: row.learners_active),
            against("time_on_task_seconds", "Time on task", "seconds", lambda row: row.time_on_task_seconds),
            against(
                "time_on_task_seconds_per_active_learner",
                "Time per active learner",
                "seconds",
                lambda row: row.time_per_active_learner,
            ),
            Figure(
                "enrollments_open",
                "Open enrollments",
                now.enrollments_open,
                "count",
                Figure(
                    "enrollments_new", "of them new" if period.type == "week" else "new", now.enrollments_new, "count"
                ),
            ),
            Figure(
                "completion_rate",
                "Completion rate",
                now.completion_rate,
                "share",
                Figure("completions", f"completions this {name}", now.completions, "count"),
            ),
            Figure(
                "learners_at_risk",
                "Learners at risk",
                now.learners_at_risk,
                "count",
                Figure(
                    "learners_at_risk_difference",
                    f"against the {name} before",
                    None if before is None else now.learners_at_risk - before.learners_at_risk,
                    "difference",
                ),
                tone="warning" if now.learners_at_risk else "good",
            ),
            Figure("score_mean", "Mean score", quotient(now.score_sum, now.score_count), "score"),
            Figure("trainers_active", "Active trainers", now.trainers_active, "count"),
            Figure("stickiness", "Stickiness", now.stickiness, "share"),
        ),
    )


def _days_section(days: dict[date, Whole], period: Period) -> Section:
    told = [day for day in period.days if day in days]
    return Section(
        "days",
        "Day by day",
        "Learners who were active on each day.",
        graphs=(
            Graph(
                "learners_active_by_day",
                "Active learners on each day: "
                + ", ".join(f"{day:%a} {day.day}: {days[day].learners_active:,}" for day in told)
                + ".",
                tuple(
                    Column(
                        f"{day:%a}" if period.type == "week" else f"{day.day}",
                        (float(days[day].learners_active),),
                        f"{shown(day, 'date')}: {plural(days[day].learners_active, 'active learner')}",
                    )
                    for day in told
                ),
                (("series-1", "Active learners"),),
                "",
                Table(
                    "days",
                    "One row per day.",
                    (
                        Heading("day", "Day", "date"),
                        Heading("learners_active", "Active learners", "count"),
                        Heading("time_on_task_seconds", "Time on task", "seconds"),
                        Heading("attempt_count", "Attempts", "count"),
                        Heading("completions", "Completions", "count"),
                        Heading("learners_at_risk", "At risk", "count"),
                    ),
                    tuple(
                        (
                            day,
                            days[day].learners_active,
                            days[day].time_on_task_seconds,
                            days[day].attempt_count,
                            days[day].completions,
                            days[day].learners_at_risk,
                        )
                        for day in told
                    ),
                ),
            ),
        )
        if told
        else (),
        notes=() if told else ("No day of this period is told.",),
    )


def _trend(rows: dict[date, Whole], told: Sequence[Period]) -> Section:
    name = "week" if not told or told[0].type == "week" else "month"
    did = [rows.get(one.start, Whole()) for one in told]
    return Section(
        "trend",
        f"{name.capitalize()} by {name}",
        f"Active learners by {name}, the newest to the right.",
        graphs=(
            Graph(
                "learners_active_by_period",
                f"Active learners in each of the last {plural(len(told), name)}: from {did[0].learners_active:,} in the first to "
                f"{did[-1].learners_active:,} in the newest.",
                tuple(
                    Column(
                        one.short,
                        (float(row.learners_active),),
                        f"{one.words}: {plural(row.learners_active, 'active learner')}",
                    )
                    for one, row in zip(told, did, strict=True)
                ),
                (("series-1", "Active learners"),),
                "",
                Table(
                    "trend",
                    f"One row per {name}.",
                    (
                        Heading("period", name.capitalize(), "text"),
                        Heading("learners_active", "Active learners", "count"),
                        Heading("courses_active", "Active courses", "count"),
                        Heading("time_on_task_seconds", "Time on task", "seconds"),
                        Heading("enrollments_new", "New enrollments", "count"),
                        Heading("completions", "Completions", "count"),
                        Heading("score_mean", "Mean score", "score"),
                    ),
                    tuple(
                        (
                            one.words,
                            row.learners_active,
                            row.courses_active,
                            row.time_on_task_seconds,
                            row.enrollments_new,
                            row.completions,
                            quotient(row.score_sum, row.score_count),
                        )
                        for one, row in zip(told, did, strict=True)
                    ),
                ),
            ),
        )
        if told
        else (),
    )


def _risk(rows: dict[date, Whole], told: Sequence[Period]) -> Section:
    name = "week" if not told or told[0].type == "week" else "month"
    did = [rows.get(one.start, Whole()) for one in told]
    return Section(
        "risk",
        "Learners at risk",
        f"On the last closed day of each {name}.",
        graphs=(
            Graph(
                "learners_at_risk_by_period",
                f"Learners at risk at the end of each of the last {plural(len(told), name)}; {did[-1].learners_at_risk:,} at the end of "
                "the newest.",
                tuple(
                    Column(
                        one.short,
                        (float(row.learners_at_risk),),
                        f"{one.words}: {plural(row.learners_at_risk, 'learner')} at risk",
                    )
                    for one, row in zip(told, did, strict=True)
                ),
                (("series-2", "Learners at risk"),),
                "",
                Table(
                    "risk",
                    f"One row per {name}.",
                    (
                        Heading("period", name.capitalize(), "text"),
                        Heading("learners_at_risk", "At risk", "count"),
                        Heading("enrollments_open", "Open enrollments", "count"),
                        Heading("completion_rate", "Completion rate", "share"),
                    ),
                    tuple(
                        (one.words, row.learners_at_risk, row.enrollments_open, row.completion_rate)
                        for one, row in zip(told, did, strict=True)
                    ),
                ),
            ),
        )
        if told
        else (),
    )


def _course_section(courses: Sequence[CourseTold], named: dict[int, str]) -> Section:
    return Section(
        "courses",
        "Courses",
        "Every course with an active or an enrolled learner, the most active first.",
        tables=(
            Table(
                "courses",
                "One row per course.",
                (
                    Heading("course", "Course", "text"),
                    Heading("learners_active", "Active", "count"),
                    Heading("time_on_task_seconds", "Time on task", "seconds"),
                    Heading("score_mean", "Mean score", "score"),
                    Heading("completions", "Completions", "count"),
                    Heading("enrolled", "Enrolled", "count"),
                    Heading("completion_rate", "Completed", "share"),
                    Heading("at_risk", "At risk", "count"),
                ),
                tuple(
                    (
                        named.get(one.course_id, f"Course {one.course_id}"),
                        one.learners_active,
                        one.time_on_task_seconds,
                        quotient(one.score_sum, one.score_count),
                        one.completions,
                        one.enrolled,
                        quotient(one.completed, one.enrolled),
                        one.at_risk,
                    )
                    for one in courses
                ),
            ),
        ),
        notes=() if courses else ("No course had an active or an enrolled learner.",),
    )


def _trainer_section(trainers: Sequence[TrainerTold]) -> Section:
    return Section(
        "trainers",
        "Trainers",
        "Everybody who taught by the roster in this period.",
        tables=(
            Table(
                "trainers",
                "One row per trainer.",
                (
                    Heading("trainer", "Trainer", "text"),
                    Heading("courses", "Courses", "count"),
                    Heading("attempts_reviewed", "Attempts reviewed", "count"),
                    Heading("contributions", "Contributions", "count"),
                ),
                tuple(
                    (f"Trainer {one.trainer_id}", one.courses, one.attempts_reviewed, one.contributions)
                    for one in trainers
                ),
            ),
        ),
        notes=() if trainers else ("No roster names a trainer of this period.",),
    )
