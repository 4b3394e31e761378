{{ config(post_hook="analyze {{ this }}") }}
-- Grain: one row per organization, learner, activity date and course, and one across courses (course null), of the
-- touched days that have a video.
with

states as (

    select * from {{ ref('int_learner_video_day__states') }}

),

published_states as (

    select * from {{ ref('stg_stage_two__learner_video_day_states') }}

),

learner_days as (

    select * from {{ ref('int_build__learner_days') }}

),

hours as (

    select * from {{ ref('int_build__hours') }}

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

videos as (

    select
        organization_id,
        learner_id,
        activity_date,
        course_id,
        object_id,
        grouping(course_id) as is_across_courses,
        bool_or(is_played) as is_played,
        bool_or(is_completed) as is_completed,
        max(length_seconds) as length_seconds,
        range_agg(watched_segments) as watched_segments
    from all_states
    group by
        grouping sets (
            (organization_id, learner_id, activity_date, object_id, course_id),
            (organization_id, learner_id, activity_date, object_id)
        )

),

measured as (

    select
        organization_id,
        learner_id,
        activity_date,
        course_id,
        is_across_courses,
        is_played,
        is_completed,
        length_seconds,
        coalesce(
            (select sum(upper(segment) - lower(segment)) from unnest(watched_segments) as segment), 0
        ) as seconds_watched
    from videos

),

final as (

    select
        organization_id,
        learner_id,
        activity_date,
        course_id,
        count(*) filter (where is_played) as videos_started,
        count(*) filter (
            where is_completed or seconds_watched >= {{ var('video_completed_share') }} * length_seconds
        ) as videos_completed,
        sum(seconds_watched) as video_seconds_watched
    from measured
    group by
        organization_id,
        learner_id,
        activity_date,
        course_id

)

select * from final
