-- The last works of each kind, the newest first: what was done, to what, with what outcome and, where it was measured, for how long.
drop function if exists monitoring.recent_work(integer);
create function monitoring.recent_work(most integer)
returns table (
    kind text,
    subject text,
    as_of timestamptz,
    outcome text,
    seconds double precision,
    detail text
)
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
    (
        select
            'build' as kind,
            'build ' || builds.build_id as subject,
            builds.as_of,
            builds.state as outcome,
            (select sum(steps.seconds) from ops.build_steps as steps where steps.build_id = builds.build_id)::double precision as seconds,
            case
                when builds.state = 'published' and builds.step = 'begin' then 'nothing was pending'
                when builds.state = 'published' then ''
                else 'step ' || builds.step
            end as detail
        from ops.builds as builds
        order by builds.build_id desc
        limit recent_work.most
    )

    union all

    (
        select
            'refresh',
            refreshes.view_name,
            refreshes.as_of,
            refreshes.state,
            null,
            case
                when refreshes.state = 'published'
                    then to_char(refreshes.rows_added, 'FM999,999,999,990') || ' rows added, ' || to_char(refreshes.rows_removed, 'FM999,999,999,990') || ' removed'
                else ''
            end
        from ops.view_refreshes as refreshes
        order by refreshes.refresh_id desc
        limit recent_work.most
    )

    union all

    (
        select
            'collect',
            organizations.slug,
            batches.collected_at,
            'collected',
            null,
            to_char(sum(batches.records_read), 'FM999,999,999,990') || ' records read, '
            || to_char(sum(batches.events_accepted), 'FM999,999,999,990') || ' accepted, '
            || to_char(sum(batches.quarantined), 'FM999,999,999,990') || ' refused'
        from (
            select
                newest.organization_id,
                newest.collected_at,
                newest.records_read,
                newest.events_accepted,
                newest.quarantined
            from ops.batches as newest
            order by newest.collected_at desc
            limit 100 * recent_work.most
        ) as batches
        inner join core.organizations as organizations on batches.organization_id = organizations.organization_id
        group by organizations.slug, batches.collected_at
        order by batches.collected_at desc, organizations.slug
        limit recent_work.most
    )

    union all

    (
        select
            'clean-up',
            drops.parent_table,
            drops.as_of,
            case when bool_and(drops.is_finished) then 'dropped' else 'unfinished' end,
            null,
            count(*) || case count(*) when 1 then ' partition' else ' partitions' end
        from ops.partition_drops as drops
        group by drops.parent_table, drops.as_of
        order by drops.as_of desc, drops.parent_table
        limit recent_work.most
    )

    union all

    (
        select
            runs.kind,
            coalesce(runs.backup, ''),
            runs.begun_at,
            case when runs.is_success then 'succeeded' when not runs.is_success then 'failed' else 'unfinished' end,
            extract(epoch from runs.ended_at - runs.begun_at)::double precision,
            ''
        from ops.backup_runs as runs
        order by runs.begun_at desc
        limit recent_work.most
    )

    order by as_of desc, kind, subject;
$$;
alter function monitoring.recent_work(integer) owner to lyceum_definer;
revoke all on function monitoring.recent_work(integer) from public;
grant execute on function monitoring.recent_work(integer) to lyceum_monitor, lyceum_owner;
