-- Per organization of the refresh: a row in the candidate exactly where there is a published row of its last closed day.
with

expected as (

    select organizations.organization_id
    from ops.view_scope as organizations
    inner join stage_three.aggregated_analytics as days
        on
            organizations.organization_id = days.organization_id
            and days.subject_type = 'organization'
            and days.period_type = 'day'
            and days.period_start = organizations.window_ends_on
    where organizations.view_name = 'mv_organization_metrics'

)

select
    coalesce(expected.organization_id, candidates.organization_id) as organization_id,
    expected.organization_id is not null as is_expected,
    candidates.organization_id is not null as is_told,
    (expected.organization_id is null or candidates.organization_id is null) as is_mismatch
from expected
full outer join build.mv_organization_metrics as candidates
    on expected.organization_id = candidates.organization_id
