-- What: a mean score lies between -1 and 1, and there is one exactly where there are scores.
-- When it matters: a mean beyond the scale means that raw points were taken for scaled scores.
-- How to resolve: look at result.score of the source's statements; only score.scaled may count.
select
    organization_id,
    subject_type,
    subject_id,
    course_id,
    period_type,
    period_start
from {{ ref('aggregated_analytics') }}
where
    score_mean not between -1 and 1
    or (score_mean is null) <> (coalesce(score_count, 0) = 0)
