-- What: a learner has a day row only where there were events that count.
-- When it matters: an empty row makes an idle learner look present, and keeps a day that voids have emptied.
-- How to resolve: look for voided events of that day; build again, the day is told anew from its states.
select
    organization_id,
    learner_id,
    course_id,
    activity_date
from {{ ref('learner_analytics') }}
where event_count < 1
