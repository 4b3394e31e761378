-- Writes one row about what a service does, in the service's own transaction; returns its id.
--
-- Who logged in, when, and in which transaction is stamped here: no caller can say otherwise. Tenant roles may not call this;
-- a service records before it becomes one, or after it has let go of it.
create or replace function audit.record(
    action text,
    resource text,
    decision text default 'allowed',
    organization_id bigint default null,
    actor_user_id bigint default null,
    actor_role text default null,
    row_count bigint default null,
    request_id text default null,
    detail jsonb default '{}'
)
returns bigint
language sql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
    insert into audit.audit_logs (
        occurred_at,
        actor_login,
        action,
        resource,
        decision,
        organization_id,
        actor_user_id,
        actor_role,
        row_count,
        request_id,
        detail,
        source,
        server_id
    )
    values (clock_timestamp(), session_user, $1, $2, $3, $4, $5, $6, $7, $8, $9, 'service', audit.server_id())
    returning audit_id;
$$;
alter function audit.record(text, text, text, bigint, bigint, text, bigint, text, jsonb) owner to lyceum_definer;
revoke all on function audit.record(text, text, text, bigint, bigint, text, bigint, text, jsonb) from public;
grant execute on function audit.record(text, text, text, bigint, bigint, text, bigint, text, jsonb)
to lyceum_owner, lyceum_authenticator;
