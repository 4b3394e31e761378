-- Every relation that neither the server nor an extension made, nor is temporary; a sequence of a column belongs to its table.
select
    schemas.nspname || '.' || relations.relname,
    relations.relkind::text,
    pg_get_userbyid(relations.relowner),
    coalesce(relations.reloptions, '{}'),
    relations.relrowsecurity,
    relations.relforcerowsecurity,
    array(
        select attributes.attname::text
        from pg_catalog.pg_attribute as attributes
        where
            attributes.attrelid = relations.oid
            and attributes.attnum > 0
            and not attributes.attisdropped
        order by attributes.attnum
    ),
    case when relations.relkind = 'v' then pg_get_viewdef(relations.oid) end
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
    -- A sequence of a column belongs to its table.
    and not exists (
        select
        from pg_catalog.pg_depend as bonds
        where
            bonds.classid = 'pg_class'::regclass
            and bonds.objid = relations.oid
            and bonds.deptype in ('a', 'i')
            and relations.relkind = 'S'
    )
order by 1;
