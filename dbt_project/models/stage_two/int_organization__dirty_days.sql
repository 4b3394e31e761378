{{ config(post_hook="analyze {{ this }}") }}
-- Grain: one row per organization and closed day whose organization row must be told (anew).
select
    organizations.organization_id,
    day.activity_date::date as activity_date
from {{ ref('int_build__organizations') }} as organizations
cross join lateral generate_series(
    greatest(organizations.dirty_from, organizations.first_event_on)::timestamp,
    organizations.closed_through::timestamp,
    interval '1 day'
) as day (activity_date)
where organizations.first_event_on is not null
