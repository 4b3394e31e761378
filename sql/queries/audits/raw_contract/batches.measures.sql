-- One row per organization: what its batches of the running build are made of.
with

build_batches as (

    select
        batches.organization_id,
        batches.batch_id,
        batches.records_read,
        batches.duplicates,
        batches.quarantined
    from ops.build_batches as scope
    inner join ops.current_build as build
        on scope.build_id = build.build_id
    inner join ops.batches as batches
        on
            scope.organization_id = batches.organization_id
            and scope.batch_id = batches.batch_id

),

conflicts as (

    select
        quarantine.organization_id,
        count(*) as conflicts
    from stage_one.quarantine as quarantine
    inner join build_batches
        on
            quarantine.organization_id = build_batches.organization_id
            and quarantine.batch_id = build_batches.batch_id
    where quarantine.reason = 'conflict'
    group by quarantine.organization_id

)

select
    build_batches.organization_id,
    round(sum(build_batches.quarantined)::numeric / nullif(sum(build_batches.records_read), 0), 6) as share_of_quarantined_records,
    round(sum(build_batches.duplicates)::numeric / nullif(sum(build_batches.records_read), 0), 6) as share_of_duplicate_records,
    round(coalesce(max(conflicts.conflicts), 0)::numeric / nullif(sum(build_batches.records_read), 0), 6) as share_of_conflicts
from build_batches
left join conflicts
    on build_batches.organization_id = conflicts.organization_id
group by build_batches.organization_id
