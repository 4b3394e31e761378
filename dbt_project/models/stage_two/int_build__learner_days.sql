{{ config(post_hook="analyze {{ this }}") }}
-- Grain: one row per organization, learner and activity date whose flow columns must be told anew.
-- Besides the days that the hours of the build reach, those that an hour reached before and no longer does (voids), and
-- those of people to or from whom a roster has moved events.
with

states as (

    select * from {{ ref('int_learner_day__states') }}

),

hours as (

    select * from {{ ref('int_build__hours') }}

),

published_states as (

    select * from {{ ref('stg_stage_two__learner_day_states') }}

),

sealed_weeks as (

    select * from {{ ref('int_build__sealed_weeks') }}

),

rekeyed_learners as (

    select
        organization_id,
        user_id as learner_id,
        told_from
    from {{ ref('stg_ops__build_users') }}
    where is_rekeyed

),

published_days as (

    select * from {{ ref('stg_stage_three__learner_days') }}

),

-- What they have now, and what was published for them before.
rekeyed_days as (

    select
        rekeyed_learners.organization_id,
        rekeyed_learners.learner_id,
        published_states.activity_date
    from rekeyed_learners
    inner join published_states
        on
            rekeyed_learners.organization_id = published_states.organization_id
            and rekeyed_learners.learner_id = published_states.learner_id
            and rekeyed_learners.told_from <= published_states.activity_date

    union

    select
        rekeyed_learners.organization_id,
        rekeyed_learners.learner_id,
        published_days.activity_date
    from rekeyed_learners
    inner join published_days
        on
            rekeyed_learners.organization_id = published_days.organization_id
            and rekeyed_learners.learner_id = published_days.learner_id
            and rekeyed_learners.told_from <= published_days.activity_date

),

final as (

    select
        organization_id,
        learner_id,
        activity_date
    from states

    union

    select
        rekeyed_days.organization_id,
        rekeyed_days.learner_id,
        rekeyed_days.activity_date
    from rekeyed_days
    where
        not exists (
            select 1
            from sealed_weeks
            where
                sealed_weeks.organization_id = rekeyed_days.organization_id
                and sealed_weeks.week_start = {{ week_start('rekeyed_days.activity_date') }}
        )

    union

    select
        published_states.organization_id,
        published_states.learner_id,
        published_states.activity_date
    from published_states
    inner join hours
        on
            published_states.organization_id = hours.organization_id
            and published_states.collected_hour = hours.collected_hour
    where
        not exists (
            select 1
            from sealed_weeks
            where
                sealed_weeks.organization_id = published_states.organization_id
                and sealed_weeks.week_start = {{ week_start('published_states.activity_date') }}
        )

)

select * from final
