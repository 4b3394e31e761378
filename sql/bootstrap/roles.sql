-- The roles of the product. They belong to the whole server, hence the prefix, and to every warehouse on it.
-- Made where absent, put right where an attribute differs. Whether the logins may log in is the operator's choice, who
-- gives them a password: `alter role lyceum_authenticator login password …`.
do $$
declare
    wanted record;
    tenant text;
    present pg_catalog.pg_roles%rowtype;
    may_bypass boolean;
begin
    -- A superuser may make every role; since PostgreSQL 16 so may an account with CREATEROLE and BYPASSRLS.
    select
        own.rolsuper
        or (own.rolcreaterole and own.rolbypassrls and current_setting('server_version_num')::integer >= 160000)
    into strict may_bypass
    from pg_catalog.pg_roles as own
    where own.rolname = current_user;

    -- Row level security is forced on every tenant table: whoever does not bypass it would migrate what it cannot see.
    if not exists (select from pg_catalog.pg_roles as own where own.rolname = current_user and (own.rolsuper or own.rolbypassrls)) then
        raise exception
            'The account % is no superuser and has no BYPASSRLS, so it would see no row of any organization. Let a superuser run: alter role % bypassrls',
            current_user,
            quote_ident(current_user);
    end if;

    for wanted in
        select
            roles.name,
            roles.bypasses,
            roles.inherits,
            roles.is_login,
            roles.description
        from (
            values
            ('lyceum_owner', false, true, false, 'Owns the schemas, tables and views of Lyceum.'),
            ('lyceum_definer', true, true, false, 'Owns definer functions and materialized views; reads named tables only.'),
            ('lyceum_learner', false, false, false, 'A learner: their own rows.'),
            ('lyceum_trainer', false, false, false, 'A trainer: the pairs of learner and course that they teach.'),
            ('lyceum_org_admin', false, false, false, 'An administrator of one organization.'),
            ('lyceum_service', false, false, false, 'Another system, within one organization and its scopes.'),
            ('lyceum_analyst', false, false, false, 'An analyst of one organization: pseudonymous stage three.'),
            ('lyceum_auditor', false, false, false, 'An auditor, of one organization or of the operator.'),
            ('lyceum_authenticator', false, false, true, 'The login of the API: it becomes a tenant role, and may do nothing else.'),
            ('lyceum_pipeline', true, true, true, 'The login of collecting, builds and audits.'),
            ('lyceum_monitor', false, true, true, 'The login of monitoring.')
        ) as roles (name, bypasses, inherits, is_login, description)
    loop
        select existing.* into present
        from pg_catalog.pg_roles as existing
        where existing.rolname = wanted.name;
        if not found then
            if wanted.bypasses and not may_bypass then
                raise exception
                    'The account % may not make the role % with BYPASSRLS. Let a superuser run sql/bootstrap/roles.sql once%',
                    current_user,
                    wanted.name,
                    case
                        when current_setting('server_version_num')::integer >= 160000
                            then ', or give the account CREATEROLE and BYPASSRLS'
                        else ': before PostgreSQL 16 nobody else may'
                    end;
            end if;
            execute format(
                'create role %I nologin %s %s',
                wanted.name,
                case when wanted.inherits then 'inherit' else 'noinherit' end,
                case when wanted.bypasses then 'bypassrls' else '' end
            );
            execute format('comment on role %I is %L', wanted.name, wanted.description);
        elsif
            present.rolsuper
            or present.rolcreaterole
            or present.rolcreatedb
            or present.rolreplication
            or present.rolbypassrls <> wanted.bypasses
            or present.rolinherit <> wanted.inherits
            or (present.rolcanlogin and not wanted.is_login)
        then
            execute format(
                'alter role %I nosuperuser nocreaterole nocreatedb noreplication %s %s %s',
                wanted.name,
                case when wanted.bypasses then 'bypassrls' else 'nobypassrls' end,
                case when wanted.inherits then 'inherit' else 'noinherit' end,
                case when wanted.is_login then '' else 'nologin' end
            );
        end if;
    end loop;

    foreach tenant in array array[
        'lyceum_learner',
        'lyceum_trainer',
        'lyceum_org_admin',
        'lyceum_service',
        'lyceum_analyst',
        'lyceum_auditor'
    ]
    loop
        if not exists (
            select
            from pg_catalog.pg_auth_members as memberships
            where
                memberships.roleid = tenant::regrole
                and memberships.member = 'lyceum_authenticator'::regrole
        ) then
            execute format('grant %I to lyceum_authenticator', tenant);
        end if;
    end loop;

    -- Only a member may hand objects over to a role; a superuser is one of every role.
    foreach tenant in array array['lyceum_owner', 'lyceum_definer', 'lyceum_pipeline']
    loop
        if not pg_has_role(current_user, tenant, 'usage') then
            begin
                execute format('grant %I to current_user', tenant);
            exception
                when insufficient_privilege then
                    raise exception
                        'The account % may not hand objects over to %. Let a superuser run: grant lyceum_owner, lyceum_definer, lyceum_pipeline to %',
                        current_user,
                        tenant,
                        quote_ident(current_user);
            end;
        end if;
    end loop;

    -- Statistics of all sessions. Where the account may not grant it, monitoring sees its own sessions and says less.
    if not pg_has_role('lyceum_monitor', 'pg_monitor', 'member') then
        begin
            grant pg_monitor to lyceum_monitor;
        exception
            when insufficient_privilege then
                raise notice 'lyceum_monitor is no member of pg_monitor. Let a superuser run: grant pg_monitor to lyceum_monitor';
        end;
    end if;

    -- Bootstrap files run in the order of their names, so the schema is there.
    grant usage on schema server_statistics to lyceum_monitor;
end;
$$;
