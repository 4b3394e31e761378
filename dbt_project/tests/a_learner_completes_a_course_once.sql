-- What: a learner's completions of one course add up to at most one, however many passing statements came.
-- When it matters: completions are summed over days to periods and organizations.
-- How to resolve: the first completion event has changed and a later day still counts it; build again from the earlier day.
select
    organization_id,
    subject_id,
    course_id
from {{ ref('aggregated_analytics') }}
where subject_type = 'learner' and scope = 'course' and period_type = 'day'
group by organization_id, subject_id, course_id
having sum(completions) > 1
