{{ config(post_hook="analyze {{ this }}") }}
-- Grain: one row per touched learner, with the first day from which anything about them may have changed: their events, or
-- what a roster says of them.
with

learner_days as (

    select * from {{ ref('int_build__learner_days') }}

),

users as (

    select * from {{ ref('stg_ops__build_users') }}

),

touched as (

    select
        organization_id,
        learner_id,
        activity_date as touched_from
    from learner_days

    union all

    select
        organization_id,
        user_id as learner_id,
        told_from as touched_from
    from users

),

final as (

    select
        organization_id,
        learner_id,
        min(touched_from) as touched_from
    from touched
    group by
        organization_id,
        learner_id

)

select * from final
