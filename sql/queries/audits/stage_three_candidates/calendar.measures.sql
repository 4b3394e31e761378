-- One row per organization with closed days to tell: how many of those days lie in no candidate week, month or year.
select
    dirty_days.organization_id,
    count(*) filter (where periods.period_types < 3) as days_without_their_periods
from build.int_organization__dirty_days as dirty_days
cross join lateral (
    select count(distinct candidates.period_type) as period_types
    from build.int_organization_periods as candidates
    where
        candidates.organization_id = dirty_days.organization_id
        and (candidates.period_type, candidates.period_start) in (
            ('week', dirty_days.activity_date - mod(dirty_days.activity_date - date '1900-01-01', 7)),
            ('month', date_trunc('month', dirty_days.activity_date::timestamp)::date),
            ('year', date_trunc('year', dirty_days.activity_date::timestamp)::date)
        )
) as periods
group by dirty_days.organization_id
