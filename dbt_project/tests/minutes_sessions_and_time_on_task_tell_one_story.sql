-- What: a day has active minutes, sessions and time on task together or none of them; no more sessions than minutes, and
-- time on task covers every active minute.
-- When it matters: time on task per session or per minute would be nonsense otherwise.
-- How to resolve: look at the active minutes of the day's states; sessions are cut where 30 minutes pass without one.
select
    organization_id,
    learner_id,
    course_id,
    activity_date
from {{ ref('learner_analytics') }}
where
    num_nulls(active_minutes, session_count, time_on_task_seconds) not in (0, 3)
    or session_count > active_minutes
    or session_count < 1
    or time_on_task_seconds < active_minutes * 60
