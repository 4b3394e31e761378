-- What was collected in the last 24 hours, and when last.
select
    'lyceum_records' as name,
    jsonb_build_object('organization', organizations.slug, 'outcome', counted.outcome) as labels,
    counted.records::double precision as value
from (
    select
        batches.organization_id,
        outcomes.outcome,
        sum(outcomes.records) as records
    from ops.batches as batches
    cross join lateral (
        values
        ('accepted', batches.events_accepted),
        ('duplicate', batches.duplicates),
        ('quarantined', batches.quarantined)
    ) as outcomes (outcome, records)
    where
        batches.collected_at > current_setting('lyceum.as_of')::timestamptz - interval '24 hours'
        and batches.collected_at <= current_setting('lyceum.as_of')::timestamptz
        and not batches.is_history
    group by batches.organization_id, outcomes.outcome
) as counted
inner join core.organizations as organizations on counted.organization_id = organizations.organization_id

union all

select
    'lyceum_quarantine_rows',
    jsonb_build_object('organization', organizations.slug, 'reason', refused.reason),
    count(*)::double precision
from stage_one.quarantine as refused
inner join core.organizations as organizations on refused.organization_id = organizations.organization_id
where
    refused.quarantined_at > current_setting('lyceum.as_of')::timestamptz - interval '24 hours'
    and refused.quarantined_at <= current_setting('lyceum.as_of')::timestamptz
    and refused.resolution is null
group by organizations.slug, refused.reason
