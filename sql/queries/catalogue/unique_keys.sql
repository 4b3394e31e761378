-- The unique keys of all tables; what is merely included in an index is no part of its key.
select
    schemas.nspname || '.' || relations.relname,
    indexes.relname,
    array(
        select attributes.attname::text
        from unnest(keys.indkey[0:keys.indnkeyatts - 1]) with ordinality as parts (number, position)
        inner join pg_catalog.pg_attribute as attributes
            on attributes.attrelid = relations.oid and attributes.attnum = parts.number
        order by parts.position
    )
from pg_catalog.pg_index as keys
inner join pg_catalog.pg_class as indexes
    on keys.indexrelid = indexes.oid
inner join pg_catalog.pg_class as relations
    on keys.indrelid = relations.oid
inner join pg_catalog.pg_namespace as schemas
    on relations.relnamespace = schemas.oid
where
    keys.indisunique
    and relations.relkind in ('r', 'p')
    and schemas.nspname !~ '^pg_'
    and schemas.nspname <> 'information_schema'
    and not exists (
        select
        from pg_catalog.pg_depend as bonds
        where bonds.classid = 'pg_class'::regclass and bonds.objid = relations.oid and bonds.deptype = 'e'
    )
order by 1, 2;
