-- Builds of the last 24 hours by outcome, and what the last one that ended found and took.
select
    'lyceum_builds' as name,
    jsonb_build_object('state', states.state) as labels,
    count(builds.build_id)::double precision as value
from unnest(array['published', 'failed', 'abandoned', 'running']) as states (state)
left join ops.builds as builds
    on
        states.state = builds.state
        and builds.as_of > current_setting('lyceum.as_of')::timestamptz - interval '24 hours'
        and builds.as_of <= current_setting('lyceum.as_of')::timestamptz
group by states.state

union all

select
    'lyceum_build_seconds',
    jsonb_build_object('step', steps.step),
    steps.seconds::double precision
from ops.build_steps as steps
where steps.build_id = (select max(builds.build_id) from ops.builds as builds where builds.state <> 'running')

union all

select
    'lyceum_expectations_failed',
    jsonb_build_object('suite', results.suite, 'severity', results.severity),
    count(*) filter (where not results.is_success)::double precision
from ops.expectation_results as results
where results.build_id = (select max(builds.build_id) from ops.builds as builds where builds.state <> 'running')
group by results.suite, results.severity

union all

select
    'lyceum_reconciliation_mismatches',
    jsonb_build_object('check', results.check_name),
    sum(results.mismatches)::double precision
from ops.reconciliation_results as results
where results.build_id = (select max(builds.build_id) from ops.builds as builds where builds.state <> 'running')
group by results.check_name
