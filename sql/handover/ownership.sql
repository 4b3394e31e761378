-- Hands what the migrating account has made over to the roles that are to own it. Runs at the end of every migrate, and
-- changes nothing where all is in order.
--
-- `lyceum_owner` owns the schemas, tables, views and functions; the pipeline, which makes and drops partitions every day, is a
-- member of it. The schema `build`, where dbt replaces tables at will, is the pipeline's own. What guards the tenants (`auth`,
-- `audit`, and all that belongs to `lyceum_definer`) is neither's.
do $$
declare
    handed record;
begin
    if not pg_has_role('lyceum_pipeline', 'lyceum_owner', 'member') then
        grant lyceum_owner to lyceum_pipeline;
    end if;

    for handed in
        with

        schemas as (

            select
                oid,
                nspname as schema_name,
                nspowner as owner,
                case when nspname = 'build' then 'lyceum_pipeline' else 'lyceum_owner' end as wanted
            from pg_namespace
            where
                nspname in (
                    'core', 'stage_one', 'stage_two', 'stage_three', 'audited', 'ops', 'partitions', 'reporting', 'api',
                    'extensions', 'server_statistics', 'build'
                )

        )

        select
            0 as position,
            format('alter schema %I owner to %I', schema_name, wanted) as statement
        from schemas
        where owner <> wanted::regrole

        union all

        select
            1 as position,
            format(
                'alter %s %I.%I owner to %I',
                case relations.relkind
                    when 'v' then 'view'
                    when 'm' then 'materialized view'
                    when 'S' then 'sequence'
                    else 'table'
                end,
                schemas.schema_name,
                relations.relname,
                schemas.wanted
            ) as statement
        from schemas
        inner join pg_class as relations on schemas.oid = relations.relnamespace
        where
            relations.relkind in ('r', 'p', 'v', 'm', 'S')
            and relations.relowner not in (schemas.wanted::regrole, 'lyceum_definer'::regrole)
            -- What belongs to a column goes with its table, what belongs to an extension stays.
            and not exists (
                select
                from pg_depend as bonds
                where
                    bonds.classid = 'pg_class'::regclass
                    and bonds.objid = relations.oid
                    and (bonds.deptype = 'e' or relations.relkind = 'S' and bonds.deptype in ('a', 'i'))
            )

        union all

        select
            2 as position,
            format(
                'alter %s %I.%I(%s) owner to %I',
                case routines.prokind when 'a' then 'aggregate' when 'p' then 'procedure' else 'function' end,
                schemas.schema_name,
                routines.proname,
                pg_get_function_identity_arguments(routines.oid),
                schemas.wanted
            ) as statement
        from schemas
        inner join pg_proc as routines on schemas.oid = routines.pronamespace
        where
            routines.proowner not in (schemas.wanted::regrole, 'lyceum_definer'::regrole)
            and not exists (
                select
                from pg_depend as bonds
                where bonds.classid = 'pg_proc'::regclass and bonds.objid = routines.oid and bonds.deptype = 'e'
            )

        order by position
    loop
        execute handed.statement;
    end loop;

    -- Temporary tables are for who collects and refreshes, not for whoever may connect.
    if has_database_privilege('public', current_database(), 'temporary') then
        execute format('revoke temporary on database %I from public', current_database());
    end if;
    if not has_database_privilege('lyceum_definer', current_database(), 'temporary')
        or not has_database_privilege('lyceum_pipeline', current_database(), 'temporary')
    then
        execute format('grant connect, temporary on database %I to lyceum_pipeline, lyceum_definer', current_database());
    end if;

    -- Which files the database holds is asked by whoever builds.
    if not has_schema_privilege('lyceum_owner', 'schema_history', 'usage') then
        grant usage on schema schema_history to lyceum_owner;
        grant select on all tables in schema schema_history to lyceum_owner;
    end if;
end;
$$;
