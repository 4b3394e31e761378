-- What: weeks begin on Mondays, months on the first, years on 1 January.
-- When it matters: rows of one period under two names would both be summed.
-- How to resolve: the row was written by something other than a build; remove it and build the period anew.
select
    organization_id,
    subject_type,
    subject_id,
    course_id,
    period_type,
    period_start
from {{ ref('aggregated_analytics') }}
where
    case period_type
        when 'week' then extract(isodow from period_start) <> 1
        when 'month' then extract(day from period_start) <> 1
        when 'year' then extract(doy from period_start) <> 1
        else false
    end
