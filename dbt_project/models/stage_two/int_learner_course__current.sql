{{ config(materialized="ephemeral") }}
-- Grain: one row per learner and course of every organization: as just built for touched learners, else as published.
with

candidates as (

    select * from {{ ref('learner_courses') }}

),

published as (

    select * from {{ ref('stg_stage_three__learner_courses') }}

),

learners as (

    select * from {{ ref('int_build__learners') }}

)

select * from candidates

union all

select * from published
where
    not exists (
        select 1
        from learners
        where
            learners.organization_id = published.organization_id
            and learners.learner_id = published.learner_id
    )
