-- Whether retention is kept: expired partitions that are still there, and alerts that nobody has ended.
select
    'lyceum_partition_holds' as name,
    jsonb_build_object('table', policies.parent_table) as labels,
    count(distinct holds.partition_name)::double precision as value
from ops.partition_policies as policies
left join ops.partition_holds as holds on policies.parent_table = holds.parent_table
group by policies.parent_table

union all

select
    'lyceum_overdue_partition_holds',
    jsonb_build_object('table', policies.parent_table),
    count(distinct holds.partition_name)::double precision
from ops.partition_policies as policies
left join ops.partition_holds as holds
    on
        policies.parent_table = holds.parent_table
        and (holds.needs_attention or holds.grace_ends_at <= current_setting('lyceum.as_of')::timestamptz)
group by policies.parent_table

union all

select
    'lyceum_open_alerts',
    jsonb_build_object('kind', alerts.kind),
    count(*)::double precision
from ops.alerts as alerts
where alerts.resolved_at is null
group by alerts.kind

union all

select
    'lyceum_backup_age_seconds',
    jsonb_build_object('kind', runs.kind),
    extract(epoch from current_setting('lyceum.as_of')::timestamptz - max(runs.ended_at))::double precision
from ops.backup_runs as runs
where runs.is_success
group by runs.kind
