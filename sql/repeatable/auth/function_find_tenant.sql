-- The ids that an external token means: of the organization by its slug or its id, and of the user if it names one. No row
-- when there is no such organization, or no such user in it. For services alone, which ask before they become a tenant:
-- a tenant could try out names with it.
create or replace function auth.find_tenant(named_slug text, named_organization_id bigint, named_user_id bigint)
returns table (organization_id bigint, user_id bigint)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select
        organizations.organization_id,
        users.user_id
    from core.organizations as organizations
    left join core.users as users
        on
            organizations.organization_id = users.organization_id
            and users.user_id = named_user_id
    where
        (organizations.slug = named_slug or organizations.organization_id = named_organization_id)
        and (named_slug is null or named_organization_id is null)
        and (named_user_id is null or users.user_id is not null);
end;
$$;
alter function auth.find_tenant(text, bigint, bigint) owner to lyceum_definer;
revoke all on function auth.find_tenant(text, bigint, bigint) from public;
grant usage on schema auth to lyceum_authenticator;
grant execute on function auth.find_tenant(text, bigint, bigint) to lyceum_authenticator;
