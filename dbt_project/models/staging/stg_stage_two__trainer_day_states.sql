select
    organization_id,
    trainer_id,
    course_id,
    collected_hour,
    activity_date,
    attempts_reviewed
from {{ source('stage_two', 'trainer_day_states') }}
