-- Alerts that nobody has ended, the oldest first. They name tasks, tables and organizations.
drop function if exists monitoring.alerts();
create function monitoring.alerts()
returns table (
    kind text,
    subject text,
    message text,
    raised_at timestamptz
)
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
    select
        alerts.kind,
        alerts.subject,
        alerts.message,
        alerts.raised_at
    from ops.alerts as alerts
    where alerts.resolved_at is null
    order by alerts.alert_id;
$$;
alter function monitoring.alerts() owner to lyceum_definer;
revoke all on function monitoring.alerts() from public;
grant execute on function monitoring.alerts() to lyceum_monitor, lyceum_owner;
