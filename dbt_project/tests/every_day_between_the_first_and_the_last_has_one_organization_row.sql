-- What: an organization has a row for every closed day since its first, events or not.
-- When it matters: people become at risk by time passing; a missing day breaks rolling windows and charts.
-- How to resolve: build again as of a later clock; if a day stays missing, its candidates did not pass from stage two.
select
    organization_id,
    count(*) as days,
    max(period_start) - min(period_start) + 1 as expected_days
from {{ ref('aggregated_analytics') }}
where subject_type = 'organization' and period_type = 'day'
group by organization_id
having count(*) <> max(period_start) - min(period_start) + 1
