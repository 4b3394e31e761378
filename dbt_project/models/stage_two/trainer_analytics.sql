{{ config(post_hook="analyze {{ this }}") }}
-- Grain: one row per organization, trainer, course and closed day that the trainer teaches it, events or not.
-- Every trainer of a course carries the figures of all its learners: a sum over trainers means nothing.
with

trainer_days as (

    select * from {{ ref('int_trainer_day__dirty') }}

),

courses as (

    select * from {{ ref('int_course_day__assigned') }}

),

own_days as (

    select * from {{ ref('int_organization__learner_days') }}
    where scope = 'course'

),

reviews as (

    select * from {{ ref('int_trainer_day__reviews') }}

),

final as (

    select
        trainer_days.organization_id,
        trainer_days.trainer_id,
        trainer_days.course_id,
        trainer_days.activity_date,
        courses.learners_assigned,
        courses.learners_active,
        {{ ratio('courses.learners_active', 'courses.learners_assigned') }} as activity_rate,
        courses.learners_at_risk,
        courses.completions,
        courses.score_sum,
        courses.score_count,
        {{ ratio('courses.score_sum', 'courses.score_count') }} as score_mean,
        courses.time_on_task_seconds,
        {{ ratio('courses.time_on_task_seconds', 'courses.learners_active') }} as time_on_task_seconds_per_active_learner,
        coalesce(own_days.contributions, 0)::bigint as contributions,
        coalesce(reviews.attempts_reviewed, 0)::bigint as attempts_reviewed
    from trainer_days
    inner join courses
        on
            trainer_days.organization_id = courses.organization_id
            and trainer_days.course_id = courses.course_id
            and trainer_days.activity_date = courses.activity_date
    left join own_days
        on
            trainer_days.organization_id = own_days.organization_id
            and trainer_days.trainer_id = own_days.learner_id
            and trainer_days.course_id = own_days.course_id
            and trainer_days.activity_date = own_days.activity_date
    left join reviews
        on
            trainer_days.organization_id = reviews.organization_id
            and trainer_days.trainer_id = reviews.trainer_id
            and trainer_days.course_id = reviews.course_id
            and trainer_days.activity_date = reviews.activity_date

)

select * from final
