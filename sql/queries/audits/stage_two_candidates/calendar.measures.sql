-- One row per organization with closed days to tell: how many of them have no row, or more than one.
select
    organizations.organization_id,
    abs(
        organizations.closed_through - greatest(organizations.dirty_from, organizations.first_event_on) + 1
        - count(distinct candidates.activity_date)
    ) + count(candidates.activity_date) - count(distinct candidates.activity_date) as days_missing_or_double
from build.int_build__organizations as organizations
left join build.organization_analytics as candidates
    on
        organizations.organization_id = candidates.organization_id
        and candidates.activity_date <= organizations.closed_through
where
    organizations.first_event_on is not null
    and greatest(organizations.dirty_from, organizations.first_event_on) <= organizations.closed_through
group by
    organizations.organization_id,
    organizations.closed_through,
    organizations.dirty_from,
    organizations.first_event_on
