-- One row per organization with a newly told last day: whether its sources have fallen silent. Three days without an event
-- after 25 days with at least 50 a day are no quiet weekend.
with

organizations as (

    select
        organization_id,
        dirty_from,
        closed_through
    from build.int_build__organizations
    where dirty_from <= closed_through

),

days as (

    select
        organization_id,
        activity_date,
        event_count
    from build.organization_analytics

    union all

    select
        published.organization_id,
        published.period_start as activity_date,
        published.event_count
    from stage_three.aggregated_analytics as published
    inner join organizations
        on
            published.organization_id = organizations.organization_id
            and published.period_start < organizations.dirty_from
            and published.period_start > organizations.closed_through - 28
    where
        published.subject_type = 'organization'
        and published.period_type = 'day'

)

select
    days.organization_id,
    (
        coalesce(sum(days.event_count) filter (where days.activity_date > organizations.closed_through - 3), 0) = 0
        and coalesce(sum(days.event_count) filter (where days.activity_date <= organizations.closed_through - 3), 0) >= 1250
    )::integer as silent_sources
from days
inner join organizations
    on
        days.organization_id = organizations.organization_id
        and days.activity_date > organizations.closed_through - 28
group by days.organization_id
