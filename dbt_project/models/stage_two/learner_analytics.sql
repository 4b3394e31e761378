{{ config(post_hook="analyze {{ this }}") }}
-- Grain: one row per organization, learner, activity date and course, and one across courses (course null), for every
-- day of a touched learner from the first touched day on: a change reaches the stock columns of all later days.
with

days as (

    select known.*
    from {{ ref('int_learner_day__known') }} as known
    inner join {{ ref('int_build__learners') }} as learners
        on
            known.organization_id = learners.organization_id
            and known.learner_id = learners.learner_id
            and known.activity_date >= learners.touched_from

),

learner_courses as (

    select * from {{ ref('learner_courses') }}

),

-- Most learners take one course: the across-courses row looks into two short arrays rather than joining again.
learners as (

    select
        organization_id,
        learner_id,
        array_agg(completed_on) filter (where completed_on is not null) as completion_days,
        range_agg(enrolled_days) as enrolled_days,
        array_agg(enrolled_days) as enrolled_days_by_course
    from learner_courses
    group by
        organization_id,
        learner_id

),

stocked as (

    select
        days.*,
        case when learner_courses.completed_on = days.activity_date then 1 else 0 end::bigint as completions,
        coalesce(learner_courses.completed_on <= days.activity_date, false) as is_completed,
        case
            when learner_courses.completed_on <= days.activity_date then learner_courses.completed_at
        end as completed_at,
        case when learner_courses.enrolled_days @> days.activity_date then (
            select lower(run)
            from unnest(learner_courses.enrolled_days) as run
            where run @> days.activity_date
        ) end as enrolled_on
    from days
    inner join learner_courses
        on
            days.organization_id = learner_courses.organization_id
            and days.learner_id = learner_courses.learner_id
            and days.course_id = learner_courses.course_id
    where days.scope = 'course'

    union all

    select
        days.*,
        (
            select count(*)
            from unnest(learners.completion_days) as completion_day
            where completion_day = days.activity_date
        ) as completions,
        null as is_completed,
        null as completed_at,
        case when learners.enrolled_days @> days.activity_date then (
            select min(lower(run))
            from unnest(learners.enrolled_days_by_course) as course (enrolled_days)
            cross join lateral unnest(course.enrolled_days) as run
            where run @> days.activity_date
        ) end as enrolled_on
    from days
    inner join learners
        on
            days.organization_id = learners.organization_id
            and days.learner_id = learners.learner_id
    where days.scope = 'all_courses'

),

final as (

    select
        organization_id,
        learner_id,
        course_id,
        activity_date,
        scope,
        is_active,
        event_count,
        interaction_count,
        active_minutes,
        session_count,
        time_on_task_seconds,
        first_event_at,
        last_event_at,
        resources_viewed,
        videos_started,
        videos_completed,
        video_seconds_watched,
        assessments_attempted,
        assessments_passed,
        attempt_count,
        score_sum,
        score_count,
        contributions,
        completions,
        is_completed,
        completed_at,
        enrolled_on is not null as is_enrolled,
        enrolled_on,
        course_completed_at,
        last_registered_at,
        last_unregistered_at
    from stocked

)

select * from final
