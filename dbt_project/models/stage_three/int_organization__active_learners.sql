{{ config(post_hook="analyze {{ this }}") }}
-- Grain: one row per organization, period type, period start and learner active in it on a closed day, with whether they
-- taught a course on one of those days.
{% set period_types = ['week', 'month', 'year'] %}
with

organizations as (

    select * from {{ ref('int_organization__period_scope') }}

),

trainers as (

    select
        organization_id,
        trainer_id,
        range_agg(teaching_days) as teaching_days
    from {{ ref('int_trainer_course__teaching') }}
    group by
        organization_id,
        trainer_id

),

learner_days as (

    select
        learner_days.organization_id,
        learner_days.learner_id,
        learner_days.activity_date,
        coalesce(trainers.teaching_days @> learner_days.activity_date, false) as is_teaching
    from {{ ref('int_organization__learner_days') }} as learner_days
    inner join organizations
        on
            learner_days.organization_id = organizations.organization_id
            and learner_days.activity_date >= least(organizations.weeks_from, organizations.years_from)
    left join trainers
        on
            learner_days.organization_id = trainers.organization_id
            and learner_days.learner_id = trainers.trainer_id
    where
        learner_days.is_active
        and learner_days.scope = 'all_courses'

),

final as (

    {% for period_type in period_types %}
    select
        organization_id,
        '{{ period_type }}' as period_type,
        {{ period_start(period_type, 'activity_date') }} as period_start,
        learner_id,
        bool_or(is_teaching) as is_teaching
    from learner_days
    group by
        organization_id,
        {{ period_start(period_type, 'activity_date') }},
        learner_id
    {{ 'union all' if not loop.last }}
    {% endfor %}

)

select * from final
