{{ config(post_hook="analyze {{ this }}") }}
-- Grain: one row per organization and dirty closed day, events or not.
-- Stock counts come from spans of days: +1 where a span begins, -1 after its end, summed along the calendar.
with

organizations as (

    select
        organization_id,
        greatest(dirty_from, first_event_on) as dirty_from,
        closed_through
    from {{ ref('int_build__organizations') }}
    where
        first_event_on is not null
        and greatest(dirty_from, first_event_on) <= closed_through

),

dirty_days as (

    select * from {{ ref('int_organization__dirty_days') }}

),

learner_days as (

    select days.*
    from {{ ref('int_organization__learner_days') }} as days
    inner join organizations
        on
            days.organization_id = organizations.organization_id
            and days.activity_date >= organizations.dirty_from - ({{ var('monthly_active_days') }} - 1)

),

learner_courses as (

    select learner_courses.*
    from {{ ref('int_learner_course__current') }} as learner_courses
    inner join organizations
        on learner_courses.organization_id = organizations.organization_id

),

courses as (

    select * from {{ ref('stg_core__courses') }}

),

teaching as (

    select * from {{ ref('int_trainer_course__teaching') }}

),

trainers as (

    select
        organization_id,
        trainer_id,
        range_agg(teaching_days) as teaching_days
    from teaching
    group by
        organization_id,
        trainer_id

),

across_courses as (

    select
        learner_days.organization_id,
        learner_days.activity_date,
        count(*) filter (where learner_days.is_active) as learners_active,
        count(trainers.trainer_id) filter (where learner_days.is_active) as trainers_active,
        sum(learner_days.time_on_task_seconds)::bigint as time_on_task_seconds
    from learner_days
    left join trainers
        on
            learner_days.organization_id = trainers.organization_id
            and learner_days.learner_id = trainers.trainer_id
            and trainers.teaching_days @> learner_days.activity_date
    where learner_days.scope = 'all_courses'
    group by
        learner_days.organization_id,
        learner_days.activity_date

),

by_course as (

    select
        learner_days.organization_id,
        learner_days.activity_date,
        count(distinct learner_days.course_id) filter (
            where learner_days.is_active and not courses.is_unassigned
        ) as courses_active,
        sum(learner_days.event_count)::bigint as event_count,
        sum(learner_days.interaction_count)::bigint as interaction_count,
        sum(learner_days.attempt_count)::bigint as attempt_count,
        sum(learner_days.completions)::bigint as completions,
        sum(learner_days.score_sum) as score_sum,
        sum(learner_days.score_count)::bigint as score_count
    from learner_days
    inner join courses
        on
            learner_days.organization_id = courses.organization_id
            and learner_days.course_id = courses.course_id
    where learner_days.scope = 'course'
    group by
        learner_days.organization_id,
        learner_days.activity_date

),

active_days as (

    select
        organization_id,
        learner_id,
        range_agg(
            daterange(activity_date, activity_date + {{ var('weekly_active_days') }})
        ) as weekly_days,
        range_agg(
            daterange(activity_date, activity_date + {{ var('monthly_active_days') }})
        ) as monthly_days
    from learner_days
    where
        scope = 'all_courses'
        and is_active
    group by
        organization_id,
        learner_id

),

learners_at_risk as (

    select
        organization_id,
        learner_id,
        range_agg(at_risk_days) as at_risk_days
    from learner_courses
    group by
        organization_id,
        learner_id

),

spans as (

    select
        active_days.organization_id,
        'weekly' as measure,
        span.days
    from active_days
    cross join lateral unnest(active_days.weekly_days) as span (days)

    union all

    select
        active_days.organization_id,
        'monthly' as measure,
        span.days
    from active_days
    cross join lateral unnest(active_days.monthly_days) as span (days)

    union all

    select
        learner_courses.organization_id,
        'enrolled' as measure,
        span.days
    from learner_courses
    cross join lateral unnest(learner_courses.enrolled_days) as span (days)

    union all

    select
        learner_courses.organization_id,
        'completed' as measure,
        span.days
    from learner_courses
    cross join lateral unnest(
        learner_courses.enrolled_days * datemultirange(daterange(learner_courses.completed_on, null))
    ) as span (days)
    where learner_courses.completed_on is not null

    union all

    select
        learners_at_risk.organization_id,
        'at_risk' as measure,
        span.days
    from learners_at_risk
    cross join lateral unnest(learners_at_risk.at_risk_days) as span (days)

),

borders as (

    select
        spans.organization_id,
        border.activity_date,
        spans.measure,
        sum(border.change) as change,
        sum(border.change) filter (where border.change > 0 and border.activity_date = lower(spans.days)) as begun
    from spans
    inner join organizations
        on spans.organization_id = organizations.organization_id
    cross join lateral (
        values
        (greatest(lower(spans.days), organizations.dirty_from), 1),
        (upper(spans.days), -1)
    ) as border (activity_date, change)
    where upper(spans.days) > organizations.dirty_from
    group by
        spans.organization_id,
        border.activity_date,
        spans.measure

),

pivoted_borders as (

    select
        organization_id,
        activity_date,
        sum(change) filter (where measure = 'weekly') as weekly,
        sum(change) filter (where measure = 'monthly') as monthly,
        sum(change) filter (where measure = 'enrolled') as enrolled,
        sum(begun) filter (where measure = 'enrolled') as begun,
        sum(change) filter (where measure = 'completed') as completed,
        sum(change) filter (where measure = 'at_risk') as at_risk
    from borders
    group by
        organization_id,
        activity_date

),

stock as (

    select
        dirty_days.organization_id,
        dirty_days.activity_date,
        coalesce(sum(pivoted_borders.weekly) over calendar, 0)::bigint as weekly_active_learners,
        coalesce(sum(pivoted_borders.monthly) over calendar, 0)::bigint as monthly_active_learners,
        coalesce(sum(pivoted_borders.enrolled) over calendar, 0)::bigint as enrollments_open,
        coalesce(pivoted_borders.begun, 0)::bigint as enrollments_new,
        coalesce(sum(pivoted_borders.completed) over calendar, 0)::bigint as enrollments_completed,
        coalesce(sum(pivoted_borders.at_risk) over calendar, 0)::bigint as learners_at_risk
    from dirty_days
    left join pivoted_borders
        on
            dirty_days.organization_id = pivoted_borders.organization_id
            and dirty_days.activity_date = pivoted_borders.activity_date
    window calendar as (
        partition by dirty_days.organization_id
        order by dirty_days.activity_date
        rows between unbounded preceding and current row
    )

),

final as (

    select
        stock.organization_id,
        stock.activity_date,
        coalesce(across_courses.learners_active, 0) as learners_active,
        coalesce(across_courses.trainers_active, 0) as trainers_active,
        coalesce(by_course.courses_active, 0) as courses_active,
        coalesce(by_course.event_count, 0) as event_count,
        coalesce(by_course.interaction_count, 0) as interaction_count,
        coalesce(by_course.attempt_count, 0) as attempt_count,
        across_courses.time_on_task_seconds,
        stock.enrollments_open,
        stock.enrollments_new,
        stock.enrollments_completed,
        coalesce(by_course.completions, 0) as completions,
        {{ ratio('stock.enrollments_completed', 'stock.enrollments_open') }} as completion_rate,
        stock.learners_at_risk,
        coalesce(by_course.score_sum, 0) as score_sum,
        coalesce(by_course.score_count, 0) as score_count,
        {{ ratio('by_course.score_sum', 'by_course.score_count') }} as score_mean,
        stock.weekly_active_learners,
        stock.monthly_active_learners,
        {{ ratio('coalesce(across_courses.learners_active, 0)', 'stock.monthly_active_learners') }} as stickiness
    from stock
    left join across_courses
        on
            stock.organization_id = across_courses.organization_id
            and stock.activity_date = across_courses.activity_date
    left join by_course
        on
            stock.organization_id = by_course.organization_id
            and stock.activity_date = by_course.activity_date

)

select * from final
