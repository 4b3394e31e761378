-- Whose rows of a materialized view the asking one may read: those of the organization whose user is one of the first to the
-- last. `whole` are the roles that read everything of their organization, a service with one of the scopes; `own` those that
-- read their own rows. Nulls for everybody else. As the TO of a policy does, this lets in whoever has become the role of
-- the claims, or logged in as somebody who inherits it.
create or replace function rights.whose_rows(
    whole text[],
    own text[],
    scopes text[],
    out organization_id bigint,
    out first_user_id bigint,
    out last_user_id bigint
)
language plpgsql
stable
parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
    claims constant jsonb := auth.claims();
    asking_role constant text := claims ->> 'role';
begin
    if asking_role is null or not pg_has_role('lyceum_' || asking_role, 'usage') then
        return;
    end if;
    if asking_role = any(whole) and (asking_role <> 'service' or claims -> 'scopes' ?| scopes) then
        organization_id := (claims ->> 'organization_id')::bigint;
        first_user_id := -9223372036854775808;
        last_user_id := 9223372036854775807;
    elsif asking_role = any(own) then
        organization_id := (claims ->> 'organization_id')::bigint;
        first_user_id := (claims ->> 'user_id')::bigint;
        last_user_id := first_user_id;
    end if;
end;
$$;
alter function rights.whose_rows(text[], text[], text[]) owner to lyceum_definer;
revoke all on function rights.whose_rows(text[], text[], text[]) from public;
grant execute on function rights.whose_rows(text[], text[], text[])
to lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst;
