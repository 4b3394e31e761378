-- The last erasures, the newest first: counts and the number of the certificate. Who was erased is not known here.
drop function if exists monitoring.erasures(integer);
create function monitoring.erasures(most integer)
returns table (
    organization text,
    erasure_id bigint,
    begun_as_of timestamptz,
    finished_as_of timestamptz,
    ids_erased integer,
    rows_changed bigint,
    archives_rewritten integer,
    certificate_id bigint
)
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
    select
        organizations.slug,
        erasures.erasure_id,
        erasures.begun_as_of,
        erasures.finished_as_of,
        erasures.ids_erased,
        (select coalesce(sum(counts.number::bigint), 0) from jsonb_each_text(erasures.row_counts) as counts (name, number))::bigint,
        erasures.archives_rewritten,
        erasures.certificate_id
    from ops.erasures as erasures
    inner join core.organizations as organizations on erasures.organization_id = organizations.organization_id
    -- What goes on comes first.
    order by erasures.finished_as_of is not null, erasures.erasure_id desc
    limit most;
$$;
alter function monitoring.erasures(integer) owner to lyceum_definer;
revoke all on function monitoring.erasures(integer) from public;
grant execute on function monitoring.erasures(integer) to lyceum_monitor, lyceum_owner;
