-- One row per raw row of the running build's batches, with what must not be true of it. Millions of rows come at once:
-- every clause is cheap, and what follows from the states of a day (such as the right day) is audited there.
select
    events.organization_id,
    events.batch_id,
    events.ordinal,
    events.event_id,
    (
        events.collected_at <> batches.collected_at
        or events.source_id <> batches.source_id
        or (
            batches.input_id is not null
            and (events.ordinal < batches.first_ordinal or events.ordinal > batches.last_ordinal)
        )
    ) as is_outside_its_batch,
    -- Null for sources that know only days: the table's own check keeps minutes away from them.
    (
        events.active_minute is not null
        and timestamptz '1970-01-01 00:00:00+00' + events.active_minute * interval '1 minute'
        <> date_trunc('minute', events.occurred_at)
    ) as is_of_a_wrong_minute,
    events.occurred_at > batches.latest_at and events.occurred_at_precision = 'instant' as is_in_the_future,
    events.occurred_at < batches.earliest_at as is_older_than_retention,
    events.score_scaled not between -1 and 1 as is_scored_out_of_range,
    events.quantity < 0 as is_of_negative_quantity,
    events.is_void and events.is_voided as is_both_void_and_voided,
    (
        events.is_video
        and (
            events.video_length_seconds <= 0
            or events.video_length_seconds >= 1000000000
            or isempty(events.played_segments)
            or lower_inf(events.played_segments)
            or upper_inf(events.played_segments)
            or lower(events.played_segments) <= -1000000000
            or upper(events.played_segments) >= 1000000000
        )
    ) as has_an_impossible_video,
    (
        not events.is_video
        and (events.video_length_seconds is not null or events.played_segments is not null)
    ) as has_video_data_without_a_video,
    events.trainer_id = events.learner_id as is_taught_by_its_learner
from stage_one.raw_data_collection as events
inner join build.audited_batches as batches
    on
        events.organization_id = batches.organization_id
        and events.batch_id = batches.batch_id
