"""The answers, field by field. What a figure means is told as `docs/metrics.md` defines it.

A model's fields are the columns that its question selects, by name, so that the two cannot differ.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from lyceum.reporting.people.contents import Kind
from lyceum.reporting.people.periods import PeriodType
from lyceum.reporting.people.sealed import Format

Count = int | None
Number = float | None

Role = Literal["learner", "trainer", "org_admin", "service", "analyst", "auditor"]
Period = Literal["day", "week", "month", "year"]
ReportStatus = Literal["pending", "ready", "failed"]
EngagementBand = Literal["inactive", "low", "medium", "high"]


class Figures(BaseModel):
    """What every model here has in common: nothing but its fields is told, and none is missing."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Row = TypeVar("Row", bound=Figures)


class Freshness(Figures):
    """Of which published version the numbers are. The same version always gives the same numbers."""

    data_version: int = Field(description="The published version of the organization's data; 0 before the first.")
    first_activity_on: date | None = Field(description="The first day with an event.")
    closed_through: date | None = Field(
        description="The last closed day: the last whose end the data had reached when it was built."
    )
    data_as_of: datetime | None = Field(description="The clock of the last build that published.")


class Page(Figures):
    """How to go on."""

    limit: int = Field(description="How many rows a page has at most.")
    next_cursor: str | None = Field(
        description="Send it as `cursor`, with the same parameters, for the rows after these; null on the last page."
    )


class Single(Figures, Generic[Row]):
    """One row."""

    data: Row
    freshness: Freshness


class Series(Figures, Generic[Row]):
    """Rows by time, the earliest first."""

    data: list[Row]
    freshness: Freshness


class Listing(Figures, Generic[Row]):
    """A page of rows."""

    data: list[Row]
    page: Page
    freshness: Freshness


class Identity(Figures):
    """Who the token speaks for."""

    role: Role = Field(description="The role of the token.")
    user_id: int | None = Field(description="The pseudonymous id of the user, if the token names one.")
    organization_id: int = Field(description="The organization's id.")
    organization_slug: str = Field(description="The organization's short name.")
    organization_name: str = Field(description="The organization's name.")


class LearnerFigures(Figures):
    """What a learner did in a period."""

    is_active: bool | None = Field(description="Whether any day of the period has an event with the activity flag.")
    active_days: Count = Field(description="Days with activity.")
    event_count: Count = Field(description="Accepted events that are not voided.")
    interaction_count: Count = Field(description="Interactions: clicks, plays, answers, posts and the like.")
    active_minutes: Count = Field(
        description="Distinct minutes with an event; null where the sources know days but no minutes."
    )
    session_count: Count = Field(description="Runs of active minutes, each at most 30 after the one before.")
    time_on_task_seconds: Count = Field(description="Seconds of those sessions, first to last minute of each.")
    first_event_at: datetime | None = Field(description="The earliest event.")
    last_event_at: datetime | None = Field(description="The latest event.")
    resources_viewed: Count = Field(description="Distinct objects viewed, a day at a time.")
    videos_started: Count = Field(description="Distinct videos played, a day at a time.")
    videos_completed: Count = Field(description="Videos completed, or watched to 95 % of their length on one day.")
    video_seconds_watched: Number = Field(description="Seconds of video watched, each second once a day.")
    assessments_attempted: Count = Field(description="Distinct assessments attempted, a day at a time.")
    assessments_passed: Count = Field(description="Distinct assessments passed, a day at a time.")
    attempt_count: Count = Field(description="Attempts.")
    score_sum: Number = Field(description="Sum of the scaled scores.")
    score_count: Count = Field(description="Number of the scaled scores.")
    score_mean: Number = Field(description="score_sum / score_count, from -1 to 1; null without a score.")
    contributions: Count = Field(description="Posts.")
    completions: Count = Field(description="Courses completed for the first time.")


class LearnerPeriod(LearnerFigures):
    """A learner's period: what happened in it, and how things stood on its last closed day."""

    period_start: date = Field(description="The first day of the period; a week begins on Monday.")
    is_enrolled: bool | None = Field(description="Enrolled on the period's last closed day; null while none is closed.")
    enrolled_on: date | None = Field(description="The first day of the unbroken enrollment.")
    is_completed: bool | None = Field(description="The course was completed by then; null across courses.")
    completed_at: datetime | None = Field(description="When the course was first completed.")
    is_at_risk: bool | None = Field(
        description="Enrolled for at least 7 days, not completed, and no active day in the last 7."
    )


class Standing(Figures):
    """How somebody's courses stand on the last closed day."""

    courses: int = Field(description="Courses with any activity or enrollment so far.")
    courses_enrolled: int = Field(description="Courses in which they are enrolled.")
    courses_completed: int = Field(description="Courses completed.")
    courses_at_risk: int = Field(description="Courses in which they are at risk.")
    current_streak_days: int = Field(description="The longest run of active days in one course up to that day.")
    week: LearnerPeriod | None = Field(description="The week of the last closed day, all courses; null without events.")
    month: LearnerPeriod | None = Field(description="Its month, all courses; null without events.")
    year: LearnerPeriod | None = Field(description="Its year, all courses; null without events.")


class WeeklyFigures(Figures):
    """What a learner did in a course in the seven days up to the last closed one, and how that compares."""

    weekly_active_days: int = Field(description="Days with activity.")
    weekly_event_count: int = Field(description="Accepted events.")
    weekly_time_on_task_seconds: Count = Field(description="Seconds of sessions; null where sources know no minutes.")
    weekly_resources_viewed: int = Field(description="Objects viewed.")
    weekly_videos_completed: int = Field(description="Videos completed.")
    weekly_assessments_passed: int = Field(description="Assessments passed.")
    weekly_attempt_count: int = Field(description="Attempts.")
    weekly_score_mean: Number = Field(description="Mean scaled score; null without a score.")


class CourseStanding(WeeklyFigures):
    """How a learner stands in a course, as the last refresh told it."""

    monthly_active_days: int = Field(description="Days with activity in the 28 days up to the last closed one.")
    monthly_event_count: int = Field(description="Accepted events in those 28 days.")
    monthly_time_on_task_seconds: Count = Field(description="Seconds of sessions in those 28 days.")
    monthly_score_mean: Number = Field(description="Mean scaled score in those 28 days.")
    lifetime_active_days: int = Field(description="Days with activity on every kept day.")
    lifetime_event_count: int = Field(description="Accepted events on every kept day.")
    lifetime_time_on_task_seconds: Count = Field(description="Seconds of sessions on every kept day.")
    lifetime_resources_viewed: int = Field(description="Objects viewed on every kept day.")
    lifetime_videos_completed: int = Field(description="Videos completed on every kept day.")
    lifetime_assessments_passed: int = Field(description="Assessments passed on every kept day.")
    lifetime_score_mean: Number = Field(description="Mean scaled score on every kept day.")
    first_event_at: datetime | None = Field(description="The earliest event.")
    last_event_at: datetime | None = Field(description="The latest event.")
    last_active_on: date | None = Field(description="The last active day.")
    current_streak_days: int = Field(description="Length of the run of active days that ends on the last closed day.")
    longest_streak_days: int = Field(description="Length of the longest run of active days.")
    is_enrolled: bool = Field(description="Enrolled on the last closed day.")
    enrolled_on: date | None = Field(description="The first day of the unbroken enrollment.")
    is_completed: bool = Field(description="Completed by then.")
    completed_at: datetime | None = Field(description="When the course was first completed.")
    is_at_risk: bool = Field(
        description="Enrolled for at least 7 days, not completed, and no active day in the last 7."
    )
    engagement_rank: Number = Field(
        description="Percent rank within the course of the week's time on task, among those who were active; 0 to 1."
    )
    engagement_band: EngagementBand = Field(
        description="high from rank 0.85, low below 0.15, medium between; inactive without activity in the week."
    )
    is_struggling: bool = Field(
        description="At least 3 attempts in the week and, per assessment passed, more than 85 % of the course."
    )


class LearnerCourse(CourseStanding):
    """A course of the asking learner."""

    course_id: int = Field(description="The course.")
    title: str | None = Field(description="Its title, if a roster told one.")


class LearnerSummary(CourseStanding):
    """A learner and a course of the organization."""

    learner_id: int = Field(description="The learner's pseudonymous id.")
    course_id: int = Field(description="The course.")


class TeachingFigures(Figures):
    """How a course of a trainer went in a period. Figures of several trainers of one course must not be added."""

    learners_assigned: Count = Field(description="Learners enrolled, on the period's last day.")
    learners_active: Count = Field(description="Enrolled learners who were active in the course.")
    activity_rate: Number = Field(description="learners_active / learners_assigned.")
    learners_at_risk: Count = Field(description="Learners at risk, on the period's last day.")
    completions: Count = Field(description="Learners who completed the course.")
    score_sum: Number = Field(description="Sum of the learners' scaled scores.")
    score_count: Count = Field(description="Number of the learners' scaled scores.")
    score_mean: Number = Field(description="score_sum / score_count.")
    time_on_task_seconds: Count = Field(description="Seconds of the learners' sessions.")
    time_on_task_seconds_per_active_learner: Number = Field(description="That / learners_active.")
    contributions: Count = Field(description="The trainer's own posts in the course.")
    attempts_reviewed: Count = Field(description="Attempts that the trainer evaluated.")


class TaughtCourse(TeachingFigures):
    """A course that the asking trainer teaches."""

    course_id: int = Field(description="The course.")
    title: str | None = Field(description="Its title, if a roster told one.")
    period_start: date = Field(description="The first day of the period.")


class TaughtPeriod(TeachingFigures):
    """A period of a course that the asking trainer teaches."""

    period_start: date = Field(description="The first day of the period.")


class TaughtLearner(Figures):
    """A learner enrolled, on the last closed day, in a course that the asking trainer teaches on it."""

    learner_id: int = Field(description="The learner's pseudonymous id.")
    is_at_risk: bool = Field(
        description="Enrolled for at least 7 days, not completed, and no active day in the last 7."
    )
    is_completed: bool = Field(description="Completed by the last closed day.")
    last_active_on: date | None = Field(description="The last active day in the course, up to the last closed one.")
    is_active: bool | None = Field(
        description="Active in the period that holds the last closed day; null, like all below, where the learner has no event in "
        "it or the trainer did not teach on each of its days."
    )
    active_days: Count = Field(description="Days with activity in that period.")
    event_count: Count = Field(description="Accepted events in that period.")
    time_on_task_seconds: Count = Field(description="Seconds of sessions in that period.")
    resources_viewed: Count = Field(description="Objects viewed in that period.")
    videos_completed: Count = Field(description="Videos completed in that period.")
    assessments_passed: Count = Field(description="Assessments passed in that period.")
    attempt_count: Count = Field(description="Attempts in that period.")
    score_mean: Number = Field(description="Mean scaled score in that period.")


class OrganizationPeriod(Figures):
    """The organization in a period: sums and distinct people over its closed days, stocks on the last of them."""

    period_start: date = Field(description="The first day of the period; a week begins on Monday.")
    active_days: Count = Field(description="Closed days with an active learner.")
    learners_active: Count = Field(description="Distinct learners with activity.")
    trainers_active: Count = Field(description="Distinct active people who teach a course.")
    courses_active: Count = Field(description="Distinct courses with an active learner.")
    event_count: Count = Field(description="Accepted events.")
    interaction_count: Count = Field(description="Interactions.")
    attempt_count: Count = Field(description="Attempts.")
    time_on_task_seconds: Count = Field(description="Seconds of sessions; null where no source knows minutes.")
    score_mean: Number = Field(description="Mean scaled score.")
    completions: Count = Field(description="Learners' first completions of a course.")
    enrollments_open: Count = Field(description="Learner-courses enrolled on the last closed day.")
    enrollments_new: Count = Field(description="Enrollments that began.")
    enrollments_completed: Count = Field(description="Of the open enrollments, those completed.")
    completion_rate: Number = Field(description="enrollments_completed / enrollments_open.")
    learners_at_risk: Count = Field(description="Learners at risk in at least one course.")
    weekly_active_learners: Count = Field(
        description="Distinct learners active in the 7 days up to the last closed one."
    )
    monthly_active_learners: Count = Field(description="The same in 28 days.")
    stickiness: Number = Field(description="Mean daily active learners / monthly active learners.")


class Cohort(Figures):
    """The learners who were first active in one week, and how many of them came back."""

    period_start: date = Field(description="The Monday of the week.")
    cohort_size: Count = Field(description="Learners whose first active day lies in the week.")
    retained_1: Number = Field(description="Share of them active one week later; null until that week is over.")
    retained_2: Number = Field(description="Two weeks later.")
    retained_4: Number = Field(description="Four weeks later.")
    retained_8: Number = Field(description="Eight weeks later.")


class OrganizationMetrics(Figures):
    """The organization on its last closed day, as the last refresh told it."""

    window_ends_on: date = Field(description="The closed day on which every window ends.")
    daily_active_learners: int = Field(description="Active learners of that day.")
    daily_active_learners_before: int = Field(description="Those of the day before.")
    daily_active_learners_change: Number = Field(description="(now - before) / before; null from zero.")
    daily_time_on_task_seconds: Count = Field(description="Seconds of sessions on that day.")
    daily_time_on_task_seconds_per_active_learner: Number = Field(description="That / active learners.")
    weekly_active_learners: int = Field(description="Distinct learners active in 7 days.")
    weekly_active_learners_before: int = Field(description="Those of the 7 days before.")
    weekly_active_learners_change: Number = Field(description="(now - before) / before; null from zero.")
    weekly_time_on_task_seconds: Count = Field(description="Seconds of sessions in 7 days.")
    weekly_time_on_task_seconds_per_active_learner: Number = Field(description="That / active learners.")
    monthly_active_learners: int = Field(description="Distinct learners active in 28 days.")
    monthly_active_learners_before: int = Field(description="Those of the 28 days before.")
    monthly_active_learners_change: Number = Field(description="(now - before) / before; null from zero.")
    monthly_time_on_task_seconds: Count = Field(description="Seconds of sessions in 28 days.")
    monthly_time_on_task_seconds_per_active_learner: Number = Field(description="That / active learners.")
    enrollments_open: int = Field(description="Learner-courses enrolled.")
    enrollments_completed: int = Field(description="Of them completed.")
    completion_rate: Number = Field(description="enrollments_completed / enrollments_open.")
    learners_enrolled: int = Field(description="Distinct learners enrolled in at least one course.")
    learners_at_risk: int = Field(description="Distinct learners at risk in at least one course.")
    at_risk_share: Number = Field(description="learners_at_risk / learners_enrolled.")
    best_course_ids: list[int] = Field(
        description="Up to 3 courses of at least 10 learners with the greatest completion rate, best first."
    )
    best_course_completion_rates: list[float] = Field(description="Their completion rates.")
    weakest_course_ids: list[int] = Field(description="Up to 3 with the least, weakest first.")
    weakest_course_completion_rates: list[float] = Field(description="Their completion rates.")


class CourseMetrics(Figures):
    """A course of the organization on the last closed day, over its learners' summaries."""

    course_id: int = Field(description="The course; activity that belongs to none stands under the unassigned one.")
    title: str | None = Field(description="Its title, if a roster told one and the token may read titles.")
    learners: int = Field(description="Learners with activity or enrollment so far.")
    learners_enrolled: int = Field(description="Learners enrolled.")
    learners_completed: int = Field(description="Learners enrolled who completed it.")
    completion_rate: Number = Field(description="learners_completed / learners_enrolled.")
    learners_at_risk: int = Field(description="Learners at risk.")
    learners_struggling: int = Field(description="Learners who struggle.")
    weekly_active_learners: int = Field(description="Learners active in the 7 days up to that day.")
    monthly_active_learners: int = Field(description="Learners active in 28 days.")
    weekly_time_on_task_seconds: Count = Field(description="Seconds of sessions in 7 days.")
    weekly_event_count: int = Field(description="Accepted events in 7 days.")
    monthly_score_mean: Number = Field(description="Mean scaled score in 28 days.")


class Report(Figures):
    """A report that the asking one may read."""

    report_id: int = Field(description="The number by which it is downloaded.")
    kind: Kind = Field(
        description="learner: their own progress; trainer: the courses that they teach; organization: the whole of it."
    )
    period_type: PeriodType = Field(description="The length of the period that it tells of.")
    period_start: date = Field(description="The first day of that period.")
    period_end: date = Field(description="Its last day.")
    status: ReportStatus = Field(
        description="ready: can be downloaded; pending: is being written; failed: could not be written."
    )
    formats: list[Format] = Field(description="What it can be downloaded as.")
    data_version: Count = Field(description="The published version that it was told from; null until it is ready.")
    told_through: date | None = Field(description="The last closed day of that version.")
    requested_at: datetime = Field(description="When it was asked for.")
    generated_at: datetime | None = Field(description="When it was written.")
    expires_at: datetime | None = Field(description="From then on nobody can read it.")


class Health(BaseModel):
    """Whether the service can answer."""

    status: Literal["ok"] = Field(description="Always ok: what is not is answered with a problem.")
