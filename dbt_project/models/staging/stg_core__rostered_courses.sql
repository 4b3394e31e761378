-- The courses that a roster has named, with the days for which a roster speaks about them.
select
    organization_id,
    course_id,
    range_agg(rostered_days) as rostered_days
from {{ source('core', 'roster_classes') }}
group by
    organization_id,
    course_id
