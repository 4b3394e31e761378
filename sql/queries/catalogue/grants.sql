-- Of every object what is granted beyond its owner. Null rights mean those that PostgreSQL grants by itself.
with

objects as (

    select
        case relations.relkind when 'S' then 'sequence' else 'table' end as kind,
        schemas.nspname || '.' || relations.relname as name,
        relations.relowner as owner,
        coalesce(
            relations.relacl, acldefault((case relations.relkind when 'S' then 's' else 'r' end)::"char", relations.relowner)
        ) as rights
    from pg_catalog.pg_class as relations
    inner join pg_catalog.pg_namespace as schemas
        on relations.relnamespace = schemas.oid
    where
        relations.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
        and schemas.nspname !~ '^pg_'
        and schemas.nspname <> 'information_schema'
        and not exists (
            select
            from pg_catalog.pg_depend as bonds
            where bonds.classid = 'pg_class'::regclass and bonds.objid = relations.oid and bonds.deptype = 'e'
        )

    union all

    select
        'column' as kind,
        schemas.nspname || '.' || relations.relname || '.' || attributes.attname as name,
        relations.relowner as owner,
        attributes.attacl as rights
    from pg_catalog.pg_attribute as attributes
    inner join pg_catalog.pg_class as relations
        on attributes.attrelid = relations.oid
    inner join pg_catalog.pg_namespace as schemas
        on relations.relnamespace = schemas.oid
    where
        attributes.attacl is not null
        and not attributes.attisdropped
        and schemas.nspname !~ '^pg_'
        and schemas.nspname <> 'information_schema'
        and not exists (
            select
            from pg_catalog.pg_depend as bonds
            where bonds.classid = 'pg_class'::regclass and bonds.objid = relations.oid and bonds.deptype = 'e'
        )

    union all

    select
        'schema' as kind,
        schemas.nspname as name,
        schemas.nspowner as owner,
        coalesce(schemas.nspacl, acldefault('n', schemas.nspowner)) as rights
    from pg_catalog.pg_namespace as schemas
    where schemas.nspname !~ '^pg_' and schemas.nspname <> 'information_schema'

    union all

    select
        'function' as kind,
        routines.oid::regprocedure::text as name,
        routines.proowner as owner,
        coalesce(routines.proacl, acldefault('f', routines.proowner)) as rights
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

    union all

    select
        'default privileges' as kind,
        format(
            'of %s for what %s makes%s',
            case defaults.defaclobjtype
                when 'r' then 'tables'
                when 'S' then 'sequences'
                when 'f' then 'functions'
                when 'T' then 'types'
                when 'n' then 'schemas'
                else 'large objects'
            end,
            pg_get_userbyid(defaults.defaclrole),
            coalesce(' in ' || schemas.nspname, '')
        ) as name,
        defaults.defaclrole as owner,
        defaults.defaclacl as rights
    from pg_catalog.pg_default_acl as defaults
    left join pg_catalog.pg_namespace as schemas
        on defaults.defaclnamespace = schemas.oid

)

select
    objects.kind,
    objects.name,
    case rights.grantee when 0 then 'public' else pg_get_userbyid(rights.grantee)::text end,
    lower(rights.privilege_type)
from objects
cross join lateral aclexplode(objects.rights) as rights
where rights.grantee <> objects.owner;
