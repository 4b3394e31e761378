-- What: first and last days of a learner in a course are in order, and active days lie among event days.
-- When it matters: spans of enrollment and risk are computed from these four days.
-- How to resolve: rebuild the learner; a merge has taken the least for the greatest or lost one of them.
select
    organization_id,
    learner_id,
    course_id
from {{ ref('learner_courses') }}
where
    first_event_on > last_event_on
    or first_active_on > last_active_on
    or first_active_on < first_event_on
    or last_active_on > last_event_on
