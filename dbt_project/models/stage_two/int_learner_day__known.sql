{{ config(materialized="ephemeral") }}
-- Grain: one row per touched learner, activity date and course (or across courses), over all the days that are known:
-- the touched days as just built, the others as published. The one backward read, for stock columns.
with

flow as (

    select * from {{ ref('int_learner_day__flow') }}

),

published_days as (

    select * from {{ ref('stg_stage_three__learner_days') }}

),

learners as (

    select * from {{ ref('int_build__learners') }}

),

learner_days as (

    select * from {{ ref('int_build__learner_days') }}

)
{%- set columns -%}
    organization_id, learner_id, course_id, activity_date, scope, is_active, event_count, interaction_count,
    active_minutes, session_count, time_on_task_seconds, first_event_at, last_event_at, resources_viewed,
    videos_started, videos_completed, video_seconds_watched, assessments_attempted, assessments_passed, attempt_count,
    score_sum, score_count, contributions, course_completed_at, last_registered_at, last_unregistered_at
{%- endset %}

select {{ columns }}
from flow

union all

select {{ columns }}
from published_days
where
    exists (
        select 1
        from learners
        where
            learners.organization_id = published_days.organization_id
            and learners.learner_id = published_days.learner_id
    )
    and not exists (
        select 1
        from learner_days
        where
            learner_days.organization_id = published_days.organization_id
            and learner_days.learner_id = published_days.learner_id
            and learner_days.activity_date = published_days.activity_date
    )
