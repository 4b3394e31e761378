"""The columns that tenant roles may read, by relation. A column that a migration adds is private until it is named here."""

from __future__ import annotations

_KEY = ("organization_id",)

ORGANIZATIONS = (*_KEY, "slug", "name", "created_at")
ORGANIZATION_TIME_ZONES = (*_KEY, "effective_from", "time_zone")
USERS = (*_KEY, "user_id", "role", "is_provisional", "created_at")
COURSES = (*_KEY, "course_id", "title", "is_unassigned", "created_at")
ENROLLMENT_DAYS = (*_KEY, "course_id", "user_id", "role", "days")
# What core.enrollment_days reads: a view that asks with the reader's rights needs them on every column.
ENROLLMENTS = (
    *_KEY,
    "source_id",
    "course_id",
    "user_id",
    "role",
    "roster_id",
    "known_at",
    "valid_days",
    "speaks_for",
)
ORGANIZATION_WATERMARKS = (*_KEY, "first_activity_on", "closed_through", "data_version", "data_as_of")
VIEW_VERSIONS = (*_KEY, "view_name", "version", "data_version", "window_ends_on")

_LEARNER_FIGURES = (
    "event_count",
    "interaction_count",
    "active_minutes",
    "session_count",
    "time_on_task_seconds",
    "first_event_at",
    "last_event_at",
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
    "is_completed",
    "completed_at",
    "is_enrolled",
    "enrolled_on",
)

LEARNER_ANALYTICS = (*_KEY, "learner_id", "course_id", "activity_date", "scope", "is_active", *_LEARNER_FIGURES)

TRAINER_ANALYTICS = (
    *_KEY,
    "trainer_id",
    "course_id",
    "activity_date",
    "learners_assigned",
    "learners_active",
    "activity_rate",
    "learners_at_risk",
    "completions",
    "score_sum",
    "score_count",
    "score_mean",
    "time_on_task_seconds",
    "time_on_task_seconds_per_active_learner",
    "contributions",
    "attempts_reviewed",
)

ORGANIZATION_ANALYTICS = (
    *_KEY,
    "activity_date",
    "learners_active",
    "trainers_active",
    "courses_active",
    "event_count",
    "interaction_count",
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
    "score_mean",
    "weekly_active_learners",
    "monthly_active_learners",
    "stickiness",
)

AGGREGATED_ANALYTICS = (
    *_KEY,
    "subject_type",
    "subject_id",
    "course_id",
    "period_type",
    "period_start",
    "scope",
    "is_active",
    "active_days",
    *_LEARNER_FIGURES,
    "is_at_risk",
    "score_mean",
    "learners_active",
    "trainers_active",
    "courses_active",
    "enrollments_open",
    "enrollments_new",
    "enrollments_completed",
    "completion_rate",
    "learners_at_risk",
    "weekly_active_learners",
    "monthly_active_learners",
    "stickiness",
    "cohort_size",
    "retained_1",
    "retained_2",
    "retained_4",
    "retained_8",
    "learners_assigned",
    "activity_rate",
    "time_on_task_seconds_per_active_learner",
    "attempts_reviewed",
)

LEARNER_COURSES = (
    *_KEY,
    "learner_id",
    "course_id",
    "first_event_on",
    "last_event_on",
    "first_active_on",
    "last_active_on",
    "completed_on",
    "completed_at",
    "enrolled_days",
    "at_risk_days",
)

_WINDOW_FIGURES = (
    "active_days",
    "event_count",
    "interaction_count",
    "active_minutes",
    "session_count",
    "time_on_task_seconds",
    "resources_viewed",
    "videos_started",
    "videos_completed",
    "video_seconds_watched",
    "assessments_attempted",
    "assessments_passed",
    "attempt_count",
    "score_sum",
    "score_count",
    "score_mean",
    "contributions",
    "completions",
)

LEARNER_SUMMARY = (
    *_KEY,
    "learner_id",
    "course_id",
    *(f"{window}_{figure}" for window in ("weekly", "monthly", "lifetime") for figure in _WINDOW_FIGURES),
    "first_event_at",
    "last_event_at",
    "last_active_on",
    "current_streak_days",
    "longest_streak_days",
    "is_enrolled",
    "enrolled_on",
    "is_completed",
    "completed_at",
    "is_at_risk",
    "engagement_rank",
    "engagement_band",
    "weekly_attempts_per_pass",
    "struggle_rank",
    "is_struggling",
)

_WINDOWS = ("daily", "weekly", "monthly")

ORGANIZATION_METRICS = (
    *_KEY,
    "window_ends_on",
    *(
        f"{window}_{figure}"
        for window in _WINDOWS
        for figure in (
            "active_learners",
            "active_learners_before",
            "active_learners_change",
            "time_on_task_seconds",
            "time_on_task_seconds_per_active_learner",
        )
    ),
    "enrollments_open",
    "enrollments_completed",
    "completion_rate",
    "learners_enrolled",
    "learners_at_risk",
    "at_risk_share",
    "best_course_ids",
    "best_course_completion_rates",
    "weakest_course_ids",
    "weakest_course_completion_rates",
    "data_as_of",
)

AUDIT_LOGS = (
    "audit_id",
    "occurred_at",
    "recorded_at",
    "organization_id",
    "actor_login",
    "actor_user_id",
    "actor_role",
    "action",
    "resource",
    "row_count",
    "decision",
    "request_id",
    "source",
    "session_id",
    "line_number",
    "detail",
)

REPORTS = (
    *_KEY,
    "report_id",
    "kind",
    "owner_user_id",
    "period_type",
    "period_start",
    "period_end",
    "status",
    "formats",
    "data_version",
    "told_through",
    "requested_at",
    "generated_at",
    "expires_at",
)

# Shown to the readers of a report alone, so that the service that hands it out needs no rights but theirs. The key is wrapped: it
# opens nothing without the key provider.
REPORT_FILES = (
    *_KEY,
    "report_id",
    "kind",
    "owner_user_id",
    "period_type",
    "period_start",
    "status",
    "formats",
    "expires_at",
    "uri",
    "sha256",
    "key_provider",
    "key_version",
    "wrapped_key",
)
