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
        (batches.collected_at at time zone 'UTC')::date,
        organizations.slug,
        sum(batches.records_read)::bigint,
        sum(batches.events_accepted)::bigint,
        sum(batches.duplicates)::bigint,
        sum(batches.quarantined)::bigint
    from ops.batches as batches
    inner join core.organizations as organizations on batches.organization_id = organizations.organization_id
    where batches.collected_at >= volumes.since and batches.collected_at <= volumes.until
    group by 1, 2
    order by 1, 2;
$$;
alter function monitoring.volumes(timestamptz, timestamptz) owner to lyceum_definer;
revoke all on function monitoring.volumes(timestamptz, timestamptz) from public;
grant execute on function monitoring.volumes(timestamptz, timestamptz) to lyceum_monitor, lyceum_owner;
