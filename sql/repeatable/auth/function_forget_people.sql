-- Takes the logins of erased people out of the list of who may read what, and returns their names. The roles of the server stay
-- until somebody who may drops them.
create or replace function auth.forget_people(of_organization_id bigint, of_user_ids bigint[])
returns setof text
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    delete from auth.logins
    where
        logins.organization_id = of_organization_id
        and logins.user_id = any(of_user_ids)
    returning logins.login_name;
end;
$$;
alter function auth.forget_people(bigint, bigint[]) owner to lyceum_definer;
revoke all on function auth.forget_people(bigint, bigint[]) from public;
grant usage on schema auth to lyceum_owner;
grant execute on function auth.forget_people(bigint, bigint[]) to lyceum_owner;
