-- The newest measurement of each series of these metrics.
drop function if exists monitoring.newest_samples(text[]);
create function monitoring.newest_samples(names text[])
returns table (
    name text,
    labels jsonb,
    measured_at timestamptz,
    measured double precision
)
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
    select
        series.name,
        series.labels,
        newest.measured_at,
        newest.value
    from ops.metric_series as series
    cross join lateral (
        select
            metrics.measured_at,
            metrics.value
        from ops.metrics as metrics
        where metrics.series_id = series.series_id
        order by metrics.measured_at desc
        limit 1
    ) as newest
    where series.name = any(newest_samples.names)
    order by series.name, series.series_id;
$$;
alter function monitoring.newest_samples(text[]) owner to lyceum_definer;
revoke all on function monitoring.newest_samples(text[]) from public;
grant execute on function monitoring.newest_samples(text[]) to lyceum_monitor, lyceum_owner;
