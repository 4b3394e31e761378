-- One row per organization: what its batches of the running build are made of.
with

conflicts as (

    select
        quarantine.organization_id,
        count(*) as conflicts
    from stage_one.quarantine as quarantine
    inner join build.audited_batches as batches
        on
            quarantine.organization_id = batches.organization_id
            and quarantine.batch_id = batches.batch_id
    where quarantine.reason = 'conflict'
    group by quarantine.organization_id

)

select
    batches.organization_id,
    round(sum(batches.quarantined)::numeric / nullif(sum(batches.records_read), 0), 6) as share_of_quarantined_records,
    round(sum(batches.duplicates)::numeric / nullif(sum(batches.records_read), 0), 6) as share_of_duplicate_records,
    round(coalesce(max(conflicts.conflicts), 0)::numeric / nullif(sum(batches.records_read), 0), 6) as share_of_conflicts
from build.audited_batches as batches
left join conflicts
    on batches.organization_id = conflicts.organization_id
group by batches.organization_id
