-- What: time on task of one local day is at most 25 hours, the longest day of a year.
-- When it matters: more means that minutes of another day, or another learner, have come in.
-- How to resolve: check the organization's time zone and the activity dates of the learner's events.
select
    organization_id,
    learner_id,
    course_id,
    activity_date
from {{ ref('learner_analytics') }}
where time_on_task_seconds > 25 * 3600
