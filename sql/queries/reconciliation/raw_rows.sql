-- One row per batch of the running build and verb: what its raw rows add up to. The only scan of raw rows; the checks read
-- its result. Rows of sealed weeks are counted apart: their contribution is in the archive, with their keys.
with

build_batches as (

    select
        batches.organization_id,
        batches.batch_id,
        batches.collected_at
    from ops.build_batches as scope
    inner join ops.current_build as build
        on scope.build_id = build.build_id
    inner join ops.batches as batches
        on
            scope.organization_id = batches.organization_id
            and scope.batch_id = batches.batch_id

)

select
    events.organization_id,
    events.batch_id,
    events.verb_id,
    count(*) as row_count,
    count(*) filter (where sealed_weeks.week_start is null) as open_row_count,
    min(events.activity_date) as first_on,
    max(events.activity_date) as last_on,
    count(*) filter (where not events.is_void and not events.is_voided and sealed_weeks.week_start is null) as event_count,
    sum(events.quantity) filter (
        where not events.is_void and not events.is_voided and sealed_weeks.week_start is null
    ) as quantity,
    count(events.score_scaled) filter (
        where not events.is_void and not events.is_voided and sealed_weeks.week_start is null
    ) as score_count,
    sum(events.score_scaled) filter (
        where not events.is_void and not events.is_voided and sealed_weeks.week_start is null
    ) as score_sum,
    count(*) filter (where known_objects.object_id is null) as rows_of_unknown_objects,
    count(*) filter (where events.trainer_id is not null and trainers.user_id is null) as rows_of_unknown_trainers
from stage_one.raw_data_collection as events
inner join build_batches
    on
        events.organization_id = build_batches.organization_id
        and events.batch_id = build_batches.batch_id
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
where
    events.collected_at >= (select min(collected_at) from build_batches)
    and events.collected_at <= (select max(collected_at) from build_batches)
group by
    events.organization_id,
    events.batch_id,
    events.verb_id
