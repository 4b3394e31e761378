-- The events of the build's batches that count: voids and voided events are left out.
select
    events.organization_id,
    events.learner_id,
    events.trainer_id,
    events.course_id,
    batches.collected_hour,
    events.activity_date,
    events.occurred_at,
    events.active_minute,
    events.object_id,
    events.verb_id,
    events.quantity,
    events.is_course_object,
    events.is_video,
    coalesce(events.is_success, false) as is_success,
    events.score_scaled,
    events.video_length_seconds,
    events.played_segments
from {{ source('stage_one', 'raw_data_collection') }} as events
inner join {{ source('ops', 'build_batches') }} as batches
    on
        events.organization_id = batches.organization_id
        and events.batch_id = batches.batch_id
inner join {{ source('ops', 'current_build') }} as build
    on batches.build_id = build.build_id
where
    not events.is_void
    and not events.is_voided
