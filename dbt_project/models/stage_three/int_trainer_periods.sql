{{ config(post_hook="analyze {{ this }}") }}
-- Grain: one row per organization, trainer, course, period type and period start that holds a dirty closed day, where the
-- trainer taught the course on a closed day of the period.
{% set period_types = ['week', 'month', 'year'] %}
with

organizations as (

    select * from {{ ref('int_trainer__period_scope') }}

),

candidates as (

    select * from {{ ref('trainer_analytics') }}

),

published_days as (

    select * from {{ ref('stg_stage_three__trainer_days') }}

),

days as (

    select * from candidates

    union all

    select published_days.*
    from published_days
    inner join organizations
        on
            published_days.organization_id = organizations.organization_id
            and published_days.activity_date >= least(organizations.weeks_from, organizations.years_from)
            and published_days.activity_date < organizations.days_from

),

active_learners as (

    select
        organization_id,
        trainer_id,
        course_id,
        period_type,
        period_start,
        count(*) as learners_active
    from {{ ref('int_trainer__active_learners') }}
    group by
        organization_id,
        trainer_id,
        course_id,
        period_type,
        period_start

),

{% for period_type in period_types %}
{{ period_type }}_sums as (

    select
        days.organization_id,
        days.trainer_id,
        days.course_id,
        '{{ period_type }}' as period_type,
        {{ period_start(period_type, 'days.activity_date') }} as period_start,
        max(days.activity_date) as last_day,
        count(*) filter (where days.learners_active > 0) as active_days,
        sum(days.completions)::bigint as completions,
        sum(days.score_sum) as score_sum,
        sum(days.score_count)::bigint as score_count,
        sum(days.time_on_task_seconds)::bigint as time_on_task_seconds,
        sum(days.contributions)::bigint as contributions,
        sum(days.attempts_reviewed)::bigint as attempts_reviewed
    from days
    inner join organizations
        on
            days.organization_id = organizations.organization_id
            and days.activity_date >= organizations.{{ period_type }}s_from
    group by
        days.organization_id,
        days.trainer_id,
        days.course_id,
        {{ period_start(period_type, 'days.activity_date') }}

),

{% endfor %}
sums as (

    {% for period_type in period_types %}
    select * from {{ period_type }}_sums
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

final as (

    select
        sums.organization_id,
        sums.trainer_id,
        sums.course_id,
        sums.period_type,
        sums.period_start,
        sums.active_days > 0 as is_active,
        sums.active_days,
        last_days.learners_assigned,
        coalesce(active_learners.learners_active, 0) as learners_active,
        {{ ratio('coalesce(active_learners.learners_active, 0)', 'last_days.learners_assigned') }} as activity_rate,
        last_days.learners_at_risk,
        sums.completions,
        sums.score_sum,
        sums.score_count,
        {{ ratio('sums.score_sum', 'sums.score_count') }} as score_mean,
        sums.time_on_task_seconds,
        {{ ratio('sums.time_on_task_seconds', 'active_learners.learners_active') }} as time_on_task_seconds_per_active_learner,
        sums.contributions,
        sums.attempts_reviewed
    from sums
    inner join days as last_days
        on
            sums.organization_id = last_days.organization_id
            and sums.trainer_id = last_days.trainer_id
            and sums.course_id = last_days.course_id
            and sums.last_day = last_days.activity_date
    left join active_learners
        on
            sums.organization_id = active_learners.organization_id
            and sums.trainer_id = active_learners.trainer_id
            and sums.course_id = active_learners.course_id
            and sums.period_type = active_learners.period_type
            and sums.period_start = active_learners.period_start

)

select * from final
