{{ config(post_hook="analyze {{ this }}") }}
-- Grain: one row per learner, course (or across courses), period type and period start that this build tells (anew).
-- Stock columns are those of the period's last closed day.
with

periods as (

    select
        flow.*,
        case
            when flow.period_start <= organizations.closed_through
                then least(flow.period_end, organizations.closed_through)
        end as last_closed_day
    from {{ ref('int_learner_period__flow') }} as flow
    inner join {{ ref('int_build__organizations') }} as organizations
        on flow.organization_id = organizations.organization_id

),

learner_courses as (

    select * from {{ ref('int_learner_course__current') }}

),

learners as (

    select
        learner_courses.organization_id,
        learner_courses.learner_id,
        range_agg(learner_courses.enrolled_days) as enrolled_days,
        range_agg(learner_courses.at_risk_days) as at_risk_days,
        array_agg(learner_courses.enrolled_days) as enrolled_days_by_course
    from learner_courses
    group by
        learner_courses.organization_id,
        learner_courses.learner_id

),

stocked as (

    select
        periods.*,
        learner_courses.completed_on <= periods.last_closed_day as was_completed,
        learner_courses.completed_at as first_completed_at,
        case when learner_courses.enrolled_days @> periods.last_closed_day then (
            select lower(run)
            from unnest(learner_courses.enrolled_days) as run
            where run @> periods.last_closed_day
        ) end as enrolled_on,
        learner_courses.at_risk_days @> periods.last_closed_day as is_at_risk
    from periods
    inner join learner_courses
        on
            periods.organization_id = learner_courses.organization_id
            and periods.learner_id = learner_courses.learner_id
            and periods.course_id = learner_courses.course_id
    where periods.scope = 'course'

    union all

    select
        periods.*,
        null as was_completed,
        null as first_completed_at,
        case when learners.enrolled_days @> periods.last_closed_day then (
            select min(lower(run))
            from unnest(learners.enrolled_days_by_course) as course (enrolled_days)
            cross join lateral unnest(course.enrolled_days) as run
            where run @> periods.last_closed_day
        ) end as enrolled_on,
        learners.at_risk_days @> periods.last_closed_day as is_at_risk
    from periods
    inner join learners
        on
            periods.organization_id = learners.organization_id
            and periods.learner_id = learners.learner_id
    where periods.scope = 'all_courses'

),

final as (

    select
        organization_id,
        learner_id,
        course_id,
        period_type,
        period_start,
        scope,
        active_days > 0 as is_active,
        active_days,
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
        case
            when scope = 'course' and last_closed_day is not null then coalesce(was_completed, false)
        end as is_completed,
        case when was_completed then first_completed_at end as completed_at,
        case when last_closed_day is not null then enrolled_on is not null end as is_enrolled,
        enrolled_on,
        is_at_risk,
        {{ ratio('score_sum', 'score_count') }} as score_mean
    from stocked

)

select * from final
