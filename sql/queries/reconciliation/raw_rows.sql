-- One row per batch of the running build, verb, and whether its rows count (neither void nor voided) and lie in an open week:
-- what the raw rows add up to. The only scan of raw rows; the checks read its result as build.audited_raw_rows. The
-- contribution of sealed weeks is in the archive, with their keys.
select
    events.organization_id,
    events.batch_id,
    events.verb_id,
    not events.is_void and not events.is_voided as is_counted,
    sealed_weeks.week_start is null as is_open,
    count(*) as row_count,
    min(events.activity_date) as first_on,
    max(events.activity_date) as last_on,
    sum(events.quantity) as quantity,
    count(events.score_scaled) as score_count,
    sum(events.score_scaled) as score_sum,
    count(*) - count(known_objects.object_id) as rows_of_unknown_objects,
    count(events.trainer_id) - count(trainers.user_id) as rows_of_unknown_trainers
from stage_one.raw_data_collection as events
inner join build.audited_batches as batches
    on
        events.organization_id = batches.organization_id
        and events.batch_id = batches.batch_id
left join build.int_build__sealed_weeks as sealed_weeks
    on
        events.organization_id = sealed_weeks.organization_id
        and events.activity_date - mod(events.activity_date - date '1900-01-01', 7) = sealed_weeks.week_start
left join core.objects as known_objects
    on
        events.organization_id = known_objects.organization_id
        and events.object_id = known_objects.object_id
left join core.users as trainers
    on
        events.organization_id = trainers.organization_id
        and events.trainer_id = trainers.user_id
group by
    events.organization_id,
    events.batch_id,
    events.verb_id,
    not events.is_void and not events.is_voided,
    sealed_weeks.week_start is null
