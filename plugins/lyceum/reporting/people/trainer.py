"""A trainer's report: the courses that they teach, how the learners in them are doing, and who needs help."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Sequence
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
    Value,
    plural,
    quotient,
    shown,
)
from lyceum.reporting.people.periods import Period, PeriodType
from lyceum.reporting.people.series import Drawn, Point, by_period

TRAIL = 12
_MOST_SERIES = 7

_TIME_STEPS: dict[PeriodType, tuple[int, ...]] = {"week": (30, 60, 120, 240), "month": (120, 240, 480, 960)}
"""Minutes of time on task that divide the learners of a distribution."""

_SCORE_STEPS = (Decimal("0.4"), Decimal("0.55"), Decimal("0.7"), Decimal("0.85"))

NAMELESS = (
    "People are told by their numbers. Names are encrypted, each under a key of its own, and are read one person at a time, by the "
    "administrator of the warehouse, who leaves a row in the audit trail: ask there who a number is."
)


@dataclass(frozen=True, slots=True)
class Taught:
    """A trainer's row of a course and period."""

    course_id: int
    period_start: date
    learners_assigned: int
    learners_active: int
    activity_rate: Decimal | None
    learners_at_risk: int
    completions: int
    score_sum: Decimal
    score_count: int
    time_on_task_seconds: int | None
    time_per_active_learner: Decimal | None
    contributions: int
    attempts_reviewed: int


@dataclass(frozen=True, slots=True)
class Learning:
    """A learner in a course on the last day that is told, and what they did in the period; None where they did nothing."""

    course_id: int
    learner_id: int
    is_active: bool | None
    time_on_task_seconds: int | None
    score_mean: Decimal | None


@dataclass(frozen=True, slots=True)
class AtRisk:
    """A learner at risk in a course on the last closed day."""

    course_id: int
    learner_id: int
    enrolled_on: date
    last_active_on: date | None


def compose_trainer(question: Question, period: Period) -> Contents:
    """Return the report of the trainer who asks."""
    trail = period.trail(TRAIL)
    rows = _taught(question, trail)
    named = titles(question)
    now = sorted(
        (row for row in rows if row.period_start == period.start),
        key=lambda row: (named.get(row.course_id, ""), row.course_id),
    )
    learning = _learning(question, period)
    at_risk = _at_risk(question)
    on = question.source.closed_through
    told = [one for one in trail if one.end >= question.source.first_activity_on]
    return Contents(
        kind="trainer",
        owner_user_id=question.user_id,
        title="Your teaching report",
        period=period,
        source=question.source,
        headline=_headline(now, at_risk),
        sections=(
            _glance(now, at_risk, on),
            _help(at_risk, named, on),
            _courses(now, named),
            _trend(rows, told, named, period.type),
            _distributions(learning, period),
        ),
        notes=(
            NAMELESS,
            "At risk: enrolled for at least 7 days, not completed, and not active on any of the last 7 days.",
            "Activity divides everybody who was active in the period by those assigned on its last day, so it can pass 100 %.",
            "A learner who is in two of your courses stands in both; figures of two courses are therefore never added.",
        ),
        people=frozenset(one.learner_id for one in at_risk),
    )


def learner_name(user_id: int) -> str:
    """Return how a report tells of a person."""
    return f"Learner {user_id}"


def _taught(question: Question, trail: Sequence[Period]) -> list[Taught]:
    rows = question.rows(
        """
        select
            course_id,
            period_start,
            learners_assigned,
            learners_active,
            activity_rate,
            learners_at_risk,
            completions,
            score_sum,
            score_count,
            time_on_task_seconds,
            time_on_task_seconds_per_active_learner,
            contributions,
            attempts_reviewed
        from api.aggregated_analytics
        where
            organization_id = %(organization_id)s
            and subject_type = 'trainer'
            and subject_id = %(user_id)s
            and scope = 'course'
            and period_type = %(period_type)s
            and period_start between %(first)s and %(last)s
        order by period_start, course_id
        """,
        period_type=trail[0].type,
        first=trail[0].start,
        last=trail[-1].start,
    )
    return [Taught(*row) for row in rows]


def _learning(question: Question, period: Period) -> list[Learning]:
    rows = question.rows(
        """
        select
            enrolled.course_id,
            enrolled.learner_id,
            periods.is_active,
            periods.time_on_task_seconds,
            periods.score_mean
        from api.learner_courses as enrolled
        left join api.aggregated_analytics as periods
            on
                enrolled.organization_id = periods.organization_id
                and enrolled.learner_id = periods.subject_id
                and enrolled.course_id = periods.course_id
                and periods.subject_type = 'learner'
                and periods.scope = 'course'
                and periods.period_type = %(period_type)s
                and periods.period_start = %(first)s
        where
            enrolled.organization_id = %(organization_id)s
            and enrolled.enrolled_days @> %(on)s
        order by enrolled.course_id, enrolled.learner_id
        """,
        period_type=period.type,
        first=period.start,
        on=min(period.end, question.source.closed_through),
    )
    return [Learning(*row) for row in rows]


def _at_risk(question: Question) -> list[AtRisk]:
    rows = question.rows(
        """
        select
            course_id,
            learner_id,
            (
                select lower(run)
                from unnest(enrolled_days) as run
                where run @> %(on)s
            ),
            last_active_on
        from api.learner_courses
        where
            organization_id = %(organization_id)s
            and enrolled_days @> %(on)s
            and at_risk_days @> %(on)s
        order by last_active_on nulls first, learner_id, course_id
        """,
        on=question.source.closed_through,
    )
    return [AtRisk(*row) for row in rows]


def reason(one: AtRisk, on: date) -> str:
    """Return why somebody is at risk, in words."""
    enrolled = (on - one.enrolled_on).days + 1
    if one.last_active_on is None:
        return f"Enrolled for {plural(enrolled, 'day')}, never active"
    return f"Not active for {plural((on - one.last_active_on).days, 'day')}"


def _headline(now: Sequence[Taught], at_risk: Sequence[AtRisk]) -> str:
    if not now:
        return "You taught no course in this period."
    people = len({one.learner_id for one in at_risk})
    who = f"{plural(people, 'learner')} may need you" if people else "nobody is at risk"
    return f"You teach {plural(len(now), 'course')}; {who}."


def _glance(now: Sequence[Taught], at_risk: Sequence[AtRisk], on: date) -> Section:
    people = len({one.learner_id for one in at_risk})
    return Section(
        "glance",
        "At a glance",
        "What you did, and how many learners are at risk.",
        figures=(
            Figure("courses", "Courses taught", len(now), "count"),
            Figure("attempts_reviewed", "Attempts reviewed", sum(row.attempts_reviewed for row in now), "count"),
            Figure("contributions", "Your contributions", sum(row.contributions for row in now), "count"),
            Figure(
                "learners_at_risk",
                f"Learners at risk, on {shown(on, 'date')}",
                people,
                "count",
                tone="warning" if people else "good",
            ),
        ),
    )


def _help(at_risk: Sequence[AtRisk], named: dict[int, str], on: date) -> Section:
    return Section(
        "help",
        "Who needs help",
        f"Learners who are at risk on {shown(on, 'date')}, those who never came first, then those who were away longest.",
        tables=(
            Table(
                "at_risk",
                "One row per learner and course.",
                (
                    Heading("learner", "Learner", "text"),
                    Heading("course", "Course", "text"),
                    Heading("reason", "Reason", "text"),
                    Heading("enrolled_on", "Enrolled on", "date"),
                    Heading("last_active_on", "Last active", "date"),
                ),
                tuple(
                    (
                        learner_name(one.learner_id),
                        named.get(one.course_id, f"Course {one.course_id}"),
                        reason(one, on),
                        one.enrolled_on,
                        one.last_active_on,
                    )
                    for one in at_risk
                ),
            ),
        ),
        notes=() if at_risk else ("Nobody is at risk in your courses.",),
    )


def _courses(now: Sequence[Taught], named: dict[int, str]) -> Section:
    return Section(
        "courses",
        "Your courses",
        "Each course in this period. Assigned and at risk are told as of its last closed day.",
        tables=(
            Table(
                "courses",
                "One row per course that you teach.",
                (
                    Heading("course", "Course", "text"),
                    Heading("learners_assigned", "Learners", "count"),
                    Heading("learners_active", "Active", "count"),
                    Heading("activity_rate", "Activity", "share"),
                    Heading("learners_at_risk", "At risk", "count"),
                    Heading("completions", "Completed", "count"),
                    Heading("score_mean", "Mean score", "score"),
                    Heading("time_on_task_seconds_per_active_learner", "Time per active", "seconds"),
                    Heading("attempts_reviewed", "Reviewed", "count"),
                ),
                tuple(
                    (
                        named.get(row.course_id, f"Course {row.course_id}"),
                        row.learners_assigned,
                        row.learners_active,
                        row.activity_rate,
                        row.learners_at_risk,
                        row.completions,
                        quotient(row.score_sum, row.score_count),
                        row.time_per_active_learner,
                        row.attempts_reviewed,
                    )
                    for row in now
                ),
            ),
        ),
        notes=() if now else ("You taught no course in this period.",),
    )


def _trend(rows: Sequence[Taught], told: Sequence[Period], named: dict[int, str], name: PeriodType) -> Section:
    by_course: defaultdict[int, dict[date, Taught]] = defaultdict(dict)
    for row in rows:
        by_course[row.course_id][row.period_start] = row
    ranked = sorted(
        by_course, key=lambda course: (-sum(row.learners_active for row in by_course[course].values()), course)
    )
    graphs = []
    for number, course in enumerate(ranked[:_MOST_SERIES], 1):
        title = named.get(course, f"Course {course}")
        known = [(one, by_course[course].get(one.start)) for one in told]
        active = [row.learners_active if row is not None else 0 for _, row in known]
        drawn = Drawn(
            f"learners_active_{course}",
            f"{title}: active learners in each of the last {plural(len(told), name)}, {active[-1] if active else 0} in the newest.",
            ((f"series-{number}", title),),
            (
                ("learners_assigned", "Learners", "count"),
                ("learners_active", "Active", "count"),
                ("activity_rate", "Activity", "share"),
                ("learners_at_risk", "At risk", "count"),
                ("completions", "Completed", "count"),
            ),
            f"trend_{course}",
            title=title,
        )
        points = (
            (one, Point((count,), plural(count, "active learner"), _trend_values(row)))
            for (one, row), count in zip(known, active, strict=True)
        )
        graphs.append(by_period(drawn, name, points))
    further = len(ranked) - len(graphs)
    return Section(
        "trend",
        f"{name.capitalize()} by {name}",
        f"Active learners of each course by {name}, the newest to the right.",
        graphs=tuple(graphs),
        notes=(f"{plural(further, 'further course')} with fewer active learners: not drawn.",) if further > 0 else (),
    )


def _trend_values(row: Taught | None) -> tuple[Value, ...]:
    if row is None:
        return (None,) * 5
    return (row.learners_assigned, row.learners_active, row.activity_rate, row.learners_at_risk, row.completions)


def _distributions(learning: Sequence[Learning], period: Period) -> Section:
    steps = _TIME_STEPS[period.type]
    times = Counter(_time_step(one, steps) for one in learning)
    scored = [one.score_mean for one in learning if one.score_mean is not None]
    scores = Counter(sum(score >= step for step in _SCORE_STEPS) for score in scored)
    time_labels = ["none", *_labels([shown(60 * step, "seconds") for step in steps])]
    score_labels = _labels([shown(step, "score") for step in _SCORE_STEPS])
    pairs = plural(len(learning), "learner in a course", "learners in a course")
    return Section(
        "distributions",
        "How they are spread",
        f"{pairs} on {shown(period.end, 'date')}, by what they did in the period.",
        graphs=(
            _distribution(
                "time_on_task",
                "Time on task",
                [(label, times[number - 1]) for number, label in enumerate(time_labels)],
                len(learning),
                "series-1",
            ),
            _distribution(
                "score_mean",
                "Mean score",
                [(label, scores[number]) for number, label in enumerate(score_labels)],
                len(scored),
                "series-3",
            ),
        )
        if learning
        else (),
        notes=("Nobody was scored in this period.",) if learning and not scored else (),
    )


def _time_step(one: Learning, steps: Sequence[int]) -> int:
    if not one.time_on_task_seconds:
        return -1
    return sum(one.time_on_task_seconds >= 60 * step for step in steps)


def _labels(limits: Sequence[str]) -> list[str]:
    between = [f"{low} – {high}" for low, high in itertools.pairwise(limits)]
    return [f"under {limits[0]}", *between, f"from {limits[-1]}"]


def _distribution(key: str, title: str, counts: Sequence[tuple[str, int]], whole: int, style: str) -> Graph:
    told = ", ".join(f"{count:,} {label}" for label, count in counts)
    return Graph(
        f"{key}_distribution",
        f"{title}, learners in a course: {told}.",
        tuple(
            Column(label, (float(count),), f"{label}: {plural(count, 'learner in a course', 'learners in a course')}")
            for label, count in counts
        ),
        ((style, title),),
        "",
        Table(
            f"{key}_distribution",
            f"{title}: one row per range.",
            (
                Heading("range", title, "text"),
                Heading("learners", "Learners in a course", "count"),
                Heading("share", "Share", "share"),
            ),
            tuple((label, count, quotient(count, whole)) for label, count in counts),
        ),
        title=title,
    )
