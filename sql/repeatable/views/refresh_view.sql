-- Refreshes one of the materialized views, concurrently. They belong to lyceum_definer, because a view that belongs to a role
-- under forced row level security has no rows; before PostgreSQL 17 nobody but the owner may refresh one.
create or replace function stage_three.refresh_view(view_name text)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if view_name not in ('mv_learner_analytics_summary', 'mv_organization_metrics') then
        raise exception 'stage_three.% is no view that is refreshed', view_name using errcode = 'undefined_table';
    end if;
    execute format('refresh materialized view concurrently stage_three.%I', view_name);
end;
$$;
-- A new owner must be able to create in the schema, unless a superuser says so.
grant create on schema stage_three to lyceum_definer;
alter function stage_three.refresh_view(text) owner to lyceum_definer;
revoke create on schema stage_three from lyceum_definer;
revoke all on function stage_three.refresh_view(text) from public;
grant execute on function stage_three.refresh_view(text) to lyceum_owner;
