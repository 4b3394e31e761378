{{ config(post_hook="analyze {{ this }}") }}
-- Grain: one row per organization, trainer, course and closed day that must be told (anew): the trainer teaches it that day.
select
    dirty_days.organization_id,
    teaching.trainer_id,
    teaching.course_id,
    dirty_days.activity_date
from {{ ref('int_organization__dirty_days') }} as dirty_days
inner join {{ ref('int_trainer_course__teaching') }} as teaching
    on
        dirty_days.organization_id = teaching.organization_id
        and teaching.teaching_days @> dirty_days.activity_date
