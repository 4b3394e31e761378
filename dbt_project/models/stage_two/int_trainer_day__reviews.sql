{{ config(post_hook="analyze {{ this }}") }}
-- Grain: one row per organization, trainer, course and day that must be told and on which they graded. A sealed week has no
-- states any more; its days keep what was published.
with

trainer_days as (

    select * from {{ ref('int_trainer_day__dirty') }}

),

sealed_weeks as (

    select * from {{ ref('int_build__sealed_weeks') }}

),

states as (

    select * from {{ ref('int_trainer_day__states') }}

),

published_states as (

    select * from {{ ref('stg_stage_two__trainer_day_states') }}

),

hours as (

    select * from {{ ref('int_build__hours') }}

),

published_days as (

    select * from {{ ref('stg_stage_three__trainer_days') }}

),

reviews as (

    select
        organization_id,
        trainer_id,
        course_id,
        activity_date,
        attempts_reviewed
    from states

    union all

    select
        published_states.organization_id,
        published_states.trainer_id,
        published_states.course_id,
        published_states.activity_date,
        published_states.attempts_reviewed
    from published_states
    where
        not exists (
            select 1
            from hours
            where
                hours.organization_id = published_states.organization_id
                and hours.collected_hour = published_states.collected_hour
        )
        and not exists (
            select 1
            from sealed_weeks
            where
                sealed_weeks.organization_id = published_states.organization_id
                and sealed_weeks.week_start = {{ week_start('published_states.activity_date') }}
        )

    union all

    select
        published_days.organization_id,
        published_days.trainer_id,
        published_days.course_id,
        published_days.activity_date,
        published_days.attempts_reviewed
    from published_days
    inner join sealed_weeks
        on
            published_days.organization_id = sealed_weeks.organization_id
            and sealed_weeks.week_start = {{ week_start('published_days.activity_date') }}

),

final as (

    select
        trainer_days.organization_id,
        trainer_days.trainer_id,
        trainer_days.course_id,
        trainer_days.activity_date,
        sum(reviews.attempts_reviewed)::bigint as attempts_reviewed
    from trainer_days
    inner join reviews
        on
            trainer_days.organization_id = reviews.organization_id
            and trainer_days.trainer_id = reviews.trainer_id
            and trainer_days.course_id = reviews.course_id
            and trainer_days.activity_date = reviews.activity_date
    group by
        trainer_days.organization_id,
        trainer_days.trainer_id,
        trainer_days.course_id,
        trainer_days.activity_date

)

select * from final
