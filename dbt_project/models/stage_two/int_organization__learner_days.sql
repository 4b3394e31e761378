{{ config(materialized="ephemeral") }}
-- Grain: one row per organization, learner, activity date and course (or across courses) of closed days: as just built
-- where the learner is touched from that day on, else as published. Readers bound the dates.
with

candidates as (

    select * from {{ ref('learner_analytics') }}

),

published as (

    select * from {{ ref('stg_stage_three__learner_days') }}

),

learners as (

    select * from {{ ref('int_build__learners') }}

),

organizations as (

    select * from {{ ref('int_build__organizations') }}

),

current_days as (

    select
        organization_id,
        learner_id,
        course_id,
        activity_date,
        scope,
        is_active,
        event_count,
        interaction_count,
        attempt_count,
        contributions,
        time_on_task_seconds,
        completions,
        score_sum,
        score_count
    from candidates

    union all

    select
        organization_id,
        learner_id,
        course_id,
        activity_date,
        scope,
        is_active,
        event_count,
        interaction_count,
        attempt_count,
        contributions,
        time_on_task_seconds,
        completions,
        score_sum,
        score_count
    from published
    where
        not exists (
            select 1
            from learners
            where
                learners.organization_id = published.organization_id
                and learners.learner_id = published.learner_id
                and learners.touched_from <= published.activity_date
        )

)

select current_days.*
from current_days
inner join organizations
    on
        current_days.organization_id = organizations.organization_id
        and current_days.activity_date <= organizations.closed_through
