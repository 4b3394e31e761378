-- How long the partitions of each table stay, on whose schedule they go, and what went last.
drop function if exists monitoring.table_policies();
create function monitoring.table_policies()
returns table (
    parent_table text,
    granularity text,
    retention text,
    cleanup text,
    is_archived boolean,
    archives bigint,
    archived_bytes bigint,
    archives_verified_at timestamptz,
    dropped bigint,
    last_dropped_as_of timestamptz,
    unfinished_drops bigint
)
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
    select
        policies.parent_table,
        policies.granularity,
        policies.retention::text,
        policies.cleanup,
        policies.is_archived or kept.archives > 0,
        kept.archives,
        kept.byte_length,
        kept.verified_at,
        drops.finished,
        drops.last_as_of,
        drops.unfinished
    from ops.partition_policies as policies
    cross join lateral (
        select
            count(*) as archives,
            coalesce(sum(files.byte_length), 0)::bigint as byte_length,
            min(files.verified_at) as verified_at
        from (
            select
                weeks.byte_length,
                weeks.verified_at
            from ops.archives as weeks
            where weeks.table_name = policies.parent_table

            union all

            select
                whole.byte_length,
                whole.verified_at
            from ops.partition_archives as whole
            where whole.table_name = policies.parent_table
        ) as files
    ) as kept
    cross join lateral (
        select
            count(*) filter (where gone.is_finished) as finished,
            max(gone.as_of) filter (where gone.is_finished) as last_as_of,
            count(*) filter (where not gone.is_finished) as unfinished
        from ops.partition_drops as gone
        where gone.parent_table = policies.parent_table
    ) as drops
    order by policies.parent_table;
$$;
alter function monitoring.table_policies() owner to lyceum_definer;
revoke all on function monitoring.table_policies() from public;
grant execute on function monitoring.table_policies() to lyceum_monitor, lyceum_owner;
