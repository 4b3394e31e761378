{{ config(post_hook="analyze {{ this }}") }}
-- Grain: one row per touched learner and course they have an event in, or a roster enrolls them in.
-- Enrollment follows docs/metrics.md: the roster decides for the days it speaks for; for others a live day enrolls until it
-- lapses, an ending day follows, or the course is completed.
with

days as (

    select * from {{ ref('int_learner_day__known') }}
    where scope = 'course'

),

courses as (

    select * from {{ ref('stg_core__courses') }}

),

learners as (

    select * from {{ ref('int_build__learners') }}

),

rostered_courses as (

    select * from {{ ref('int_build__rostered_courses') }}

),

roster_enrollments as (

    select
        enrollment_days.organization_id,
        enrollment_days.user_id as learner_id,
        enrollment_days.course_id,
        enrollment_days.days
    from {{ ref('int_build__enrollment_days') }} as enrollment_days
    inner join learners
        on
            enrollment_days.organization_id = learners.organization_id
            and enrollment_days.user_id = learners.learner_id
    where enrollment_days.role = 'learner'

),

merged_users as (

    select * from {{ ref('stg_ops__user_merges') }}

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

implied_enrollments as (

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

keys as (

    select
        organization_id,
        learner_id,
        course_id
    from learner_courses

    union

    select
        organization_id,
        learner_id,
        course_id
    from roster_enrollments

),

enrolled as (

    select
        keys.organization_id,
        keys.learner_id,
        keys.course_id,
        learner_courses.first_event_on,
        learner_courses.last_event_on,
        learner_courses.first_active_on,
        learner_courses.last_active_on,
        learner_courses.completed_on,
        learner_courses.completed_at,
        learner_courses.recently_active_days,
        case
            when courses.is_unassigned then '{}'::datemultirange
            else
                coalesce(
                    implied_enrollments.enrolled_days
                    - coalesce(rostered_courses.rostered_days, '{}'::datemultirange)
                    - case
                        when merged_users.rekeyed_from is null then '{}'::datemultirange
                        else datemultirange(daterange(merged_users.rekeyed_from, null))
                    end,
                    '{}'::datemultirange
                )
                + coalesce(roster_enrollments.days, '{}'::datemultirange)
        end as enrolled_days
    from keys
    inner join courses
        on
            keys.organization_id = courses.organization_id
            and keys.course_id = courses.course_id
    left join learner_courses
        on
            keys.organization_id = learner_courses.organization_id
            and keys.learner_id = learner_courses.learner_id
            and keys.course_id = learner_courses.course_id
    left join implied_enrollments
        on
            keys.organization_id = implied_enrollments.organization_id
            and keys.learner_id = implied_enrollments.learner_id
            and keys.course_id = implied_enrollments.course_id
    left join rostered_courses
        on
            keys.organization_id = rostered_courses.organization_id
            and keys.course_id = rostered_courses.course_id
    left join roster_enrollments
        on
            keys.organization_id = roster_enrollments.organization_id
            and keys.learner_id = roster_enrollments.learner_id
            and keys.course_id = roster_enrollments.course_id
    left join merged_users
        on
            keys.organization_id = merged_users.organization_id
            and keys.learner_id = merged_users.merged_user_id

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
