-- Each materialized view that was ever refreshed: its last refresh, when it was last looked at with success, and who waits for it.
drop function if exists monitoring.view_freshness();
create function monitoring.view_freshness()
returns table (
    view_name text,
    state text,
    as_of timestamptz,
    looked_at timestamptz,
    organizations bigint,
    outdated bigint
)
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
    select
        views.view_name,
        last.state,
        last.as_of,
        (
            select max(good.as_of)
            from ops.view_refreshes as good
            where good.view_name = views.view_name and good.state in ('published', 'unchanged')
        ),
        waiting.organizations,
        waiting.outdated
    from (
        select distinct refreshes.view_name
        from ops.view_refreshes as refreshes
    ) as views
    cross join lateral (
        select
            refreshes.state,
            refreshes.as_of
        from ops.view_refreshes as refreshes
        where refreshes.view_name = views.view_name
        order by refreshes.refresh_id desc
        limit 1
    ) as last
    cross join lateral (
        select
            count(*) as organizations,
            count(*) filter (where shown.data_version is distinct from watermarks.data_version) as outdated
        from ops.organization_watermarks as watermarks
        left join lateral (
            select versions.data_version
            from ops.view_versions as versions
            where versions.organization_id = watermarks.organization_id and versions.view_name = views.view_name
            order by versions.version desc
            limit 1
        ) as shown on true
        where watermarks.closed_through is not null
    ) as waiting
    order by views.view_name;
$$;
alter function monitoring.view_freshness() owner to lyceum_definer;
revoke all on function monitoring.view_freshness() from public;
grant execute on function monitoring.view_freshness() to lyceum_monitor, lyceum_owner;
