select
    organization_id,
    learner_id,
    course_id,
    collected_hour,
    object_id,
    activity_date,
    is_played,
    is_completed,
    length_seconds,
    watched_segments
from {{ source('stage_two', 'learner_video_day_states') }}
