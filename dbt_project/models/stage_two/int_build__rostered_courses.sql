{{ config(post_hook="analyze {{ this }}") }}
-- Grain: one row per organization and rostered course. One snapshot for all models.
select
    organization_id,
    course_id,
    rostered_days
from {{ ref('stg_core__rostered_courses') }}
