{{ config(materialized="ephemeral") }}
-- Grain: one row per organization, trainer and course they ever taught, with the days.
select
    organization_id,
    user_id as trainer_id,
    course_id,
    days as teaching_days
from {{ ref('int_build__enrollment_days') }}
where role = 'trainer'
