"""What the questions ask the database: every statement names the organization and, where there are partitions, a range of days.
Whose rows come back is decided by the policies. The organization here lets the planner leave out the partitions of others.
"""

# Texts are put together from constants of this package alone; every value of a request is bound.
# ruff: noqa: S608

from __future__ import annotations

from datetime import date
from typing import Any

import psycopg
from pydantic import BaseModel

from lyceum.serving.figures import (
    Cohort,
    CourseMetrics,
    CourseStanding,
    Figures,
    Identity,
    LearnerCourse,
    LearnerPeriod,
    LearnerSummary,
    Listing,
    OrganizationMetrics,
    OrganizationPeriod,
    Page,
    Period,
    Report,
    Row,
    Series,
    Single,
    Standing,
    TaughtCourse,
    TaughtLearner,
    TaughtPeriod,
    TeachingFigures,
)
from lyceum.serving.paging import Paging, broken_cursor
from lyceum.serving.problems import Problem
from lyceum.serving.questions import UNEXPIRED, Answer, Question, Reading, Source
from lyceum.serving.ranges import Range, start_of
from lyceum.serving.transactions import Statement


def _columns(model: type[BaseModel], table: str, *without: str) -> str:
    return ", ".join(f"{table}.{name}" for name in model.model_fields if name not in without)


_LEARNER_PERIODS = f"""
select {_columns(LearnerPeriod, "numbers")}
from api.aggregated_analytics as numbers
where
    numbers.organization_id = %(organization_id)s
    and numbers.subject_type = 'learner'
    and numbers.subject_id = %(learner_id)s
    and numbers.period_type = %(period)s
    and numbers.period_start between %(first)s and %(last)s
"""

_STANDING = """
select
    count(*) as courses,
    count(*) filter (where standing.is_enrolled) as courses_enrolled,
    count(*) filter (where standing.is_completed) as courses_completed,
    count(*) filter (where standing.is_at_risk) as courses_at_risk,
    coalesce(max(standing.current_streak_days), 0)::bigint as current_streak_days
from api.learner_analytics_summary as standing
where standing.organization_id = %(organization_id)s and standing.learner_id = %(learner_id)s
"""

_LEARNER_COURSES = f"""
select {_columns(CourseStanding, "standing")}, standing.course_id, courses.title
from api.learner_analytics_summary as standing
left join api.courses as courses
    on courses.organization_id = %(organization_id)s and courses.course_id = standing.course_id
where standing.organization_id = %(organization_id)s and standing.learner_id = %(learner_id)s
"""

_IDENTITY = """
select slug as organization_slug, name as organization_name
from api.organizations
where organization_id = %(organization_id)s
"""

_TEACHES = """
select course_id
from api.enrollments
where
    organization_id = %(organization_id)s
    and user_id = %(trainer_id)s
    and course_id = %(course_id)s
    and role = 'trainer'
"""

_TAUGHT_PERIODS = f"""
select {_columns(TaughtPeriod, "numbers")}, numbers.course_id
from api.aggregated_analytics as numbers
where
    numbers.organization_id = %(organization_id)s
    and numbers.subject_type = 'trainer'
    and numbers.subject_id = %(trainer_id)s
    and numbers.period_type = %(period)s
    and numbers.scope = 'course'
    and numbers.period_start between %(first)s and %(last)s
"""

_TAUGHT_COURSES = f"""
select {_columns(TeachingFigures, "taught")}, taught.course_id, taught.period_start, courses.title
from ({_TAUGHT_PERIODS}) as taught
left join api.courses as courses
    on courses.organization_id = %(organization_id)s and courses.course_id = taught.course_id
"""

_PERIOD_OF_TAUGHT = ("learner_id", "is_at_risk", "is_completed", "last_active_on")
_TAUGHT_LEARNERS = f"""
select
    pairs.learner_id,
    pairs.at_risk_days @> %(day)s::date as is_at_risk,
    coalesce(pairs.completed_on <= %(day)s::date, false) as is_completed,
    case when pairs.last_active_on is not null then least(pairs.last_active_on, %(day)s::date) end as last_active_on,
    {_columns(TaughtLearner, "numbers", *_PERIOD_OF_TAUGHT)}
from api.learner_courses as pairs
left join api.aggregated_analytics as numbers
    on
        numbers.organization_id = %(organization_id)s
        and numbers.subject_type = 'learner'
        and numbers.subject_id = pairs.learner_id
        and numbers.course_id = pairs.course_id
        and numbers.scope = 'course'
        and numbers.period_type = %(period)s
        and numbers.period_start = %(first)s
where
    pairs.organization_id = %(organization_id)s
    and pairs.course_id = %(course_id)s
    and pairs.enrolled_days @> %(day)s::date
    and (not %(at_risk)s or pairs.at_risk_days @> %(day)s::date)
"""

_METRICS = f"""
select {_columns(OrganizationMetrics, "metrics")}
from api.organization_metrics as metrics
where metrics.organization_id = %(organization_id)s
"""

_ORGANIZATION_PERIODS = """
select {columns}
from api.aggregated_analytics as numbers
where
    numbers.organization_id = %(organization_id)s
    and numbers.subject_type = 'organization'
    and numbers.subject_id = %(organization_id)s
    and numbers.period_type = %(period)s
    and numbers.period_start between %(first)s and %(last)s
order by numbers.period_start
"""

_COURSE_METRICS = """
select
    told.course_id,
    courses.title,
    told.learners,
    told.learners_enrolled,
    told.learners_completed,
    round(told.learners_completed::numeric / nullif(told.learners_enrolled, 0), 6) as completion_rate,
    told.learners_at_risk,
    told.learners_struggling,
    told.weekly_active_learners,
    told.monthly_active_learners,
    told.weekly_time_on_task_seconds,
    told.weekly_event_count,
    told.monthly_score_mean
from (
    select
        standing.course_id,
        count(*) as learners,
        count(*) filter (where standing.is_enrolled) as learners_enrolled,
        count(*) filter (where standing.is_enrolled and standing.is_completed) as learners_completed,
        count(*) filter (where standing.is_at_risk) as learners_at_risk,
        count(*) filter (where standing.is_struggling) as learners_struggling,
        count(*) filter (where standing.weekly_active_days > 0) as weekly_active_learners,
        count(*) filter (where standing.monthly_active_days > 0) as monthly_active_learners,
        sum(standing.weekly_time_on_task_seconds)::bigint as weekly_time_on_task_seconds,
        sum(standing.weekly_event_count)::bigint as weekly_event_count,
        round(sum(standing.monthly_score_sum) / nullif(sum(standing.monthly_score_count), 0), 6) as monthly_score_mean
    from api.learner_analytics_summary as standing
    where standing.organization_id = %(organization_id)s
    group by standing.course_id
) as told
left join api.courses as courses
    on courses.organization_id = %(organization_id)s and courses.course_id = told.course_id
"""

_COURSE_LEARNERS = f"""
select {_columns(LearnerSummary, "standing")}
from api.learner_analytics_summary as standing
where
    standing.organization_id = %(organization_id)s
    and standing.course_id = %(course_id)s
    and (not %(at_risk)s or standing.is_at_risk)
"""

_REPORTS = f"""
select {_columns(Report, "reports")}
from api.reports as reports
where
    reports.organization_id = %(organization_id)s
    and {UNEXPIRED}
"""


def identity() -> Question:
    """Who am I, and how fresh are the numbers."""

    async def answer(reading: Reading) -> Answer:
        rows = await reading.rows(Statement(_IDENTITY, {"organization_id": reading.organization_id}))
        who = {"role": reading.claims.role, "user_id": reading.claims.user_id}
        return _single(Identity, [row | who | {"organization_id": reading.organization_id} for row in rows], reading)

    return Question("me", {}, frozenset({Source.DIRECTORY}), answer)


def standing() -> Question:
    """How the asking learner's courses stand."""

    async def answer(reading: Reading) -> Answer:
        asked = {"organization_id": reading.organization_id, "learner_id": reading.claims.user_id}
        (found,) = await reading.rows(Statement(_STANDING, asked))
        day = reading.versions.closed_through
        periods: tuple[Period, ...] = ("week", "month", "year")
        for period in periods:
            found[period] = None
            if day is not None:
                first = start_of(period, day)
                bounds = {"period": period, "first": first, "last": first}
                text = f"{_LEARNER_PERIODS} and numbers.scope = 'all_courses'"
                rows = await reading.rows(Statement(text, asked | bounds))
                found[period] = rows[0] if rows else None
        return _single(Standing, [found], reading)

    return Question("me/summary", {}, frozenset({Source.LEARNER_SUMMARY}), answer)


def own_courses(paging: Paging, asked: dict[str, object]) -> Question:
    """The asking learner's courses."""

    async def answer(reading: Reading) -> Answer:
        parameters = {"organization_id": reading.organization_id, "learner_id": reading.claims.user_id}
        return await _page(LearnerCourse, paging, _LEARNER_COURSES, parameters, reading)

    return Question("me/courses", asked, frozenset({Source.LEARNER_SUMMARY, Source.DIRECTORY}), answer)


def learner_activity(name: str, span: Range, course_id: int | None, learner_id: int | None = None) -> Question:
    """A learner's periods, across courses or in one; of the asking learner where none is named."""

    async def answer(reading: Reading) -> Answer:
        first, last = span.days(reading.versions)
        parameters = {
            "organization_id": reading.organization_id,
            "learner_id": learner_id if learner_id is not None else reading.claims.user_id,
            "period": span.period,
            "first": first,
            "last": last,
            "course_id": course_id,
        }
        course = "numbers.scope = 'all_courses'"
        if course_id is not None:
            course = "numbers.scope = 'course' and numbers.course_id = %(course_id)s"
        text = f"{_LEARNER_PERIODS} and {course} order by numbers.period_start"
        return _series(LearnerPeriod, await reading.rows(Statement(text, parameters)), reading)

    asked = {**_asked(span), "course_id": course_id, "learner_id": learner_id}
    return Question(name, asked, frozenset(), answer)


def taught_courses(period: Period, paging: Paging, asked: dict[str, object]) -> Question:
    """The asking trainer's courses, in the period that holds the last closed day."""

    async def answer(reading: Reading) -> Answer:
        first = _current(period, reading)
        parameters = _of_trainer(reading) | {"period": period, "first": first, "last": first}
        return await _page(TaughtCourse, paging, _TAUGHT_COURSES, parameters, reading)

    sources = frozenset({Source.TEACHING, Source.DIRECTORY})
    return Question("teaching/courses", asked | {"period": period}, sources, answer)


def taught_activity(course_id: int, span: Range) -> Question:
    """Periods of a course of the asking trainer."""

    async def answer(reading: Reading) -> Answer:
        await _require_taught(reading, course_id)
        first, last = span.days(reading.versions)
        bounds = {"period": span.period, "first": first, "last": last, "course_id": course_id}
        text = f"{_TAUGHT_PERIODS} and numbers.course_id = %(course_id)s order by numbers.period_start"
        rows = await reading.rows(Statement(text, _of_trainer(reading) | bounds))
        return _series(TaughtPeriod, [_without(row, "course_id") for row in rows], reading)

    asked = {**_asked(span), "course_id": course_id}
    return Question("teaching/courses/activity", asked, frozenset({Source.TEACHING}), answer)


def taught_learners(
    course_id: int, period: Period, paging: Paging, asked: dict[str, object], *, is_at_risk: bool
) -> Question:
    """The learners of a course of the asking trainer."""

    async def answer(reading: Reading) -> Answer:
        await _require_taught(reading, course_id)
        parameters = {
            "organization_id": reading.organization_id,
            "course_id": course_id,
            "period": period,
            "first": _current(period, reading),
            "day": reading.versions.closed_through,
            "at_risk": is_at_risk,
        }
        return await _page(TaughtLearner, paging, _TAUGHT_LEARNERS, parameters, reading)

    asked = asked | {"course_id": course_id, "period": period, "at_risk": is_at_risk}
    return Question("teaching/courses/learners", asked, frozenset({Source.TEACHING}), answer)


def organization_metrics() -> Question:
    """The organization's metrics."""

    async def answer(reading: Reading) -> Answer:
        return _single(
            OrganizationMetrics,
            await reading.rows(Statement(_METRICS, {"organization_id": reading.organization_id})),
            reading,
        )

    return Question("organization/metrics", {}, frozenset({Source.ORGANIZATION_METRICS}), answer)


def organization_trends(span: Range) -> Question:
    """The organization's periods."""
    return _organization_periods("organization/trends", OrganizationPeriod, span)


def organization_cohorts(span: Range) -> Question:
    """The cohorts of the organization's weeks."""
    return _organization_periods("organization/cohorts", Cohort, span)


def organization_courses(paging: Paging, asked: dict[str, object]) -> Question:
    """The organization's courses."""

    async def answer(reading: Reading) -> Answer:
        parameters = {"organization_id": reading.organization_id}
        return await _page(CourseMetrics, paging, _COURSE_METRICS, parameters, reading)

    sources = frozenset({Source.LEARNER_SUMMARY, Source.DIRECTORY})
    return Question("organization/courses", asked, sources, answer)


def course_learners(course_id: int, paging: Paging, asked: dict[str, object], *, is_at_risk: bool) -> Question:
    """The learners of a course of the organization."""

    async def answer(reading: Reading) -> Answer:
        parameters = {"organization_id": reading.organization_id, "course_id": course_id, "at_risk": is_at_risk}
        return await _page(LearnerSummary, paging, _COURSE_LEARNERS, parameters, reading)

    asked = asked | {"course_id": course_id, "at_risk": is_at_risk}
    return Question("organization/courses/learners", asked, frozenset({Source.LEARNER_SUMMARY}), answer)


def reports(paging: Paging, asked: dict[str, object]) -> Question:
    """The reports that the asking one may read, those that have expired left out."""

    async def answer(reading: Reading) -> Answer:
        return await _page(Report, paging, _REPORTS, {"organization_id": reading.organization_id}, reading)

    return Question("reports", asked, frozenset({Source.REPORTS}), answer)


def _organization_periods(name: str, model: type[Row], span: Range) -> Question:
    async def answer(reading: Reading) -> Answer:
        first, last = span.days(reading.versions)
        parameters = {"organization_id": reading.organization_id, "period": span.period, "first": first, "last": last}
        text = _ORGANIZATION_PERIODS.format(columns=_columns(model, "numbers"))
        return _series(model, await reading.rows(Statement(text, parameters)), reading)

    return Question(name, _asked(span), frozenset(), answer)


def _asked(span: Range) -> dict[str, object]:
    return {"period": span.period, "from": span.first, "to": span.last}


def _current(period: Period, reading: Reading) -> date | None:
    day = reading.versions.closed_through
    return start_of(period, day) if day is not None else None


def _of_trainer(reading: Reading) -> dict[str, Any]:
    return {"organization_id": reading.organization_id, "trainer_id": reading.claims.user_id}


async def _require_taught(reading: Reading, course_id: int) -> None:
    """Raise `Problem` (404) unless the asking trainer teaches the course at some time: which of others exist is not said."""
    if not await reading.rows(Statement(_TEACHES, _of_trainer(reading) | {"course_id": course_id})):
        raise Problem(404, "You teach no such course. GET /v1/teaching/courses lists those that you teach.")


def _without(row: dict[str, Any], name: str) -> dict[str, Any]:
    return {column: value for column, value in row.items() if column != name}


def _single(model: type[Figures], rows: list[dict[str, Any]], reading: Reading) -> Answer:
    if not rows:
        raise Problem(
            404,
            "Nothing of it is published yet, or your token may not see it. It comes with the first build and refresh.",
        )
    told = Single[Any](data=model.model_validate(rows[0]), freshness=reading.versions.freshness)
    return Answer(told.model_dump_json().encode(), 1)


def _series(model: type[Figures], rows: list[dict[str, Any]], reading: Reading) -> Answer:
    told = Series[Any](data=[model.model_validate(row) for row in rows], freshness=reading.versions.freshness)
    return Answer(told.model_dump_json().encode(), len(rows))


async def _page(
    model: type[Figures], paging: Paging, rows: str, parameters: dict[str, Any], reading: Reading
) -> Answer:
    try:
        found = await reading.rows(paging.statement(rows, parameters))
    except psycopg.DataError:
        if paging.after is None:
            raise
        raise broken_cursor() from None
    shown, cursor = paging.cut(found)
    told = Listing[Any](
        data=[model.model_validate(row) for row in shown],
        page=Page(limit=paging.limit, next_cursor=cursor),
        freshness=reading.versions.freshness,
    )
    return Answer(told.model_dump_json().encode(), len(shown))
