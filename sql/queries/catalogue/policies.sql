-- The policies of all tables, temporary ones among them.
select
    schemas.nspname || '.' || relations.relname,
    policies.polname,
    array(
        select case roles.id when 0 then 'public' else pg_get_userbyid(roles.id)::text end
        from unnest(policies.polroles) as roles (id)
        order by 1
    ),
    policies.polcmd::text,
    policies.polpermissive,
    pg_get_expr(policies.polqual, policies.polrelid),
    pg_get_expr(policies.polwithcheck, policies.polrelid)
from pg_catalog.pg_policy as policies
inner join pg_catalog.pg_class as relations
    on policies.polrelid = relations.oid
inner join pg_catalog.pg_namespace as schemas
    on relations.relnamespace = schemas.oid
order by 1, 2;
