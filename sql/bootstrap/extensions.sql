-- Sorted integer sets (object ids of a learner's day). A trusted extension: the owner of the database may create it.
create schema if not exists extensions;
create extension if not exists intarray with schema extensions;

-- Times of statements, where the server has loaded the module and the account may make it. Monitoring does without elsewhere.
create schema if not exists server_statistics;
do $$
begin
    if
        not exists (select from pg_catalog.pg_extension as present where present.extname = 'pg_stat_statements')
        and exists (
            select from pg_catalog.pg_available_extensions as available where available.name = 'pg_stat_statements'
        )
    then
        create extension pg_stat_statements with schema server_statistics;
    end if;
exception
    when insufficient_privilege then
        raise notice 'pg_stat_statements is not made: let a superuser run: create extension pg_stat_statements with schema server_statistics';
end;
$$;
