-- The memberships in and of every role with the prefix of the product.
select
    roles.rolname,
    members.rolname,
    -- Since PostgreSQL 16 a membership says itself whether it is inherited, before that its member does.
    bool_or(coalesce((to_jsonb(memberships) ->> 'inherit_option')::boolean, members.rolinherit)),
    members.rolsuper
    or members.oid = (
        select databases.datdba
        from pg_catalog.pg_database as databases
        where databases.datname = current_database()
    )
from pg_catalog.pg_auth_members as memberships
inner join pg_catalog.pg_roles as roles
    on memberships.roleid = roles.oid
inner join pg_catalog.pg_roles as members
    on memberships.member = members.oid
where roles.rolname ~ '^lyceum_' or members.rolname ~ '^lyceum_'
group by roles.rolname, members.rolname, members.rolsuper, members.oid
order by 1, 2;
