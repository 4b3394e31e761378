-- The verified claims of whoever is asking, or null: `role`, `organization_id`, `user_id`, `scopes`, `request_id`, `token_id`.
--
-- Somebody who logged in under a name of auth.logins has the claims of that row, whatever role they have become and whatever
-- token they set. Everybody else has those of the internal token in lyceum.token.
create or replace function auth.claims()
returns jsonb
language plpgsql
stable
parallel safe
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    claims jsonb;
begin
    -- Within a definer function current_user is its owner. session_user is who logged in; only a superuser can change it.
    select
        jsonb_build_object(
            'role',
            logins.role,
            'organization_id',
            logins.organization_id,
            'user_id',
            logins.user_id,
            'scopes',
            '[]'::jsonb,
            'request_id',
            null,
            'token_id',
            null,
            'login',
            logins.login_name
        )
    into claims
    from auth.logins as logins
    where logins.login_name = session_user;
    if found then
        return claims;
    end if;
    return auth.token_claims(current_setting('lyceum.token', true), statement_timestamp(), clock_timestamp());
end;
$$;
alter function auth.claims() owner to lyceum_definer;
revoke all on function auth.claims() from public;
grant execute on function auth.claims()
to lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst, lyceum_auditor;
