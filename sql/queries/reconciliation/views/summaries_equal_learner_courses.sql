-- Per learner and course: a row in the candidate exactly where there is a day row up to the last closed day, or a day of
-- enrollment.
with

organizations as (

    select
        organization_id,
        window_ends_on
    from ops.view_scope
    where view_name = 'mv_learner_analytics_summary'

),

expected as (

    select
        days.organization_id,
        days.subject_id as learner_id,
        days.course_id
    from stage_three.aggregated_analytics as days
    inner join organizations
        on
            days.organization_id = organizations.organization_id
            and days.period_start <= organizations.window_ends_on
    where
        days.subject_type = 'learner'
        and days.period_type = 'day'
        and days.scope = 'course'

    union

    select
        spans.organization_id,
        spans.learner_id,
        spans.course_id
    from stage_three.learner_courses as spans
    inner join organizations
        on
            spans.organization_id = organizations.organization_id
            and spans.enrolled_days && daterange(null, organizations.window_ends_on, '(]')

)

select
    coalesce(expected.organization_id, candidates.organization_id) as organization_id,
    coalesce(expected.learner_id, candidates.learner_id) as learner_id,
    coalesce(expected.course_id, candidates.course_id) as course_id,
    expected.organization_id is not null as is_expected,
    candidates.organization_id is not null as is_told,
    (expected.organization_id is null or candidates.organization_id is null) as is_mismatch
from expected
full outer join build.mv_learner_analytics_summary as candidates
    on
        expected.organization_id = candidates.organization_id
        and expected.learner_id = candidates.learner_id
        and expected.course_id = candidates.course_id
