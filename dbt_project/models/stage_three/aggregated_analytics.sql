{{ config(materialized="view") }}
-- Grain: one row per organization, subject type, subject, course (or across courses), period type and period start:
-- the candidates of stage three. A view: publishing reads it once. Every part tells the columns that it has; the others
-- are null.
{% set columns = {
    "is_active": "boolean",
    "active_days": "bigint",
    "event_count": "bigint",
    "interaction_count": "bigint",
    "active_minutes": "bigint",
    "session_count": "bigint",
    "time_on_task_seconds": "bigint",
    "first_event_at": "timestamptz",
    "last_event_at": "timestamptz",
    "resources_viewed": "bigint",
    "videos_started": "bigint",
    "videos_completed": "bigint",
    "video_seconds_watched": "numeric",
    "assessments_attempted": "bigint",
    "assessments_passed": "bigint",
    "attempt_count": "bigint",
    "score_sum": "numeric",
    "score_count": "bigint",
    "contributions": "bigint",
    "completions": "bigint",
    "is_completed": "boolean",
    "completed_at": "timestamptz",
    "is_enrolled": "boolean",
    "enrolled_on": "date",
    "is_at_risk": "boolean",
    "course_completed_at": "timestamptz",
    "last_registered_at": "timestamptz",
    "last_unregistered_at": "timestamptz",
    "score_mean": "numeric",
    "learners_active": "bigint",
    "trainers_active": "bigint",
    "courses_active": "bigint",
    "enrollments_open": "bigint",
    "enrollments_new": "bigint",
    "enrollments_completed": "bigint",
    "completion_rate": "numeric",
    "learners_at_risk": "bigint",
    "weekly_active_learners": "bigint",
    "monthly_active_learners": "bigint",
    "stickiness": "numeric",
    "cohort_size": "bigint",
    "retained_1": "numeric",
    "retained_2": "numeric",
    "retained_4": "numeric",
    "retained_8": "numeric",
    "learners_assigned": "bigint",
    "activity_rate": "numeric",
    "time_on_task_seconds_per_active_learner": "numeric",
    "attempts_reviewed": "bigint",
} -%}
{%- set learner = [
    "is_active", "event_count", "interaction_count", "active_minutes", "session_count", "time_on_task_seconds",
    "first_event_at", "last_event_at", "resources_viewed", "videos_started", "videos_completed", "video_seconds_watched",
    "assessments_attempted", "assessments_passed", "attempt_count", "score_sum", "score_count", "contributions",
    "completions", "is_completed", "completed_at", "is_enrolled", "enrolled_on",
] -%}
{%- set organization = [
    "event_count", "interaction_count", "time_on_task_seconds", "attempt_count", "score_sum", "score_count", "completions",
    "score_mean", "learners_active", "trainers_active", "courses_active", "enrollments_open", "enrollments_new",
    "enrollments_completed", "completion_rate", "learners_at_risk", "weekly_active_learners", "monthly_active_learners",
    "stickiness",
] -%}
{%- set trainer = [
    "time_on_task_seconds", "score_sum", "score_count", "contributions", "completions", "score_mean", "learners_active",
    "learners_at_risk", "learners_assigned", "activity_rate", "time_on_task_seconds_per_active_learner",
    "attempts_reviewed",
] -%}
{%- set cohorts = ["cohort_size", "retained_1", "retained_2", "retained_4", "retained_8"] -%}
{%- set periods = ["is_active", "active_days"] %}
with

learner_days as (

    select
        organization_id,
        'learner' as subject_type,
        learner_id as subject_id,
        course_id,
        'day' as period_type,
        activity_date as period_start,
        scope,
        {{- told(columns, learner + ["course_completed_at", "last_registered_at", "last_unregistered_at"], {
            "active_days": "is_active::integer::bigint",
            "score_mean": ratio("score_sum", "score_count"),
        }) }}
    from {{ ref('learner_analytics') }}

),

learner_periods as (

    select
        organization_id,
        'learner' as subject_type,
        learner_id as subject_id,
        course_id,
        period_type,
        period_start,
        scope,
        {{- told(columns, learner + periods + ["is_at_risk", "score_mean"]) }}
    from {{ ref('int_learner_periods') }}

),

trainer_days as (

    select
        organization_id,
        'trainer' as subject_type,
        trainer_id as subject_id,
        course_id,
        'day' as period_type,
        activity_date as period_start,
        'course' as scope,
        {{- told(columns, trainer, {
            "is_active": "learners_active > 0",
            "active_days": "(learners_active > 0)::integer::bigint",
        }) }}
    from {{ ref('trainer_analytics') }}

),

trainer_periods as (

    select
        organization_id,
        'trainer' as subject_type,
        trainer_id as subject_id,
        course_id,
        period_type,
        period_start,
        'course' as scope,
        {{- told(columns, trainer + periods) }}
    from {{ ref('int_trainer_periods') }}

),

organization_days as (

    select
        organization_id,
        'organization' as subject_type,
        organization_id as subject_id,
        null::bigint as course_id,
        'day' as period_type,
        activity_date as period_start,
        'all_courses' as scope,
        {{- told(columns, organization, {
            "is_active": "learners_active > 0",
            "active_days": "(learners_active > 0)::integer::bigint",
        }) }}
    from {{ ref('organization_analytics') }}

),

organization_periods as (

    select
        organization_id,
        'organization' as subject_type,
        organization_id as subject_id,
        null::bigint as course_id,
        period_type,
        period_start,
        'all_courses' as scope,
        {{- told(columns, organization + periods + cohorts) }}
    from {{ ref('int_organization_periods') }}

),

final as (

    select * from learner_days
    union all
    select * from learner_periods
    union all
    select * from trainer_days
    union all
    select * from trainer_periods
    union all
    select * from organization_days
    union all
    select * from organization_periods

)

select * from final
