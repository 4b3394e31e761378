{{ config(post_hook="analyze {{ this }}") }}
-- Grain: one row per organization and week that was sealed when the build began. One snapshot for all models: a week that
-- a replay restores while this build runs belongs to the next build.
select
    organization_id,
    week_start
from {{ ref('stg_ops__sealed_weeks') }}
