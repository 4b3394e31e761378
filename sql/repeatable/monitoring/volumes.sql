-- Records collected per UTC day and organization, both instants included.
drop function if exists monitoring.volumes(timestamptz, timestamptz);
create function monitoring.volumes(since timestamptz, until timestamptz)
returns table (
    day date,
    organization text,
    records_read bigint,
    accepted bigint,
    duplicates bigint,
    quarantined bigint
)
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
    select
        counted.day,
        organizations.slug,
        counted.records_read,
        counted.accepted,
        counted.duplicates,
        counted.quarantined
    from (
        -- Counted before it is joined: no plan looks a name up for each batch.
        select
            (batches.collected_at at time zone 'UTC')::date as day,
            batches.organization_id,
            sum(batches.records_read)::bigint as records_read,
            sum(batches.events_accepted)::bigint as accepted,
            sum(batches.duplicates)::bigint as duplicates,
            sum(batches.quarantined)::bigint as quarantined
        from ops.batches as batches
        where batches.collected_at >= volumes.since and batches.collected_at <= volumes.until
        group by 1, 2
        offset 0
    ) as counted
    inner join core.organizations as organizations on counted.organization_id = organizations.organization_id
    order by counted.day, organizations.slug;
$$;
alter function monitoring.volumes(timestamptz, timestamptz) owner to lyceum_definer;
revoke all on function monitoring.volumes(timestamptz, timestamptz) from public;
grant execute on function monitoring.volumes(timestamptz, timestamptz) to lyceum_monitor, lyceum_owner;
