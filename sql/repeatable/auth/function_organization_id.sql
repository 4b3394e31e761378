-- The organization of a verified token or login of exactly this role; null otherwise. A policy for lyceum_learner asks for
-- 'learner', as `(select auth.organization_id('learner'))`: so a token of another role opens nothing after SET ROLE, and the
-- token is verified once a statement rather than once a row.
create or replace function auth.organization_id(role_name text)
returns bigint
language plpgsql
stable
parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
    claims constant jsonb := auth.claims();
begin
    return case when claims ->> 'role' = role_name then (claims ->> 'organization_id')::bigint end;
end;
$$;
alter function auth.organization_id(text) owner to lyceum_definer;
revoke all on function auth.organization_id(text) from public;
grant execute on function auth.organization_id(text)
to lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst, lyceum_auditor;
