{{ config(post_hook="analyze {{ this }}") }}
-- Grain: one row per organization, trainer, course, activity date and collected hour of the build: the gradings that the
-- hour adds. Days of sealed weeks are left out.
with

events as (

    select * from {{ ref('stg_raw__events') }}

),

verb_kinds as (

    select * from {{ ref('stg_core__verb_kinds') }}

),

sealed_weeks as (

    select * from {{ ref('int_build__sealed_weeks') }}

),

rolled_up as (

    select
        events.organization_id,
        events.trainer_id,
        events.course_id,
        events.collected_hour,
        events.activity_date,
        count(*)::integer as attempts_reviewed
    from events
    inner join verb_kinds
        on
            events.organization_id = verb_kinds.organization_id
            and events.verb_id = verb_kinds.verb_id
    where
        events.trainer_id is not null
        and verb_kinds.event_kind = 'evaluated'
    group by
        events.organization_id,
        events.trainer_id,
        events.course_id,
        events.collected_hour,
        events.activity_date

),

final as (

    select
        organization_id,
        trainer_id,
        course_id,
        collected_hour,
        activity_date,
        attempts_reviewed
    from rolled_up
    where
        not exists (
            select 1
            from sealed_weeks
            where
                sealed_weeks.organization_id = rolled_up.organization_id
                and sealed_weeks.week_start = {{ week_start('rolled_up.activity_date') }}
        )

)

select * from final
