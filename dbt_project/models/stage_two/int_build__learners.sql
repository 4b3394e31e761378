{{ config(post_hook="analyze {{ this }}") }}
-- Grain: one row per touched learner, with the first day from which anything about them may have changed.
select
    organization_id,
    learner_id,
    min(activity_date) as touched_from
from {{ ref('int_build__learner_days') }}
group by
    organization_id,
    learner_id
