select
    organization_id,
    course_id,
    is_unassigned
from {{ source('core', 'courses') }}
