{{ config(post_hook="analyze {{ this }}") }}
-- Grain: one row per organization, period type and period start that holds a dirty closed day; for weeks also the eight
-- weeks before, whose cohorts may look back from it.
{% set period_types = ['week', 'month', 'year'] %}
{% set cohort_distances = [1, 2, 4, 8] %}
with

organizations as (

    select * from {{ ref('int_organization__period_scope') }}

),

candidates as (

    select * from {{ ref('organization_analytics') }}

),

published_days as (

    select * from {{ ref('stg_stage_three__organization_days') }}

),

days as (

    select candidates.*
    from candidates

    union all

    select published_days.*
    from published_days
    inner join organizations
        on
            published_days.organization_id = organizations.organization_id
            and published_days.activity_date >= least(organizations.weeks_from, organizations.years_from)
            and published_days.activity_date >= organizations.first_event_on
    where
        not exists (
            select 1
            from candidates
            where
                candidates.organization_id = published_days.organization_id
                and candidates.activity_date = published_days.activity_date
        )

),

active_learners as (

    select * from {{ ref('int_organization__active_learners') }}

),

active_courses as (

    select * from {{ ref('int_organization__active_courses') }}

),

cohorts as (

    select * from {{ ref('int_organization__cohorts') }}

),

{% for period_type in period_types %}
{{ period_type }}_sums as (

    select
        days.organization_id,
        '{{ period_type }}' as period_type,
        {{ period_start(period_type, 'days.activity_date') }} as period_start,
        max(days.activity_date) as last_closed_day,
        count(*) as closed_days,
        count(*) filter (where days.learners_active > 0) as active_days,
        sum(days.learners_active) as daily_learners_active,
        sum(days.event_count)::bigint as event_count,
        sum(days.interaction_count)::bigint as interaction_count,
        sum(days.attempt_count)::bigint as attempt_count,
        sum(days.time_on_task_seconds)::bigint as time_on_task_seconds,
        sum(days.enrollments_new)::bigint as enrollments_new,
        sum(days.completions)::bigint as completions,
        sum(days.score_sum) as score_sum,
        sum(days.score_count)::bigint as score_count
    from days
    inner join organizations
        on
            days.organization_id = organizations.organization_id
            and days.activity_date >= organizations.{{ period_type }}s_from
    group by
        days.organization_id,
        {{ period_start(period_type, 'days.activity_date') }}

),

{% endfor %}
sums as (

    {% for period_type in period_types %}
    select * from {{ period_type }}_sums
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

learner_counts as (

    select
        active_learners.organization_id,
        active_learners.period_type,
        active_learners.period_start,
        count(*) as learners_active,
        count(*) filter (where active_learners.is_teaching) as trainers_active
    from active_learners
    group by
        active_learners.organization_id,
        active_learners.period_type,
        active_learners.period_start

),

course_counts as (

    select
        organization_id,
        period_type,
        period_start,
        count(*) as courses_active
    from active_courses
    group by
        organization_id,
        period_type,
        period_start

),

cohort_sizes as (

    select
        organization_id,
        cohort_week,
        count(*) as cohort_size
    from cohorts
    group by
        organization_id,
        cohort_week

),

cohort_weeks as (

    select
        cohorts.organization_id,
        cohorts.cohort_week,
        {% for distance in cohort_distances -%}
        count(*) filter (where active_learners.period_start = cohorts.cohort_week + {{ 7 * distance }}) as retained_{{ distance }}
        {{- ',' if not loop.last }}
        {% endfor -%}
    from cohorts
    inner join active_learners
        on
            cohorts.organization_id = active_learners.organization_id
            and cohorts.learner_id = active_learners.learner_id
    where active_learners.period_type = 'week'
    group by
        cohorts.organization_id,
        cohorts.cohort_week

),

final as (

    select
        sums.organization_id,
        sums.period_type,
        sums.period_start,
        sums.active_days > 0 as is_active,
        sums.active_days,
        coalesce(learner_counts.learners_active, 0) as learners_active,
        coalesce(learner_counts.trainers_active, 0) as trainers_active,
        coalesce(course_counts.courses_active, 0) as courses_active,
        sums.event_count,
        sums.interaction_count,
        sums.attempt_count,
        sums.time_on_task_seconds,
        last_days.enrollments_open,
        sums.enrollments_new,
        last_days.enrollments_completed,
        sums.completions,
        last_days.completion_rate,
        last_days.learners_at_risk,
        sums.score_sum,
        sums.score_count,
        {{ ratio('sums.score_sum', 'sums.score_count') }} as score_mean,
        last_days.weekly_active_learners,
        last_days.monthly_active_learners,
        {{ ratio('sums.daily_learners_active', '(sums.closed_days * last_days.monthly_active_learners)') }} as stickiness,
        case when sums.period_type = 'week' then coalesce(cohort_sizes.cohort_size, 0) end as cohort_size,
        {% for distance in cohort_distances -%}
        case
            when
                sums.period_type = 'week'
                and sums.period_start + {{ 7 * distance + 6 }} <= organizations.closed_through
                then {{ ratio('cohort_weeks.retained_' ~ distance, 'cohort_sizes.cohort_size') }}
        end as retained_{{ distance }}
        {{- ',' if not loop.last }}
        {% endfor -%}
    from sums
    inner join organizations
        on sums.organization_id = organizations.organization_id
    inner join days as last_days
        on
            sums.organization_id = last_days.organization_id
            and sums.last_closed_day = last_days.activity_date
    left join learner_counts
        on
            sums.organization_id = learner_counts.organization_id
            and sums.period_type = learner_counts.period_type
            and sums.period_start = learner_counts.period_start
    left join course_counts
        on
            sums.organization_id = course_counts.organization_id
            and sums.period_type = course_counts.period_type
            and sums.period_start = course_counts.period_start
    left join cohort_sizes
        on
            sums.organization_id = cohort_sizes.organization_id
            and sums.period_start = cohort_sizes.cohort_week
            and sums.period_type = 'week'
    left join cohort_weeks
        on
            sums.organization_id = cohort_weeks.organization_id
            and sums.period_start = cohort_weeks.cohort_week
            and sums.period_type = 'week'

)

select * from final
