-- What: completion, retention and the stickiness of a day are shares, from 0 to 1.
-- When it matters: a share above 1 counts people in its numerator that its denominator does not know.
-- How to resolve: recompute numerator and denominator of the row (docs/metrics.md); both are stored beside it.
select
    organization_id,
    subject_type,
    subject_id,
    period_type,
    period_start
from {{ ref('aggregated_analytics') }}
where
    completion_rate not between 0 and 1
    or retained_1 not between 0 and 1
    or retained_2 not between 0 and 1
    or retained_4 not between 0 and 1
    or retained_8 not between 0 and 1
    or (period_type = 'day' and stickiness not between 0 and 1)
