{{ config(post_hook="analyze {{ this }}") }}
-- Grain: one row per organization, learner and activity date whose flow columns must be told anew.
-- Besides the days that the hours of the build reach, those that an hour reached before and no longer does (voids).
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

final as (

    select
        organization_id,
        learner_id,
        activity_date
    from states

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
