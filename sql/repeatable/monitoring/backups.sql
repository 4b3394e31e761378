-- The last backups, prunings and drills of each kind, the newest first.
drop function if exists monitoring.backups(integer);
create function monitoring.backups(most integer)
returns table (
    kind text,
    backup text,
    begun_at timestamptz,
    ended_at timestamptz,
    is_success boolean,
    byte_length bigint
)
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
    select
        ranked.kind,
        ranked.backup,
        ranked.begun_at,
        ranked.ended_at,
        ranked.is_success,
        ranked.byte_length
    from (
        select
            runs.kind,
            runs.backup,
            runs.begun_at,
            runs.ended_at,
            runs.is_success,
            runs.byte_length,
            row_number() over (partition by runs.kind order by runs.begun_at desc) as place
        from ops.backup_runs as runs
    ) as ranked
    where ranked.place <= backups.most
    order by ranked.begun_at desc, ranked.kind;
$$;
alter function monitoring.backups(integer) owner to lyceum_definer;
revoke all on function monitoring.backups(integer) from public;
grant execute on function monitoring.backups(integer) to lyceum_monitor, lyceum_owner;
