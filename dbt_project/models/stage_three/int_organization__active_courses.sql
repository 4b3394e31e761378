{{ config(post_hook="analyze {{ this }}") }}
-- Grain: one row per organization, period type, period start and course (unassigned excluded) active in it on a closed day.
{% set period_types = ['week', 'month', 'year'] %}
with

organizations as (

    select * from {{ ref('int_organization__period_scope') }}

),

learner_days as (

    select distinct
        learner_days.organization_id,
        learner_days.course_id,
        learner_days.activity_date
    from {{ ref('int_organization__learner_days') }} as learner_days
    inner join organizations
        on
            learner_days.organization_id = organizations.organization_id
            and learner_days.activity_date >= least(organizations.weeks_from, organizations.years_from)
    inner join {{ ref('stg_core__courses') }} as courses
        on
            learner_days.organization_id = courses.organization_id
            and learner_days.course_id = courses.course_id
            and not courses.is_unassigned
    where
        learner_days.is_active
        and learner_days.scope = 'course'

),

final as (

    {% for period_type in period_types %}
    select distinct
        organization_id,
        '{{ period_type }}' as period_type,
        {{ period_start(period_type, 'activity_date') }} as period_start,
        course_id
    from learner_days
    {{ 'union all' if not loop.last }}
    {% endfor %}

)

select * from final
