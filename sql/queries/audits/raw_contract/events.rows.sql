-- One row per raw row of the running build's batches, with what must not be true of it.
with

build_batches as (

    select
        batches.organization_id,
        batches.batch_id,
        batches.source_id,
        batches.input_id,
        batches.first_ordinal,
        batches.last_ordinal,
        batches.collected_at
    from ops.build_batches as scope
    inner join ops.current_build as build
        on scope.build_id = build.build_id
    inner join ops.batches as batches
        on
            scope.organization_id = batches.organization_id
            and scope.batch_id = batches.batch_id

),

-- The first time zone of an organization also covers all time before it.
time_zones as (

    select
        organization_id,
        time_zone,
        case
            when row_number() over organization_zones = 1 then '-infinity'::timestamptz
            else effective_from
        end as effective_from,
        coalesce(lead(effective_from) over organization_zones, 'infinity') as effective_to
    from core.organization_time_zones
    window organization_zones as (partition by organization_id order by effective_from)

)

select
    events.organization_id,
    events.batch_id,
    events.ordinal,
    events.event_id,
    (
        events.collected_at <> build_batches.collected_at
        or events.source_id <> build_batches.source_id
        or (
            build_batches.input_id is not null
            and (events.ordinal < build_batches.first_ordinal or events.ordinal > build_batches.last_ordinal)
        )
    ) as is_outside_its_batch,
    (events.occurred_at at time zone time_zones.time_zone)::date <> events.activity_date as is_on_a_wrong_day,
    -- Null for sources that know only days: the table's own check keeps minutes away from them.
    (
        timestamptz '1970-01-01 00:00:00+00' + events.active_minute * interval '1 minute'
        <> date_trunc('minute', events.occurred_at)
    ) as is_of_a_wrong_minute,
    (
        events.occurred_at_precision = 'instant'
        and events.occurred_at > events.collected_at + interval '5 minutes'
    ) as is_in_the_future,
    -- Collection decides to the second; the two days spare this clause a second opinion about the border.
    events.occurred_at < events.collected_at - interval '7 years 2 days' as is_older_than_retention,
    events.score_scaled not between -1 and 1 as is_scored_out_of_range,
    events.quantity < 0 as is_of_negative_quantity,
    events.is_void and events.is_voided as is_both_void_and_voided,
    (
        events.video_length_seconds <= 0
        or events.video_length_seconds >= 1000000000
        or isempty(events.played_segments)
        or lower_inf(events.played_segments)
        or upper_inf(events.played_segments)
        or lower(events.played_segments) <= -1000000000
        or upper(events.played_segments) >= 1000000000
    ) as has_an_impossible_video,
    (
        not events.is_video
        and (events.video_length_seconds is not null or events.played_segments is not null)
    ) as has_video_data_without_a_video,
    events.trainer_id = events.learner_id as is_taught_by_its_learner
from stage_one.raw_data_collection as events
inner join build_batches
    on
        events.organization_id = build_batches.organization_id
        and events.batch_id = build_batches.batch_id
inner join time_zones
    on
        events.organization_id = time_zones.organization_id
        and events.occurred_at >= time_zones.effective_from
        and events.occurred_at < time_zones.effective_to
where
    events.collected_at >= (select min(collected_at) from build_batches)
    and events.collected_at <= (select max(collected_at) from build_batches)
