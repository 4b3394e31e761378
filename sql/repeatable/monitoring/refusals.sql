-- Refused records per UTC day, organization, source and reason, both instants included. What the records hold stays where it is.
drop function if exists monitoring.refusals(timestamptz, timestamptz);
create function monitoring.refusals(since timestamptz, until timestamptz)
returns table (
    day date,
    organization text,
    source text,
    reason text,
    records bigint,
    open bigint,
    replayed bigint,
    discarded bigint
)
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
    with

    refused as (

        select
            quarantine.organization_id,
            quarantine.source_id,
            quarantine.reason,
            quarantine.quarantined_at,
            quarantine.resolution
        from stage_one.quarantine as quarantine
        where quarantine.quarantined_at >= refusals.since and quarantine.quarantined_at <= refusals.until

        union all

        select
            refused_rows.organization_id,
            rosters.source_id,
            refused_rows.reason,
            refused_rows.quarantined_at,
            null
        from stage_one.roster_quarantine as refused_rows
        inner join ops.rosters as rosters
            on
                refused_rows.organization_id = rosters.organization_id
                and refused_rows.roster_id = rosters.roster_id
        where refused_rows.quarantined_at >= refusals.since and refused_rows.quarantined_at <= refusals.until

    ),

    -- Counted before anything is joined: no plan looks a name up for each of millions of rows.
    counted as materialized (

        select
            (refused.quarantined_at at time zone 'UTC')::date as day,
            refused.organization_id,
            refused.source_id,
            refused.reason,
            count(*) as records,
            count(*) filter (where refused.resolution is null) as open,
            count(*) filter (where refused.resolution = 'replayed') as replayed,
            count(*) filter (where refused.resolution = 'discarded') as discarded
        from refused
        group by 1, 2, 3, 4

    )

    select
        counted.day,
        organizations.slug,
        sources.name,
        counted.reason,
        counted.records,
        counted.open,
        counted.replayed,
        counted.discarded
    from counted
    inner join core.organizations as organizations on counted.organization_id = organizations.organization_id
    inner join core.sources as sources
        on
            counted.organization_id = sources.organization_id
            and counted.source_id = sources.source_id
    order by counted.day, organizations.slug, sources.name, counted.reason;
$$;
alter function monitoring.refusals(timestamptz, timestamptz) owner to lyceum_definer;
revoke all on function monitoring.refusals(timestamptz, timestamptz) from public;
grant execute on function monitoring.refusals(timestamptz, timestamptz) to lyceum_monitor, lyceum_owner;
