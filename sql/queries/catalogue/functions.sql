-- Every function that neither the server nor an extension made.
select
    routines.oid::regprocedure::text,
    pg_get_userbyid(routines.proowner),
    routines.prosecdef,
    (
        select substr(settings.line, length('search_path=') + 1)
        from unnest(routines.proconfig) as settings (line)
        where settings.line like 'search_path=%'
    ),
    routines.prosrc
from pg_catalog.pg_proc as routines
inner join pg_catalog.pg_namespace as schemas
    on routines.pronamespace = schemas.oid
where
    schemas.nspname !~ '^pg_'
    and schemas.nspname <> 'information_schema'
    and not exists (
        select
        from pg_catalog.pg_depend as bonds
        where bonds.classid = 'pg_proc'::regclass and bonds.objid = routines.oid and bonds.deptype = 'e'
    )
order by 1;
