-- The attributes of every role with the prefix of the product.
select
    roles.rolname,
    array_remove(
        array[
            case when roles.rolsuper then 'superuser' end,
            case when roles.rolbypassrls then 'bypassrls' end,
            case when roles.rolcreaterole then 'createrole' end,
            case when roles.rolcreatedb then 'createdb' end,
            case when roles.rolreplication then 'replication' end,
            case when roles.rolinherit then 'inherit' end,
            case when roles.rolcanlogin then 'login' end
        ],
        null
    )
from pg_catalog.pg_roles as roles
where roles.rolname ~ '^lyceum_'
order by 1;
