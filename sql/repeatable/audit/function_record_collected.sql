-- Writes rows that were collected from the server's log or catalogue: an array of objects with the columns' names. Returns how
-- many are new; a line of the log that is there already changes nothing.
--
-- A login of auth.logins lends its organization, user and role, so that an auditor of the organization sees what its people did
-- without the services.
create or replace function audit.record_collected(entries jsonb)
returns bigint
language sql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
    with

    inserted as (

        insert into audit.audit_logs (
            occurred_at,
            organization_id,
            actor_login,
            actor_user_id,
            actor_role,
            action,
            resource,
            row_count,
            decision,
            source,
            session_id,
            line_number,
            detail,
            server_id
        )
        select
            entries.occurred_at,
            logins.organization_id,
            entries.actor_login,
            logins.user_id,
            logins.role,
            entries.action,
            entries.resource,
            entries.row_count,
            entries.decision,
            entries.source,
            entries.session_id,
            entries.line_number,
            coalesce(entries.detail, '{}'),
            audit.server_id()
        from rows from (
            jsonb_to_recordset($1) as (
                occurred_at timestamptz,
                actor_login text,
                action text,
                resource text,
                row_count bigint,
                decision text,
                source text,
                session_id text,
                line_number bigint,
                detail jsonb
            )
        ) with ordinality as entries (
            occurred_at, actor_login, action, resource, row_count, decision, source, session_id, line_number, detail, position
        )
        left join auth.logins as logins on entries.actor_login = logins.login_name
        where entries.source <> 'service'
        order by entries.position
        on conflict do nothing
        returning 1

    )

    select count(*) from inserted;
$$;
alter function audit.record_collected(jsonb) owner to lyceum_definer;
revoke all on function audit.record_collected(jsonb) from public;
grant execute on function audit.record_collected(jsonb) to lyceum_owner;
