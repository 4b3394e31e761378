-- What: the last day that an organization row tells is the day through which its watermark says it is closed.
-- When it matters: a day that is still going on has numbers that grow, and a watermark ahead of its rows hides a lost day.
-- How to resolve: compare ops.organization_watermarks with the last builds; the build that moved it has lost its day rows.
{{ config(tags=['published']) }}
with

told as (

    select
        organization_id,
        max(period_start) as told_through
    from {{ ref('aggregated_analytics') }}
    where subject_type = 'organization' and period_type = 'day'
    group by organization_id

)

select
    watermarks.organization_id,
    watermarks.closed_through,
    told.told_through
from {{ source('ops', 'organization_watermarks') }} as watermarks
left join told on watermarks.organization_id = told.organization_id
where watermarks.closed_through is distinct from told.told_through
