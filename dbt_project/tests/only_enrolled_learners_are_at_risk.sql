-- What: every day at risk is an enrolled day.
-- When it matters: who has left a course needs no help with it, and would swell the share at risk.
-- How to resolve: compare both spans of the learner and course; the enrollment changed and the risk was not told anew.
select
    organization_id,
    learner_id,
    course_id
from {{ ref('learner_courses') }}
where not enrolled_days @> at_risk_days
