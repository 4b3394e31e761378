"""The addresses of the API, version 1: what may be asked, by whom, with which parameters."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query
from pydantic import Field
from starlette.responses import Response

from lyceum.serving import statements
from lyceum.serving.asking import (
    ActivityParameters,
    Asking,
    CohortParameters,
    CourseId,
    DownloadParameters,
    LearnerId,
    PageParameters,
    RangeParameters,
    ReportId,
    answers,
    asking_as,
    downloads,
    sort_field,
)
from lyceum.serving.figures import (
    Cohort,
    CourseMetrics,
    Identity,
    LearnerCourse,
    LearnerPeriod,
    LearnerSummary,
    Listing,
    OrganizationMetrics,
    OrganizationPeriod,
    Period,
    Report,
    Series,
    Single,
    Standing,
    TaughtCourse,
    TaughtLearner,
    TaughtPeriod,
)

ANALYTICS: Final = "analytics.read"

router = APIRouter(prefix="/v1")

Anybody = Annotated[Asking, Depends(asking_as("learner", "trainer", "org_admin", "service", "analyst"))]
Person = Annotated[Asking, Depends(asking_as("learner", "trainer"))]
Trainer = Annotated[Asking, Depends(asking_as("trainer"))]
Reader = Annotated[Asking, Depends(asking_as("learner", "trainer", "org_admin"))]
Organization = Annotated[Asking, Depends(asking_as("org_admin", "service", "analyst", scope=ANALYTICS))]

OWN_COURSE_SORTS = ("course_id", "last_active_on", "weekly_time_on_task_seconds", "lifetime_event_count")
TAUGHT_COURSE_SORTS = ("course_id", "learners_at_risk", "activity_rate", "learners_active")
TAUGHT_LEARNER_SORTS = ("learner_id", "is_at_risk", "last_active_on", "event_count", "time_on_task_seconds")
COURSE_SORTS = ("course_id", "weekly_active_learners", "completion_rate", "learners_at_risk", "weekly_event_count")
COURSE_LEARNER_SORTS = ("learner_id", "engagement_rank", "last_active_on", "weekly_event_count", "lifetime_event_count")
REPORT_SORTS = ("report_id", "period_start", "generated_at")

_AT_RISK = "Only learners who are at risk."


class OwnCoursesParameters(PageParameters):
    """A page of the own courses."""

    sort: str = sort_field("course_id", *OWN_COURSE_SORTS)


class TaughtCoursesParameters(PageParameters):
    """A page of the courses that are taught."""

    period: Period = Field(default="week", description="The period, which holds the last closed day.")
    sort: str = sort_field("course_id", *TAUGHT_COURSE_SORTS)


class TaughtLearnersParameters(PageParameters):
    """A page of the learners of a course that is taught."""

    period: Period = Field(default="week", description="The period of the figures, which holds the last closed day.")
    at_risk: bool = Field(default=False, description=_AT_RISK)
    sort: str = sort_field("learner_id", *TAUGHT_LEARNER_SORTS)


class CoursesParameters(PageParameters):
    """A page of the organization's courses."""

    sort: str = sort_field("course_id", *COURSE_SORTS)


class CourseLearnersParameters(PageParameters):
    """A page of the learners of a course."""

    at_risk: bool = Field(default=False, description=_AT_RISK)
    sort: str = sort_field("learner_id", *COURSE_LEARNER_SORTS)


class ReportsParameters(PageParameters):
    """A page of reports."""

    sort: str = sort_field("-report_id", *REPORT_SORTS)


@router.get("/me", tags=["everybody"], summary="Who the token speaks for", **answers(Single[Identity], 404))
async def identify(asking: Anybody) -> Response:
    """The organization and the role of the token, and how fresh the organization's numbers are."""
    return await asking.about(statements.identity())


@router.get("/me/summary", tags=["my learning"], summary="How my courses stand", **answers(Single[Standing], 404))
async def summarize_own_learning(asking: Person) -> Response:
    """How many courses there are and how they stand, and what was done this week, month and year across all of them.

    They are those of the last closed day.
    """
    return await asking.about(statements.standing())


@router.get("/me/courses", tags=["my learning"], summary="My courses", **answers(Listing[LearnerCourse]))
async def list_own_courses(asking: Person, query: Annotated[OwnCoursesParameters, Query()]) -> Response:
    """Each course with what was done in it in 7 days, 28 days and ever, up to the last closed day."""
    paging, asked = query.page("me/courses", query.sort, OWN_COURSE_SORTS, "course_id")
    return await asking.about(statements.own_courses(paging, asked))


@router.get("/me/activity", tags=["my learning"], summary="What I did, by period", **answers(Series[LearnerPeriod]))
async def tell_own_activity(asking: Person, query: Annotated[ActivityParameters, Query()]) -> Response:
    """Periods with at least one event, across all courses or in one."""
    return await asking.about(statements.learner_activity("me/activity", query.range, query.course_id))


@router.get("/teaching/courses", tags=["my teaching"], summary="The courses I teach", **answers(Listing[TaughtCourse]))
async def list_taught_courses(asking: Trainer, query: Annotated[TaughtCoursesParameters, Query()]) -> Response:
    """Each course taught in the period that holds the last closed day, with how it went in it."""
    paging, asked = query.page("teaching/courses", query.sort, TAUGHT_COURSE_SORTS, "course_id")
    return await asking.about(statements.taught_courses(query.period, paging, asked))


@router.get(
    "/teaching/courses/{course_id}/activity",
    tags=["my teaching"],
    summary="How a course I teach went, by period",
    **answers(Series[TaughtPeriod], 404),
)
async def tell_taught_activity(
    asking: Trainer, course_id: CourseId, query: Annotated[RangeParameters, Query()]
) -> Response:
    """The periods in which the course was taught by the asking trainer."""
    return await asking.about(statements.taught_activity(course_id, query.range))


@router.get(
    "/teaching/courses/{course_id}/learners",
    tags=["my teaching"],
    summary="The learners of a course I teach",
    **answers(Listing[TaughtLearner], 404),
)
async def list_taught_learners(
    asking: Trainer, course_id: CourseId, query: Annotated[TaughtLearnersParameters, Query()]
) -> Response:
    """Who is enrolled on the last closed day, who of them needs help, and what they did in its period."""
    paging, asked = query.page("teaching/courses/learners", query.sort, TAUGHT_LEARNER_SORTS, "learner_id")
    return await asking.about(
        statements.taught_learners(course_id, query.period, paging, asked, is_at_risk=query.at_risk)
    )


@router.get(
    "/organization/metrics",
    tags=["my organization"],
    summary="The organization now",
    **answers(Single[OrganizationMetrics], 404),
)
async def tell_organization_metrics(asking: Organization) -> Response:
    """Active learners, time on task, enrollments and risk on the last closed day, and the period before for comparison."""
    return await asking.about(statements.organization_metrics())


@router.get(
    "/organization/trends",
    tags=["my organization"],
    summary="The organization, by period",
    **answers(Series[OrganizationPeriod]),
)
async def tell_organization_trends(asking: Organization, query: Annotated[RangeParameters, Query()]) -> Response:
    """One row a period with at least one closed day, events or not."""
    return await asking.about(statements.organization_trends(query.range))


@router.get(
    "/organization/cohorts",
    tags=["my organization"],
    summary="Who came back, by week of the first visit",
    **answers(Series[Cohort]),
)
async def tell_organization_cohorts(asking: Organization, query: Annotated[CohortParameters, Query()]) -> Response:
    """Learners by the week of their first active day, and the share of them that was active weeks later."""
    return await asking.about(statements.organization_cohorts(query.range))


@router.get(
    "/organization/courses",
    tags=["my organization"],
    summary="The organization's courses",
    **answers(Listing[CourseMetrics]),
)
async def list_organization_courses(asking: Organization, query: Annotated[CoursesParameters, Query()]) -> Response:
    """Each course with its learners, how many completed it, how many are at risk, and what was done in 7 and 28 days."""
    paging, asked = query.page("organization/courses", query.sort, COURSE_SORTS, "course_id")
    return await asking.about(statements.organization_courses(paging, asked))


@router.get(
    "/organization/courses/{course_id}/learners",
    tags=["my organization"],
    summary="The learners of a course",
    **answers(Listing[LearnerSummary]),
)
async def list_course_learners(
    asking: Organization, course_id: CourseId, query: Annotated[CourseLearnersParameters, Query()]
) -> Response:
    """Each learner with how they stand in the course on the last closed day, by pseudonymous ids."""
    paging, asked = query.page("organization/courses/learners", query.sort, COURSE_LEARNER_SORTS, "learner_id")
    return await asking.about(statements.course_learners(course_id, paging, asked, is_at_risk=query.at_risk))


@router.get(
    "/organization/learners/{learner_id}/activity",
    tags=["my organization"],
    summary="What a learner did, by period",
    **answers(Series[LearnerPeriod]),
)
async def tell_learner_activity(
    asking: Organization, learner_id: LearnerId, query: Annotated[ActivityParameters, Query()]
) -> Response:
    """Periods of one learner with at least one event, across all courses or in one."""
    name = "organization/learners/activity"
    return await asking.about(statements.learner_activity(name, query.range, query.course_id, learner_id))


@router.get("/reports", tags=["reports"], summary="My reports", **answers(Listing[Report]))
async def list_reports(asking: Reader, query: Annotated[ReportsParameters, Query()]) -> Response:
    """The newest first: a learner's own, a trainer's own, and for an administrator those of the organization."""
    paging, asked = query.page("reports", query.sort, REPORT_SORTS, "report_id")
    return await asking.about(statements.reports(paging, asked))


@router.get("/reports/{report_id}", tags=["reports"], summary="Download a report", **downloads(404))
async def download_report(
    asking: Reader, report_id: ReportId, query: Annotated[DownloadParameters, Query()]
) -> Response:
    """All of its formats tell the same numbers. The audit trail names the download before the first byte is sent."""
    return await asking.about(asking.report_files.question(report_id, query.format))
