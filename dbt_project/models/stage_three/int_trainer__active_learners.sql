{{ config(post_hook="analyze {{ this }}") }}
-- Grain: one row per organization, trainer, course, period type, period start and learner who was active in the course on a
-- closed day of the period on which they were enrolled in it and the trainer taught it.
{% set period_types = ['week', 'month', 'year'] %}
with

organizations as (

    select * from {{ ref('int_trainer__period_scope') }}

),

teaching as (

    select * from {{ ref('int_trainer_course__teaching') }}

),

learner_courses as (

    select * from {{ ref('int_learner_course__current') }}

),

taught_courses as (

    select distinct
        organization_id,
        course_id
    from teaching

),

learner_days as (

    select
        learner_days.organization_id,
        learner_days.learner_id,
        learner_days.course_id,
        learner_days.activity_date
    from {{ ref('int_organization__learner_days') }} as learner_days
    inner join organizations
        on
            learner_days.organization_id = organizations.organization_id
            and learner_days.activity_date >= least(organizations.weeks_from, organizations.years_from)
    inner join taught_courses
        on
            learner_days.organization_id = taught_courses.organization_id
            and learner_days.course_id = taught_courses.course_id
    inner join learner_courses
        on
            learner_days.organization_id = learner_courses.organization_id
            and learner_days.learner_id = learner_courses.learner_id
            and learner_days.course_id = learner_courses.course_id
            and learner_courses.enrolled_days @> learner_days.activity_date
    where
        learner_days.scope = 'course'
        and learner_days.is_active

),

final as (

    {% for period_type in period_types %}
    select distinct
        learner_days.organization_id,
        teaching.trainer_id,
        learner_days.course_id,
        '{{ period_type }}' as period_type,
        {{ period_start(period_type, 'learner_days.activity_date') }} as period_start,
        learner_days.learner_id
    from learner_days
    inner join teaching
        on
            learner_days.organization_id = teaching.organization_id
            and learner_days.course_id = teaching.course_id
            and teaching.teaching_days @> learner_days.activity_date
    {{ 'union all' if not loop.last }}
    {% endfor %}

)

select * from final
