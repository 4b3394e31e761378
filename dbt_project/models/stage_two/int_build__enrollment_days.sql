{{ config(post_hook="analyze {{ this }}") }}
-- Grain: one row per organization, course, user and role that a roster has told. One snapshot for all models: what a roster
-- says while this build runs belongs to the next build.
select
    organization_id,
    course_id,
    user_id,
    role,
    days
from {{ ref('stg_core__enrollment_days') }}
where not isempty(days)
