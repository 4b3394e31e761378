-- Per organization: enrollments, completions and learners at risk of the candidate, against the published row of the last
-- closed day.
with

counts as (

    select
        organization_id,
        count(*) filter (where is_enrolled) as enrollments_open,
        count(*) filter (where is_enrolled and is_completed) as enrollments_completed,
        count(distinct learner_id) filter (where is_at_risk) as learners_at_risk
    from build.mv_learner_analytics_summary
    group by organization_id

)

select
    organizations.organization_id,
    organizations.window_ends_on,
    coalesce(counts.enrollments_open, 0) as enrollments_open,
    days.enrollments_open as enrollments_open_of_day,
    coalesce(counts.learners_at_risk, 0) as learners_at_risk,
    days.learners_at_risk as learners_at_risk_of_day,
    (
        coalesce(counts.enrollments_open, 0) <> days.enrollments_open
        or coalesce(counts.enrollments_completed, 0) <> days.enrollments_completed
        or coalesce(counts.learners_at_risk, 0) <> days.learners_at_risk
    ) as is_mismatch
from ops.view_scope as organizations
inner join stage_three.aggregated_analytics as days
    on
        organizations.organization_id = days.organization_id
        and days.subject_type = 'organization'
        and days.period_type = 'day'
        and days.period_start = organizations.window_ends_on
left join counts
    on organizations.organization_id = counts.organization_id
where organizations.view_name = 'mv_learner_analytics_summary'
