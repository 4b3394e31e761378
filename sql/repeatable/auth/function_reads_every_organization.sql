-- Whether this is an auditor of the operator, whose claims name no organization because they hold for all; never null.
create or replace function auth.reads_every_organization(role_name text)
returns boolean
language plpgsql
stable
parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
    claims constant jsonb := auth.claims();
begin
    return
        role_name = 'auditor'
        and claims is not null
        and claims ->> 'role' = role_name
        and claims ->> 'organization_id' is null;
end;
$$;
alter function auth.reads_every_organization(text) owner to lyceum_definer;
revoke all on function auth.reads_every_organization(text) from public;
grant execute on function auth.reads_every_organization(text)
to lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst, lyceum_auditor;
