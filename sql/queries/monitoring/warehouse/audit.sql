-- Who read and changed how much in the last hour, what was refused, and whether the trail is whole and sealed.
select
    'lyceum_audited_accesses' as name,
    jsonb_build_object('action', logs.action, 'decision', logs.decision) as labels,
    count(*)::double precision as value
from audit.audit_logs as logs
where logs.occurred_at > current_setting('lyceum.as_of')::timestamptz - interval '1 hour' and logs.occurred_at <= current_setting('lyceum.as_of')::timestamptz
group by logs.action, logs.decision

union all

select
    'lyceum_failed_logins',
    '{}'::jsonb,
    count(*)::double precision
from audit.audit_logs as logs
where
    logs.occurred_at > current_setting('lyceum.as_of')::timestamptz - interval '1 hour'
    and logs.occurred_at <= current_setting('lyceum.as_of')::timestamptz
    and logs.action = 'log_in'
    and logs.decision = 'denied'

union all

select
    'lyceum_changes_of_rights',
    '{}'::jsonb,
    count(*)::double precision
from audit.audit_logs as logs
where
    logs.occurred_at > current_setting('lyceum.as_of')::timestamptz - interval '24 hours'
    and logs.occurred_at <= current_setting('lyceum.as_of')::timestamptz
    and logs.source = 'catalog'

union all

select
    'lyceum_unsealed_audit_rows',
    '{}'::jsonb,
    count(*)::double precision
from audit.audit_logs as logs
where
    logs.transaction_id >= coalesce(
        (select max(batches.to_transaction) from audit.batches as batches where batches.server_id = logs.server_id),
        '0'::xid8
    )

union all

select
    'lyceum_audit_sealed_age_seconds',
    '{}'::jsonb,
    extract(epoch from current_setting('lyceum.as_of')::timestamptz - max(batches.sealed_at))::double precision
from audit.batches as batches
having max(batches.sealed_at) is not null

union all

select
    'lyceum_unacknowledged_audit_gaps',
    '{}'::jsonb,
    count(*)::double precision
from audit.audit_logs as logs
where
    logs.action = 'gap'
    and logs.audit_id > coalesce(
        (select max(known.audit_id) from audit.audit_logs as known where known.action = 'gaps_acknowledged'), 0
    )
