-- Which warehouse this is: what the data keys of reports are bound to, besides the report.
create or replace function auth.warehouse_id()
returns uuid
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return (select identity.warehouse_id from ops.warehouse_identity as identity);
end;
$$;
alter function auth.warehouse_id() owner to lyceum_definer;
revoke all on function auth.warehouse_id() from public;
grant execute on function auth.warehouse_id() to lyceum_owner, lyceum_learner, lyceum_trainer, lyceum_org_admin;
