{{ config(post_hook="analyze {{ this }}") }}
-- Grain: one row per organization and collected hour whose contribution this build replaces.
select distinct
    organization_id,
    collected_hour
from {{ ref('stg_ops__build_batches') }}
