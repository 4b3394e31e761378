{{ config(post_hook="analyze {{ this }}") }}
-- Grain: one row per organization, learner, activity date and course, and one across courses (course null), of the
-- touched days. States of different hours merge in any order: counts and sums add, sets unite.
with

states as (

    select * from {{ ref('int_learner_day__states') }}

),

published_states as (

    select * from {{ ref('stg_stage_two__learner_day_states') }}

),

learner_days as (

    select * from {{ ref('int_build__learner_days') }}

),

hours as (

    select * from {{ ref('int_build__hours') }}

),

videos as (

    select * from {{ ref('int_learner_video_day__merged') }}

),

kept_states as (

    select published_states.*
    from published_states
    inner join learner_days
        on
            published_states.organization_id = learner_days.organization_id
            and published_states.learner_id = learner_days.learner_id
            and published_states.activity_date = learner_days.activity_date
    where
        not exists (
            select 1
            from hours
            where
                hours.organization_id = published_states.organization_id
                and hours.collected_hour = published_states.collected_hour
        )

),

all_states as (

    select * from states
    union all
    select * from kept_states

),

merged as (

    select
        organization_id,
        learner_id,
        activity_date,
        course_id,
        sum(event_count) as event_count,
        sum(activity_count) > 0 as is_active,
        sum(interaction_count)::bigint as interaction_count,
        sum(attempt_count) as attempt_count,
        sum(score_sum) as score_sum,
        sum(score_count) as score_count,
        sum(contributions) as contributions,
        min(first_event_at) as first_event_at,
        max(last_event_at) as last_event_at,
        case when grouping(course_id) = 0 then min(course_completed_at) end as course_completed_at,
        case when grouping(course_id) = 0 then max(last_registered_at) end as last_registered_at,
        case when grouping(course_id) = 0 then max(last_unregistered_at) end as last_unregistered_at,
        range_agg(active_minutes) as active_minutes,
        coalesce(cardinality(stage_two.object_union(viewed_object_ids)), 0)::bigint as resources_viewed,
        coalesce(cardinality(stage_two.object_union(attempted_object_ids)), 0)::bigint as assessments_attempted,
        coalesce(cardinality(stage_two.object_union(passed_object_ids)), 0)::bigint as assessments_passed
    from all_states
    group by
        grouping sets (
            (organization_id, learner_id, activity_date, course_id),
            (organization_id, learner_id, activity_date)
        )

),

timed as (

    select
        merged.*,
        -- A run of minutes at most the gap apart is one session: widen every minute by the gap, unite, count the runs.
        case when active_minutes is not null then (
            select sum(upper(run) - lower(run))::bigint
            from unnest(active_minutes) as run
        ) end as active_minute_count,
        case when active_minutes is not null then (
            select range_agg(int4range(lower(run), upper(run) + {{ var('session_gap_minutes') }} - 1))
            from unnest(active_minutes) as run
        ) end as sessions
    from merged

),

final as (

    select
        timed.organization_id,
        timed.learner_id,
        timed.course_id,
        timed.activity_date,
        case when timed.course_id is null then 'all_courses' else 'course' end as scope,
        timed.is_active,
        timed.event_count,
        timed.interaction_count,
        timed.active_minute_count as active_minutes,
        case when timed.sessions is not null then (
            select count(*)
            from unnest(timed.sessions)
        ) end as session_count,
        case when timed.sessions is not null then (
            select sum(upper(run) - lower(run) - ({{ var('session_gap_minutes') }} - 1)) * 60
            from unnest(timed.sessions) as run
        ) end as time_on_task_seconds,
        timed.first_event_at,
        timed.last_event_at,
        timed.resources_viewed,
        coalesce(videos.videos_started, 0) as videos_started,
        coalesce(videos.videos_completed, 0) as videos_completed,
        coalesce(videos.video_seconds_watched, 0) as video_seconds_watched,
        timed.assessments_attempted,
        timed.assessments_passed,
        timed.attempt_count,
        timed.score_sum,
        timed.score_count,
        timed.contributions,
        timed.course_completed_at,
        timed.last_registered_at,
        timed.last_unregistered_at
    from timed
    left join videos
        on
            timed.organization_id = videos.organization_id
            and timed.learner_id = videos.learner_id
            and timed.activity_date = videos.activity_date
            and coalesce(timed.course_id, -1) = coalesce(videos.course_id, -1)

)

select * from final
