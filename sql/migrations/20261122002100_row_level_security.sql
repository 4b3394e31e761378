-- migrate:up

create schema api;
comment on schema api is 'What tenant roles read: views of the published numbers, each row by row level security.';
create schema rights authorization lyceum_definer;
comment on schema rights is 'What policies ask: functions about whoever is asking. Nobody uses this schema by name.';

-- Leaves are reached through their table alone, whose policies decide. New ones are closed by whoever makes them.
do $$
declare
    leaf regclass;
begin
    for leaf in
        select relations.oid
        from pg_catalog.pg_class as relations
        where
            relations.relnamespace = 'partitions'::regnamespace
            and relations.relkind in ('r', 'p')
        order by relations.oid
    loop
        execute format('alter table %s enable row level security, force row level security', leaf);
    end loop;
end;
$$;

-- migrate:down
