{{ config(post_hook="analyze {{ this }}") }}
-- Grain: one row per organization, learner, course, video, activity date and collected hour of the build.
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
        events.learner_id,
        events.course_id,
        events.collected_hour,
        events.object_id,
        events.activity_date,
        bool_or(verb_kinds.event_kind = 'played') as is_played,
        bool_or(verb_kinds.event_kind = 'completed') as is_completed,
        max(events.video_length_seconds) as length_seconds,
        range_agg(events.played_segments) as watched_segments
    from events
    inner join verb_kinds
        on
            events.organization_id = verb_kinds.organization_id
            and events.verb_id = verb_kinds.verb_id
    where events.is_video
    group by
        events.organization_id,
        events.learner_id,
        events.course_id,
        events.object_id,
        events.activity_date,
        events.collected_hour

),

final as (

    select
        organization_id,
        learner_id,
        course_id,
        collected_hour,
        object_id,
        activity_date,
        is_played,
        is_completed,
        length_seconds,
        watched_segments
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
