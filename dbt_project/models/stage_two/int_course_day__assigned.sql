{{ config(post_hook="analyze {{ this }}") }}
-- Grain: one row per organization, taught course and closed day that must be told: how many learners are enrolled and at
-- risk, and what the enrolled ones did. Counted from the borders of the spans, so that no learner is met once a day.
with

course_days as (

    select distinct
        organization_id,
        course_id,
        activity_date
    from {{ ref('int_trainer_day__dirty') }}

),

taught_courses as (

    select
        organization_id,
        course_id,
        min(activity_date) as first_day
    from course_days
    group by
        organization_id,
        course_id

),

learner_courses as (

    select
        learner_courses.*,
        taught_courses.first_day
    from {{ ref('int_learner_course__current') }} as learner_courses
    inner join taught_courses
        on
            learner_courses.organization_id = taught_courses.organization_id
            and learner_courses.course_id = taught_courses.course_id

),

spans as (

    select
        learner_courses.organization_id,
        learner_courses.course_id,
        learner_courses.first_day,
        'assigned' as measure,
        span.days
    from learner_courses
    cross join lateral unnest(learner_courses.enrolled_days) as span (days)

    union all

    select
        learner_courses.organization_id,
        learner_courses.course_id,
        learner_courses.first_day,
        'at_risk' as measure,
        span.days
    from learner_courses
    cross join lateral unnest(learner_courses.at_risk_days) as span (days)

),

borders as (

    select
        spans.organization_id,
        spans.course_id,
        border.activity_date,
        sum(border.change) filter (where spans.measure = 'assigned') as assigned,
        sum(border.change) filter (where spans.measure = 'at_risk') as at_risk
    from spans
    cross join lateral (
        values
        (greatest(lower(spans.days), spans.first_day), 1),
        (upper(spans.days), -1)
    ) as border (activity_date, change)
    where upper(spans.days) > spans.first_day
    group by
        spans.organization_id,
        spans.course_id,
        border.activity_date

),

-- A border may lie on a day that nobody teaches: the running sums need it, the result does not.
moments as (

    select
        organization_id,
        course_id,
        activity_date,
        assigned,
        at_risk,
        false as is_told
    from borders

    union all

    select
        organization_id,
        course_id,
        activity_date,
        0 as assigned,
        0 as at_risk,
        true as is_told
    from course_days

),

stock as (

    select
        organization_id,
        course_id,
        activity_date,
        is_told,
        coalesce(sum(assigned) over calendar, 0)::bigint as learners_assigned,
        coalesce(sum(at_risk) over calendar, 0)::bigint as learners_at_risk
    from moments
    window calendar as (
        partition by organization_id, course_id
        order by activity_date
        range between unbounded preceding and current row
    )

),

active as (

    select
        course_days.organization_id,
        course_days.course_id,
        course_days.activity_date,
        count(*) filter (where learner_days.is_active) as learners_active,
        sum(learner_days.completions)::bigint as completions,
        sum(learner_days.score_sum) as score_sum,
        sum(learner_days.score_count)::bigint as score_count,
        sum(learner_days.time_on_task_seconds)::bigint as time_on_task_seconds
    from course_days
    inner join {{ ref('int_organization__learner_days') }} as learner_days
        on
            course_days.organization_id = learner_days.organization_id
            and course_days.course_id = learner_days.course_id
            and course_days.activity_date = learner_days.activity_date
    inner join learner_courses
        on
            learner_days.organization_id = learner_courses.organization_id
            and learner_days.learner_id = learner_courses.learner_id
            and learner_days.course_id = learner_courses.course_id
            and learner_courses.enrolled_days @> learner_days.activity_date
    where learner_days.scope = 'course'
    group by
        course_days.organization_id,
        course_days.course_id,
        course_days.activity_date

),

final as (

    select
        stock.organization_id,
        stock.course_id,
        stock.activity_date,
        stock.learners_assigned,
        stock.learners_at_risk,
        coalesce(active.learners_active, 0) as learners_active,
        coalesce(active.completions, 0) as completions,
        coalesce(active.score_sum, 0) as score_sum,
        coalesce(active.score_count, 0) as score_count,
        active.time_on_task_seconds
    from stock
    left join active
        on
            stock.organization_id = active.organization_id
            and stock.course_id = active.course_id
            and stock.activity_date = active.activity_date
    where stock.is_told

)

select * from final
