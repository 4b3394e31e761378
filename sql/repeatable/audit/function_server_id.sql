-- The server's own identifier: transaction ids of two servers cannot be compared. Made by the migration, kept here.
create or replace function audit.server_id()
returns bigint
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select system_identifier from pg_control_system();
$$;
alter function audit.server_id() owner to lyceum_definer;
revoke all on function audit.server_id() from public;
grant execute on function audit.server_id() to lyceum_owner;
