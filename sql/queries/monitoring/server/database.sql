-- What the server counts about the warehouse's database since its statistics were reset.
select
    measures.name,
    '{}'::jsonb as labels,
    measures.value::double precision as value
from pg_stat_database as statistics
cross join lateral (
    values
    ('lyceum_database_bytes', pg_database_size(statistics.datid)::double precision),
    ('lyceum_connections', statistics.numbackends),
    ('lyceum_transactions_committed_total', statistics.xact_commit),
    ('lyceum_transactions_rolled_back_total', statistics.xact_rollback),
    ('lyceum_deadlocks_total', statistics.deadlocks),
    ('lyceum_temporary_bytes_total', statistics.temp_bytes),
    ('lyceum_blocks_hit_total', statistics.blks_hit),
    ('lyceum_blocks_read_total', statistics.blks_read),
    (
        'lyceum_cache_hit_ratio',
        statistics.blks_hit::double precision / nullif(statistics.blks_hit + statistics.blks_read, 0)
    )
) as measures (name, value)
where statistics.datname = current_database() and measures.value is not null
