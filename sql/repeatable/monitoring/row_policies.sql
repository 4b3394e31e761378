-- How long rows of small tables and pages stay, and on whose schedule they go.
drop function if exists monitoring.row_policies();
create function monitoring.row_policies()
returns table (
    subject text,
    retention text,
    cleanup text
)
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
    select
        policies.subject,
        policies.retention::text,
        policies.cleanup
    from ops.retention_policies as policies
    order by policies.subject;
$$;
alter function monitoring.row_policies() owner to lyceum_definer;
revoke all on function monitoring.row_policies() from public;
grant execute on function monitoring.row_policies() to lyceum_monitor, lyceum_owner;
