{{ config(post_hook="analyze {{ this }}") }}
-- Grain: one row per organization, learner, course, activity date and collected hour of the build.
-- What an hour adds to a day. Days of sealed weeks are left out: their week is restored before it takes events again.
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
        events.activity_date,
        count(*)::integer as event_count,
        (count(*) filter (where verb_kinds.is_activity))::integer as activity_count,
        (count(*) filter (where verb_kinds.is_attempt))::integer as attempt_count,
        count(events.score_scaled)::integer as score_count,
        (count(*) filter (where verb_kinds.event_kind = 'posted'))::integer as contributions,
        coalesce(sum(events.quantity) filter (where verb_kinds.is_interaction), 0) as interaction_count,
        min(events.occurred_at) as first_event_at,
        max(events.occurred_at) as last_event_at,
        min(events.occurred_at) filter (
            where events.is_course_object and verb_kinds.event_kind in ('passed', 'completed')
        ) as course_completed_at,
        max(events.occurred_at) filter (where verb_kinds.event_kind = 'registered') as last_registered_at,
        max(events.occurred_at) filter (where verb_kinds.event_kind = 'unregistered') as last_unregistered_at,
        coalesce(sum(events.score_scaled), 0) as score_sum,
        range_agg(int4range(events.active_minute, events.active_minute + 1)) filter (
            where events.active_minute is not null
        ) as active_minutes,
        stage_two.object_set(
            array_agg(events.object_id) filter (where verb_kinds.is_view)
        ) as viewed_object_ids,
        stage_two.object_set(
            array_agg(events.object_id) filter (where verb_kinds.is_attempt)
        ) as attempted_object_ids,
        stage_two.object_set(
            array_agg(events.object_id) filter (
                where
                not events.is_course_object
                and (verb_kinds.event_kind = 'passed' or (verb_kinds.is_attempt and events.is_success))
            )
        ) as passed_object_ids
    from events
    inner join verb_kinds
        on
            events.organization_id = verb_kinds.organization_id
            and events.verb_id = verb_kinds.verb_id
    group by
        events.organization_id,
        events.learner_id,
        events.course_id,
        events.activity_date,
        events.collected_hour

),

final as (

    select
        organization_id,
        learner_id,
        course_id,
        collected_hour,
        activity_date,
        event_count,
        activity_count,
        attempt_count,
        score_count,
        contributions,
        interaction_count,
        first_event_at,
        last_event_at,
        course_completed_at,
        last_registered_at,
        last_unregistered_at,
        score_sum,
        active_minutes,
        viewed_object_ids,
        attempted_object_ids,
        passed_object_ids
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
