-- Every time partition of a table that has a policy: the days that it holds, its size, when its time is over, whether an archive
-- of it is kept, and who holds it. Rows are what the statistics estimate. Hash leaves count with theirs, days of a month apart.
drop function if exists monitoring.partitions();
create function monitoring.partitions()
returns table (
    parent_table text,
    partition_name text,
    period_lower date,
    period_upper date,
    expires_at timestamptz,
    byte_length bigint,
    row_count bigint,
    is_archived boolean,
    held_by text
)
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
    with

    bounded as (

        select
            policies.parent_table,
            policies.retention,
            relations.oid,
            relations.relname,
            regexp_match(
                pg_get_expr(relations.relpartbound, relations.oid), 'FROM \(''(\d{4}-\d\d-\d\d)(.*)''\) TO \(''(\d{4}-\d\d-\d\d)'
            ) as bounds
        from ops.partition_policies as policies
        -- By their names in the catalogue: a name is looked up only by who may use its schema.
        inner join pg_class as roots on split_part(policies.parent_table, '.', 2) = roots.relname
        inner join pg_namespace as schemas
            on
                roots.relnamespace = schemas.oid
                and split_part(policies.parent_table, '.', 1) = schemas.nspname
        inner join pg_partition_tree(roots.oid) as tree on tree.level > 0
        inner join pg_class as relations on tree.relid = relations.oid

    )

    select
        bounded.parent_table,
        bounded.relname::text,
        bounded.bounds[1]::date,
        bounded.bounds[3]::date,
        -- A local day is over everywhere a day after it is over in UTC.
        (
            bounded.bounds[3]::timestamp
            + case bounded.bounds[2] when '' then interval '1 day' else interval '0' end
            + bounded.retention
        ) at time zone 'UTC',
        sizes.byte_length,
        sizes.live_rows,
        exists (
            select
            from ops.partition_archives as kept
            where kept.table_name = bounded.parent_table and kept.partition_name = bounded.relname
        )
        or exists (
            select
            from ops.archives as kept
            where kept.table_name = bounded.parent_table and kept.week_start = bounded.bounds[1]::date
        ),
        (
            select string_agg(distinct holds.held_by, ', ' order by holds.held_by)
            from ops.partition_holds as holds
            where holds.parent_table = bounded.parent_table and holds.partition_name = bounded.relname
        )
    from bounded
    cross join lateral (
        select
            coalesce(sum(pg_total_relation_size(leaves.relid)), 0)::bigint as byte_length,
            coalesce(sum(pg_stat_get_live_tuples(leaves.relid)), 0)::bigint as live_rows
        from pg_partition_tree(bounded.oid) as leaves
        where leaves.isleaf
    ) as sizes
    where
        bounded.bounds is not null
        -- A month of days holds no rows itself.
        and not exists (
            select
            from pg_inherits as links
            inner join pg_class as days on links.inhrelid = days.oid
            where links.inhparent = bounded.oid and pg_get_expr(days.relpartbound, days.oid) like 'FOR VALUES FROM%'
        )
    order by bounded.parent_table, bounded.bounds[1]::date;
$$;
alter function monitoring.partitions() owner to lyceum_definer;
revoke all on function monitoring.partitions() from public;
grant execute on function monitoring.partitions() to lyceum_monitor, lyceum_owner;
