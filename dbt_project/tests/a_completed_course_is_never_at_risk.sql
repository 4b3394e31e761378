-- What: whoever has completed a course is not at risk in it.
-- When it matters: trainers are sent to learners at risk; those who are done must not be among them.
-- How to resolve: look at the learner's spans in learner_courses; at_risk_days must end with completed_on.
select
    organization_id,
    subject_id,
    course_id,
    period_type,
    period_start
from {{ ref('aggregated_analytics') }}
where subject_type = 'learner' and is_completed and is_at_risk
