-- What: all trainers of one course carry the same figures of its learners on one day.
-- When it matters: a course has one truth; trainers compare their pages, and a report takes any one of them.
-- How to resolve: one trainer's rows were not told anew with the course; build again from the first wrong day.
select
    organization_id,
    course_id,
    activity_date
from {{ ref('trainer_analytics') }}
group by organization_id, course_id, activity_date
having
    count(distinct (
        learners_assigned,
        learners_active,
        learners_at_risk,
        completions,
        score_sum,
        score_count,
        time_on_task_seconds
    )) > 1
