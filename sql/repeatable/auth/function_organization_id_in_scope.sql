-- The organization of a verified token of exactly this role that has this scope; null otherwise.
create or replace function auth.organization_id(role_name text, scope text)
returns bigint
language plpgsql
stable
parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
    claims constant jsonb := auth.claims();
begin
    return case when claims ->> 'role' = role_name and claims -> 'scopes' ? scope then (claims ->> 'organization_id')::bigint end;
end;
$$;
alter function auth.organization_id(text, text) owner to lyceum_definer;
revoke all on function auth.organization_id(text, text) from public;
grant execute on function auth.organization_id(text, text)
to lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst, lyceum_auditor;
