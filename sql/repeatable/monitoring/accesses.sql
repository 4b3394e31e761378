-- Rows of the audit trail per UTC day: all that are sealed, and those that tell of something refused, failed or changed in rights.
drop function if exists monitoring.accesses(timestamptz, timestamptz);
create function monitoring.accesses(since timestamptz, until timestamptz)
returns table (
    day date,
    sealed bigint,
    refused_log_ins bigint,
    refused_accesses bigint,
    failures bigint,
    changes_of_rights bigint
)
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
    select
        counted.day,
        sum(counted.sealed)::bigint,
        sum(counted.refused_log_ins)::bigint,
        sum(counted.refused_accesses)::bigint,
        sum(counted.failures)::bigint,
        sum(counted.changes_of_rights)::bigint
    from (
        select
            (batches.last_occurred_at at time zone 'UTC')::date as day,
            sum(batches.row_count) as sealed,
            0 as refused_log_ins,
            0 as refused_accesses,
            0 as failures,
            0 as changes_of_rights
        from audit.batches as batches
        where batches.last_occurred_at >= accesses.since and batches.last_occurred_at <= accesses.until
        group by 1

        union all

        select
            (logs.occurred_at at time zone 'UTC')::date,
            0,
            count(*) filter (where logs.decision = 'denied' and logs.action = 'log_in'),
            count(*) filter (where logs.decision = 'denied' and logs.action <> 'log_in'),
            count(*) filter (where logs.decision = 'failed'),
            count(*) filter (where logs.source = 'catalog')
        from audit.audit_logs as logs
        where
            logs.occurred_at >= accesses.since
            and logs.occurred_at <= accesses.until
            -- As the index says it.
            and (logs.decision <> 'allowed' or logs.source = 'catalog')
        group by 1
    ) as counted
    group by counted.day
    order by counted.day;
$$;
alter function monitoring.accesses(timestamptz, timestamptz) owner to lyceum_definer;
revoke all on function monitoring.accesses(timestamptz, timestamptz) from public;
grant execute on function monitoring.accesses(timestamptz, timestamptz) to lyceum_monitor, lyceum_owner;
