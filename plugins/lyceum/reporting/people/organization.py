"""An organization's report: how learning goes in the whole of it, against the period before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from lyceum.reporting.people.asking import Question, titles
from lyceum.reporting.people.contents import (
    Contents,
    Figure,
    Heading,
    Section,
    Table,
    Unit,
    change,
    plural,
    quotient,
    shown,
)
from lyceum.reporting.people.periods import Period, PeriodType
from lyceum.reporting.people.series import Drawn, Point, by_day, by_period
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


@dataclass(frozen=True, slots=True)
class Cohort:
    """The learners whose first active day lies in one week, and the shares of them who were active weeks later."""

    week: Period
    size: int
    retained_1: Decimal | None
    retained_4: Decimal | None
    retained_8: Decimal | None

    @property
    def came_back(self) -> int | None:
        """How many were active in the week after; None while that is not over, or where nobody began."""
        return None if self.retained_1 is None else round(self.retained_1 * self.size)

    @property
    def parts(self) -> tuple[int, int, int]:
        """Those who came back the week after, those who did not, and those of whom nobody can say yet."""
        if self.came_back is None:
            return (0, 0, self.size)
        return (self.came_back, self.size - self.came_back, 0)

    @property
    def words(self) -> str:
        """The week in words."""
        told = f"{plural(self.size, 'learner')} first active"
        return told if self.came_back is None else f"{told}, {self.came_back:,} of them again the week after"


def compose_organization(question: Question, period: Period) -> Contents:
    """Return the report of the organization whose administrator asks."""
    trail = period.trail(TRAIL)
    rows = _rows(question, period.type, trail[0].start, period.start)
    days = _rows(question, "day", period.start, min(period.end, question.source.closed_through))
    named = titles(question)
    courses = sorted(_courses(question, period), key=lambda one: (-one.learners_active, -one.enrolled, one.course_id))
    trainers = _trainers(question, period)
    now, before = rows.get(period.start, Whole()), rows.get(period.before.start)
    told = [(one, rows.get(one.start, Whole())) for one in trail if one.end >= question.source.first_activity_on]
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
            _trend(told, period.type),
            _risk(told, period.type),
            _cohort_section(_cohorts(question, period)),
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
    name = period.type
    if not now.learners_active:
        return f"Nobody was active this {name}."
    told = f"{plural(now.learners_active, 'learner was', 'learners were')} active in {plural(now.courses_active, 'course')}"
    relative = change(now.learners_active, before.learners_active) if before is not None else None
    if relative is None:
        return f"{told}."
    return f"{told}, {shown(relative, 'change')} against the {name} before."


def _glance(now: Whole, before: Whole | None, period: Period) -> Section:
    name = period.type

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
    told = [(day, days[day]) for day in period.days if day in days]
    drawn = Drawn(
        "learners_active_by_day",
        "Active learners on each day: "
        + ", ".join(f"{day:%a} {day.day}: {row.learners_active:,}" for day, row in told)
        + ".",
        (("series-1", "Active learners"),),
        (
            ("learners_active", "Active learners", "count"),
            ("time_on_task_seconds", "Time on task", "seconds"),
            ("attempt_count", "Attempts", "count"),
            ("completions", "Completions", "count"),
            ("learners_at_risk", "At risk", "count"),
        ),
        "days",
    )
    points = (
        (
            day,
            Point(
                (row.learners_active,),
                plural(row.learners_active, "active learner"),
                (
                    row.learners_active,
                    row.time_on_task_seconds,
                    row.attempt_count,
                    row.completions,
                    row.learners_at_risk,
                ),
            ),
        )
        for day, row in told
    )
    return Section(
        "days",
        "Day by day",
        "Learners who were active on each day.",
        graphs=(by_day(drawn, period, points),) if told else (),
        notes=() if told else ("No day of this period is told.",),
    )


def _trend(told: Sequence[tuple[Period, Whole]], name: PeriodType) -> Section:
    first, newest = (told[0][1], told[-1][1]) if told else (Whole(), Whole())
    drawn = Drawn(
        "learners_active_by_period",
        f"Active learners in each of the last {plural(len(told), name)}: from {first.learners_active:,} in the first to "
        f"{newest.learners_active:,} in the newest.",
        (("series-1", "Active learners"),),
        (
            ("learners_active", "Active learners", "count"),
            ("courses_active", "Active courses", "count"),
            ("time_on_task_seconds", "Time on task", "seconds"),
            ("enrollments_new", "New enrollments", "count"),
            ("completions", "Completions", "count"),
            ("score_mean", "Mean score", "score"),
        ),
        "trend",
    )
    points = (
        (
            one,
            Point(
                (row.learners_active,),
                plural(row.learners_active, "active learner"),
                (
                    row.learners_active,
                    row.courses_active,
                    row.time_on_task_seconds,
                    row.enrollments_new,
                    row.completions,
                    quotient(row.score_sum, row.score_count),
                ),
            ),
        )
        for one, row in told
    )
    return Section(
        "trend",
        f"{name.capitalize()} by {name}",
        f"Active learners by {name}, the newest to the right.",
        graphs=(by_period(drawn, name, points),) if told else (),
    )


def _risk(told: Sequence[tuple[Period, Whole]], name: PeriodType) -> Section:
    newest = told[-1][1] if told else Whole()
    drawn = Drawn(
        "learners_at_risk_by_period",
        f"Learners at risk at the end of each of the last {plural(len(told), name)}; {newest.learners_at_risk:,} at the end of "
        "the newest.",
        (("series-2", "Learners at risk"),),
        (
            ("learners_at_risk", "At risk", "count"),
            ("enrollments_open", "Open enrollments", "count"),
            ("completion_rate", "Completion rate", "share"),
        ),
        "risk",
    )
    points = (
        (
            one,
            Point(
                (row.learners_at_risk,),
                f"{plural(row.learners_at_risk, 'learner')} at risk",
                (row.learners_at_risk, row.enrollments_open, row.completion_rate),
            ),
        )
        for one, row in told
    )
    return Section(
        "risk",
        "Learners at risk",
        f"On the last closed day of each {name}.",
        graphs=(by_period(drawn, name, points),) if told else (),
    )


def _cohorts(question: Question, period: Period) -> list[Cohort]:
    """Return the cohorts of the weeks up to the end of the period, the oldest first, from the first with any activity."""
    last = Period.holding("week", min(period.end, question.source.closed_through))
    weeks = last.trail(TRAIL)
    rows = question.rows(
        """
        select period_start, coalesce(cohort_size, 0), retained_1, retained_4, retained_8
        from api.aggregated_analytics
        where
            organization_id = %(organization_id)s
            and subject_type = 'organization'
            and subject_id = %(organization_id)s
            and scope = 'all_courses'
            and period_type = 'week'
            and period_start between %(first)s and %(last)s
        order by period_start
        """,
        first=weeks[0].start,
        last=last.start,
    )
    first = question.source.first_activity_on
    told = [Cohort(Period("week", row[0]), *row[1:]) for row in rows]
    return [one for one in told if one.week.end >= first]


def _cohort_section(cohorts: Sequence[Cohort]) -> Section:
    began = sum(one.size for one in cohorts)
    known = [one for one in cohorts if one.came_back is not None]
    came_back = sum(one.came_back or 0 for one in known)
    drawn = Drawn(
        "cohorts_by_week",
        f"{plural(began, 'learner')} had their first active day in the last {plural(len(cohorts), 'week')}. Of "
        f"{sum(one.size for one in known):,} whose next week is over, {came_back:,} were active in it.",
        (
            ("series-1", "Active again the week after"),
            ("series-2", "Not active then"),
            ("series-8", "Too early to say"),
        ),
        (
            ("cohort_size", "First active", "count"),
            ("retained_1", "1 week later", "share"),
            ("retained_4", "4 weeks later", "share"),
            ("retained_8", "8 weeks later", "share"),
        ),
        "cohorts",
    )
    points = (
        (one.week, Point(one.parts, one.words, (one.size, one.retained_1, one.retained_4, one.retained_8)))
        for one in cohorts
    )
    return Section(
        "cohorts",
        "Who comes back",
        "Learners by the week of their first active day, and the share of them who were active one, four and eight weeks later.",
        graphs=(by_period(drawn, "week", points),) if began else (),
        notes=("A dash: nobody began in that week, or the later week is not over yet.",)
        if began
        else ("Nobody had their first active day in these weeks.",),
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
