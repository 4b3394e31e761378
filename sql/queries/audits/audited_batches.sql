-- One row per batch of the running build, with the earliest and latest instant that its events may have. Audits read it as
-- the table build.audited_batches, whose statistics the planner has: through the views it would guess one batch, and walk
-- millions of rows one by one. (A temporary table would keep parallel workers out.)
select
    batches.organization_id,
    batches.batch_id,
    batches.source_id,
    batches.input_id,
    batches.first_ordinal,
    batches.last_ordinal,
    batches.collected_at,
    batches.collected_hour,
    -- Collection decides to the second; the two days spare the audit a second opinion about the border.
    batches.collected_at - interval '7 years 2 days' as earliest_at,
    batches.collected_at + interval '5 minutes' as latest_at,
    batches.has_event_keys,
    batches.records_read,
    batches.events_accepted,
    batches.duplicates,
    batches.quarantined
from ops.build_batches as scope
inner join ops.current_build as build
    on scope.build_id = build.build_id
inner join ops.batches as batches
    on
        scope.organization_id = batches.organization_id
        and scope.batch_id = batches.batch_id
