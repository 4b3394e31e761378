select
    organization_id,
    course_id,
    user_id,
    role,
    days
from {{ source('core', 'enrollment_days') }}
