-- Who is connected and who waits for whom. These are instants of the server's own clock.
select
    'lyceum_sessions' as name,
    jsonb_build_object('state', coalesce(sessions.state, 'unknown')) as labels,
    count(*)::double precision as value
from pg_stat_activity as sessions
where sessions.backend_type = 'client backend' and sessions.pid <> pg_backend_pid()
group by 2

union all

select
    'lyceum_connections_used_ratio',
    '{}'::jsonb,
    count(*)::double precision / current_setting('max_connections')::double precision
from pg_stat_activity as sessions
where sessions.backend_type = 'client backend'

union all

select
    'lyceum_waiting_locks',
    '{}'::jsonb,
    count(*)::double precision
from pg_locks as locks
where not locks.granted

union all

select
    'lyceum_longest_lock_wait_seconds',
    '{}'::jsonb,
    coalesce(extract(epoch from max(clock_timestamp() - locks.waitstart)), 0)::double precision
from pg_locks as locks
where not locks.granted

union all

select
    'lyceum_longest_transaction_seconds',
    '{}'::jsonb,
    coalesce(extract(epoch from max(clock_timestamp() - sessions.xact_start)), 0)::double precision
from pg_stat_activity as sessions
where sessions.backend_type = 'client backend' and sessions.pid <> pg_backend_pid()

union all

select
    'lyceum_wal_archive_failing',
    '{}'::jsonb,
    (archiver.last_failed_time is not null and archiver.last_failed_time > coalesce(archiver.last_archived_time, '-infinity'))::integer::double precision
from pg_stat_archiver as archiver

union all

select
    'lyceum_replication_lag_bytes',
    jsonb_build_object('replica', coalesce(nullif(replicas.application_name, ''), 'unnamed')),
    max(pg_wal_lsn_diff(case when pg_is_in_recovery() then pg_last_wal_receive_lsn() else pg_current_wal_lsn() end, replicas.replay_lsn))::double precision
from pg_stat_replication as replicas
where replicas.replay_lsn is not null
group by 2
