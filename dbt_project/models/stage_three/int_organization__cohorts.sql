{{ config(post_hook="analyze {{ this }}") }}
-- Grain: one row per organization and learner with an active closed day: the week of the first one ever.
with

organizations as (

    select * from {{ ref('int_organization__period_scope') }}

),

learner_courses as (

    select * from {{ ref('int_learner_course__current') }}

),

final as (

    select
        learner_courses.organization_id,
        learner_courses.learner_id,
        {{ week_start('min(learner_courses.first_active_on)') }} as cohort_week
    from learner_courses
    inner join organizations
        on learner_courses.organization_id = organizations.organization_id
    group by
        learner_courses.organization_id,
        learner_courses.learner_id
    having min(learner_courses.first_active_on) <= min(organizations.closed_through)

)

select * from final
