-- The user of a verified token or login of exactly this role; null otherwise, and for a token that names nobody.
create or replace function auth.user_id(role_name text)
returns bigint
language plpgsql
stable
parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
    claims constant jsonb := auth.claims();
begin
    return case when claims ->> 'role' = role_name then (claims ->> 'user_id')::bigint end;
end;
$$;
alter function auth.user_id(text) owner to lyceum_definer;
revoke all on function auth.user_id(text) from public;
grant execute on function auth.user_id(text)
to lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst, lyceum_auditor;
