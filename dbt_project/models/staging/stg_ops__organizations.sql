-- Every organization with its local calendar day at the build's as_of and what was published for it before.
select
    organizations.organization_id,
    (build.as_of at time zone zones.time_zone)::date as local_today,
    watermarks.closed_through as previous_closed_through
from {{ source('core', 'organizations') }} as organizations
cross join {{ source('ops', 'current_build') }} as build
cross join lateral (
    select periods.time_zone
    from {{ source('core', 'organization_time_zones') }} as periods
    where
        periods.organization_id = organizations.organization_id
        and periods.effective_from <= build.as_of
    order by periods.effective_from desc
    limit 1
) as zones
left join {{ source('ops', 'organization_watermarks') }} as watermarks
    on organizations.organization_id = watermarks.organization_id
