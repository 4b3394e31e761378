-- What: learners active on a day are among those of its 7 days, and those among those of its 28 days.
-- When it matters: rolling actives are distinct people; a smaller window can never hold more of them.
-- How to resolve: rebuild the organization's days from the first wrong one; a window has read rows that were not published.
select
    organization_id,
    period_start
from {{ ref('aggregated_analytics') }}
where
    subject_type = 'organization'
    and period_type = 'day'
    and not (learners_active <= weekly_active_learners and weekly_active_learners <= monthly_active_learners)
