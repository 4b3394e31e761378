-- How long statements take, by the login that runs them. Texts stay where they are: they may quote values.
select
    measures.name,
    jsonb_build_object('login', roles.rolname) as labels,
    measures.value::double precision as value
from (
    select
        statements.userid,
        sum(statements.calls) as calls,
        sum(statements.total_exec_time) / 1000 as seconds,
        max(statements.mean_exec_time) / 1000 as slowest_mean_seconds,
        count(*) filter (where statements.mean_exec_time > 1000) as slow_statements
    from server_statistics.pg_stat_statements as statements
    inner join pg_database as databases on statements.dbid = databases.oid
    where databases.datname = current_database()
    group by statements.userid
) as summed
inner join pg_roles as roles on summed.userid = roles.oid
cross join lateral (
    values
    ('lyceum_statements_total', summed.calls::double precision),
    ('lyceum_statement_seconds_total', summed.seconds),
    ('lyceum_slowest_statement_mean_seconds', summed.slowest_mean_seconds),
    ('lyceum_slow_statements', summed.slow_statements)
) as measures (name, value)
