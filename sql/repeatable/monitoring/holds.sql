-- Partitions that have expired and stay for now, as the last clean-up saw them.
drop function if exists monitoring.holds();
create function monitoring.holds()
returns table (
    parent_table text,
    partition_name text,
    held_by text,
    reason text,
    expired_at timestamptz,
    grace_ends_at timestamptz,
    needs_attention boolean
)
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
    select
        holds.parent_table,
        holds.partition_name,
        holds.held_by,
        holds.reason,
        holds.expired_at,
        holds.grace_ends_at,
        holds.needs_attention
    from ops.partition_holds as holds
    order by holds.expired_at, holds.parent_table, holds.partition_name, holds.held_by;
$$;
alter function monitoring.holds() owner to lyceum_definer;
revoke all on function monitoring.holds() from public;
grant execute on function monitoring.holds() to lyceum_monitor, lyceum_owner;
