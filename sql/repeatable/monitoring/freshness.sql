-- How current each organization is: what waits, what was published, and what is due on its own calendar.
drop function if exists monitoring.freshness(timestamptz);
create function monitoring.freshness(as_of timestamptz)
returns table (
    organization text,
    full_name text,
    time_zone text,
    data_version bigint,
    data_as_of timestamptz,
    closed_through date,
    due_through date,
    pending_hours bigint,
    oldest_pending timestamptz,
    last_collected_at timestamptz,
    open_weeks bigint,
    oldest_open_week date
)
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
    select
        organizations.slug,
        organizations.name,
        zones.time_zone,
        coalesce(watermarks.data_version, 0),
        watermarks.data_as_of,
        watermarks.closed_through,
        (freshness.as_of at time zone zones.time_zone)::date - 1,
        pending.hours,
        pending.oldest,
        (
            select max(batches.collected_at)
            from ops.batches as batches
            where batches.organization_id = organizations.organization_id and batches.collected_at <= freshness.as_of
        ),
        weeks.open,
        weeks.oldest
    from core.organizations as organizations
    cross join lateral (
        select candidates.time_zone
        from core.organization_time_zones as candidates
        where candidates.organization_id = organizations.organization_id
        -- The zone in force; for a clock before the first, the first.
        order by
            candidates.effective_from <= freshness.as_of desc,
            case when candidates.effective_from <= freshness.as_of then candidates.effective_from end desc,
            candidates.effective_from
        limit 1
    ) as zones
    left join ops.organization_watermarks as watermarks
        on organizations.organization_id = watermarks.organization_id
    cross join lateral (
        select
            count(*) as hours,
            min(hours.collected_hour) as oldest
        from ops.pending_hours as hours
        where hours.organization_id = organizations.organization_id
    ) as pending
    cross join lateral (
        select
            count(*) as open,
            min(states.week_start) as oldest
        from ops.week_states as states
        where states.organization_id = organizations.organization_id and states.state = 'open'
    ) as weeks
    order by organizations.slug;
$$;
alter function monitoring.freshness(timestamptz) owner to lyceum_definer;
revoke all on function monitoring.freshness(timestamptz) from public;
grant execute on function monitoring.freshness(timestamptz) to lyceum_monitor, lyceum_owner;
