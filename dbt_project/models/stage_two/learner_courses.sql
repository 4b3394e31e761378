{{ config(post_hook="analyze {{ this }}") }}
-- Grain: one row per touched learner and course they have an event in, or a roster enrolls them in.
-- Enrollment follows docs/metrics.md: the roster decides for the days it speaks for; for others a live day enrolls until it
-- lapses, an ending day follows, or the course is completed.
-- Of days whose year has gone, what was published is carried on: the first and last days, the completion, endings and registrations
-- before the first kept day, and enrollment and risk up to where no such day reaches any more.
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

published as (

    select * from {{ ref('stg_stage_three__learner_courses') }}

),

first_kept_day as (

    select * from {{ ref('stg_ops__first_kept_day') }}

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

told_by_days as (

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
        array_agg(activity_date order by activity_date) filter (where is_ending) as ending_days,
        array_agg(activity_date order by activity_date) filter (where is_registration) as registration_days,
        range_agg(daterange(activity_date, activity_date + {{ var('at_risk_days') }})) filter (
            where is_active
        ) as recently_active_days
    from marked_days
    group by
        organization_id,
        learner_id,
        course_id

),

carried as (

    select
        published.organization_id,
        published.learner_id,
        published.course_id,
        published.first_event_on,
        published.enrolled_days,
        published.at_risk_days,
        kept.first_kept_day,
        case when published.last_event_on < kept.first_kept_day then published.last_event_on end as last_event_on,
        case when published.first_active_on < kept.first_kept_day then published.first_active_on end
            as first_active_on,
        case when published.last_active_on < kept.first_kept_day then published.last_active_on end as last_active_on,
        case when published.completed_on < kept.first_kept_day then published.completed_on end as completed_on,
        case when published.completed_on < kept.first_kept_day then published.completed_at end as completed_at,
        array(
            select ending_day from unnest(published.ending_days) as ending_day
            where ending_day < kept.first_kept_day
            order by ending_day
        ) as ending_days,
        array(
            select registration_day from unnest(published.registration_days) as registration_day
            where registration_day < kept.first_kept_day
            order by registration_day
        ) as registration_days,
        -- No day before the first kept one enrolls, or keeps from risk, longer than this.
        kept.first_kept_day + greatest({{ var('enrollment_lapse_days') }}, {{ var('at_risk_days') }}) as reached_until,
        learners.touched_from
    from published
    inner join learners
        on
            published.organization_id = learners.organization_id
            and published.learner_id = learners.learner_id
    inner join first_kept_day as kept
        on published.first_event_on < kept.first_kept_day

),

carried_spans as (

    select
        *,
        datemultirange(daterange(null, reached_until)) as carried_days,
        -- Late events so far back are told together with what was published.
        datemultirange(
            daterange(
                case when touched_from < reached_until then first_kept_day + {{ var('at_risk_days') }} else reached_until end,
                null
            )
        ) as computed_days
    from carried

),

learner_courses as (

    select
        organization_id,
        learner_id,
        course_id,
        told_by_days.recently_active_days,
        least(carried_spans.first_event_on, told_by_days.first_event_on) as first_event_on,
        greatest(carried_spans.last_event_on, told_by_days.last_event_on) as last_event_on,
        least(carried_spans.first_active_on, told_by_days.first_active_on) as first_active_on,
        greatest(carried_spans.last_active_on, told_by_days.last_active_on) as last_active_on,
        coalesce(carried_spans.completed_on, told_by_days.completed_on) as completed_on,
        coalesce(carried_spans.completed_at, told_by_days.completed_at) as completed_at,
        coalesce(carried_spans.ending_days, '{}') || coalesce(told_by_days.ending_days, '{}') as ending_days,
        coalesce(carried_spans.registration_days, '{}') || coalesce(told_by_days.registration_days, '{}')
            as registration_days,
        coalesce(carried_spans.enrolled_days * carried_spans.carried_days, '{}') as carried_enrolled_days,
        coalesce(carried_spans.at_risk_days * carried_spans.carried_days, '{}') as carried_at_risk_days,
        coalesce(carried_spans.computed_days, datemultirange(daterange(null, null))) as computed_days
    from told_by_days
    full outer join carried_spans using (organization_id, learner_id, course_id)

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
        (
            select max(ending_day)
            from unnest(learner_courses.ending_days) as ending_day
            where ending_day < marked_days.activity_date
        ) as previous_ending_day,
        (
            select min(ending_day)
            from unnest(learner_courses.ending_days) as ending_day
            where ending_day > marked_days.activity_date
        ) as next_ending_day
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
        learner_courses.ending_days,
        learner_courses.registration_days,
        learner_courses.carried_at_risk_days,
        coalesce(learner_courses.computed_days, datemultirange(daterange(null, null))) as computed_days,
        case
            when courses.is_unassigned then '{}'::datemultirange
            else
                coalesce(
                    (
                        coalesce(implied_enrollments.enrolled_days * learner_courses.computed_days, '{}')
                        + coalesce(learner_courses.carried_enrolled_days, '{}')
                    )
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
        * computed_days * datemultirange(daterange(null, completed_on))
        + (coalesce(carried_at_risk_days, '{}') - coalesce(recently_active_days, '{}')) as at_risk_days,
        coalesce(ending_days, '{}') as ending_days,
        coalesce(registration_days, '{}') as registration_days
    from enrolled

)

select * from final
