{{ config(post_hook="analyze {{ this }}") }}
-- Grain: one row per touched learner and course they have an event in.
-- Enrollment follows docs/metrics.md: a live day enrolls until it lapses, an ending day follows, or the course is completed.
with

days as (

    select * from {{ ref('int_learner_day__known') }}
    where scope = 'course'

),

courses as (

    select * from {{ ref('stg_core__courses') }}

),

marked_days as (

    select
        organization_id,
        learner_id,
        course_id,
        activity_date,
        is_active,
        course_completed_at,
        last_unregistered_at is not null
        and coalesce(last_registered_at <= last_unregistered_at, true) as is_ending,
        last_registered_at is not null
        and coalesce(last_registered_at > last_unregistered_at, true) as is_registration
    from days

),

learner_courses as (

    select
        organization_id,
        learner_id,
        course_id,
        min(activity_date) as first_event_on,
        max(activity_date) as last_event_on,
        min(activity_date) filter (where is_active) as first_active_on,
        max(activity_date) filter (where is_active) as last_active_on,
        min(activity_date) filter (where course_completed_at is not null) as completed_on,
        min(course_completed_at) as completed_at,
        array_agg(activity_date) filter (where is_ending) as ending_days,
        array_agg(activity_date) filter (where is_registration) as registration_days,
        range_agg(daterange(activity_date, activity_date + {{ var('at_risk_days') }})) filter (
            where is_active
        ) as recently_active_days
    from marked_days
    group by
        organization_id,
        learner_id,
        course_id

),

days_with_endings as (

    select
        marked_days.organization_id,
        marked_days.learner_id,
        marked_days.course_id,
        marked_days.activity_date,
        marked_days.is_ending,
        learner_courses.completed_on,
        learner_courses.registration_days,
        case when learner_courses.ending_days is not null then (
            select max(ending_day)
            from unnest(learner_courses.ending_days) as ending_day
            where ending_day < marked_days.activity_date
        ) end as previous_ending_day,
        case when learner_courses.ending_days is not null then (
            select min(ending_day)
            from unnest(learner_courses.ending_days) as ending_day
            where ending_day > marked_days.activity_date
        ) end as next_ending_day
    from marked_days
    inner join learner_courses
        on
            marked_days.organization_id = learner_courses.organization_id
            and marked_days.learner_id = learner_courses.learner_id
            and marked_days.course_id = learner_courses.course_id

),

enrollments as (

    select
        organization_id,
        learner_id,
        course_id,
        range_agg(
            daterange(
                activity_date,
                least(activity_date + {{ var('enrollment_lapse_days') }}, next_ending_day, completed_on + 1)
            )
        ) as enrolled_days
    from days_with_endings
    where
        not is_ending
        and (completed_on is null or activity_date <= completed_on)
        and (
            previous_ending_day is null
            or exists (
                select 1
                from unnest(registration_days) as registration_day
                where
                    registration_day > previous_ending_day
                    and registration_day <= activity_date
            )
        )
    group by
        organization_id,
        learner_id,
        course_id

),

enrolled as (

    select
        learner_courses.*,
        case
            when courses.is_unassigned then '{}'::datemultirange
            else coalesce(enrollments.enrolled_days, '{}'::datemultirange)
        end as enrolled_days
    from learner_courses
    inner join courses
        on
            learner_courses.organization_id = courses.organization_id
            and learner_courses.course_id = courses.course_id
    left join enrollments
        on
            learner_courses.organization_id = enrollments.organization_id
            and learner_courses.learner_id = enrollments.learner_id
            and learner_courses.course_id = enrollments.course_id

),

final as (

    select
        organization_id,
        learner_id,
        course_id,
        first_event_on,
        last_event_on,
        first_active_on,
        last_active_on,
        completed_on,
        completed_at,
        enrolled_days,
        (
            coalesce(
                (
                    select range_agg(daterange(lower(run) + {{ var('at_risk_days') }}, upper(run)))
                    from unnest(enrolled_days) as run
                    where upper(run) - lower(run) > {{ var('at_risk_days') }}
                ),
                '{}'::datemultirange
            )
            - coalesce(recently_active_days, '{}'::datemultirange)
        )
        * datemultirange(daterange(null, completed_on)) as at_risk_days
    from enrolled

)

select * from final
