{{ config(post_hook="analyze {{ this }}") }}
-- Grain: one row per organization that has ever had an event: which of its closed days must be told (anew).
-- Days before the first event have no row; a day is dirty from the first touched day on, and when it has just closed.
with

organizations as (

    select * from {{ ref('stg_ops__organizations') }}

),

touched as (

    select
        organization_id,
        min(touched_from) as touched_from
    from {{ ref('int_build__learners') }}
    group by organization_id

),

first_events as (

    select
        organization_id,
        min(first_event_on) as first_event_on
    from {{ ref('int_learner_course__current') }}
    group by organization_id

),

dated as (

    select
        organizations.organization_id,
        organizations.previous_closed_through,
        greatest(organizations.local_today - 1, organizations.previous_closed_through) as closed_through,
        touched.touched_from,
        first_events.first_event_on
    from organizations
    left join touched
        on organizations.organization_id = touched.organization_id
    left join first_events
        on organizations.organization_id = first_events.organization_id
    where
        touched.organization_id is not null
        or first_events.organization_id is not null

),

final as (

    select
        organization_id,
        previous_closed_through,
        closed_through,
        first_event_on,
        touched_from,
        least(touched_from, coalesce(previous_closed_through + 1, first_event_on)) as dirty_from
    from dated

)

select * from final
