-- Rows, bytes and use of every table, its partitions counted together.
with

sized as (

    select
        case
            when schemas.nspname = 'partitions' then policies.parent_table
            else schemas.nspname || '.' || relations.relname
        end as table_name,
        pg_total_relation_size(relations.oid) as byte_length,
        statistics.n_live_tup as live_rows,
        statistics.n_dead_tup as dead_rows,
        statistics.seq_scan,
        statistics.idx_scan
    from pg_class as relations
    inner join pg_namespace as schemas on relations.relnamespace = schemas.oid
    left join pg_stat_user_tables as statistics on relations.oid = statistics.relid
    left join ops.partition_policies as policies
        on
            schemas.nspname = 'partitions'
            and relations.relname ~ ('^' || split_part(policies.parent_table, '.', 2) || '_p[0-9]')
    where
        relations.relkind in ('r', 'm')
        and schemas.nspname in (
            'core', 'stage_one', 'stage_two', 'stage_three', 'partitions', 'audit', 'reporting', 'ops', 'auth', 'build'
        )

),

summed as (

    select
        coalesce(table_name, 'partitions of nobody') as table_name,
        sum(byte_length) as byte_length,
        sum(live_rows) as live_rows,
        sum(dead_rows) as dead_rows,
        sum(idx_scan) as index_scans,
        sum(seq_scan) as sequential_scans
    from sized
    group by 1

)

select
    measures.name,
    jsonb_build_object('table', summed.table_name) as labels,
    measures.value::double precision as value
from summed
cross join lateral (
    values
    ('lyceum_table_bytes', summed.byte_length),
    ('lyceum_table_rows', summed.live_rows),
    ('lyceum_table_dead_rows', summed.dead_rows),
    ('lyceum_table_index_scans_total', summed.index_scans),
    ('lyceum_table_sequential_scans_total', summed.sequential_scans)
) as measures (name, value)
where measures.value is not null
