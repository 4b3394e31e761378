select
    organization_id,
    learner_id,
    course_id,
    first_event_on,
    last_event_on,
    first_active_on,
    last_active_on,
    completed_on,
    completed_at,
    enrolled_days,
    at_risk_days,
    ending_days,
    registration_days
from {{ source('stage_three', 'learner_courses') }}
