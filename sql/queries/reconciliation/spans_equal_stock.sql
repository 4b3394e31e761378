-- Per organization with newly told closed days: enrollments, completions and learners at risk of the last closed day,
-- counted from the spans of every learner and course, against the candidate organization row.
with

organizations as (

    select
        organization_id,
        closed_through
    from build.int_build__organizations
    where
        first_event_on is not null
        and greatest(dirty_from, first_event_on) <= closed_through

),

learner_courses as (

    select
        organization_id,
        learner_id,
        completed_on,
        enrolled_days,
        at_risk_days
    from build.learner_courses

    union all

    select
        published.organization_id,
        published.learner_id,
        published.completed_on,
        published.enrolled_days,
        published.at_risk_days
    from stage_three.learner_courses as published
    where
        not exists (
            select 1
            from build.int_build__learners as learners
            where
                learners.organization_id = published.organization_id
                and learners.learner_id = published.learner_id
        )

),

counts as (

    select
        organizations.organization_id,
        organizations.closed_through,
        count(*) filter (where learner_courses.enrolled_days @> organizations.closed_through) as enrollments_open,
        count(*) filter (
            where
            learner_courses.enrolled_days @> organizations.closed_through
            and learner_courses.completed_on <= organizations.closed_through
        ) as enrollments_completed,
        count(distinct learner_courses.learner_id) filter (
            where learner_courses.at_risk_days @> organizations.closed_through
        ) as learners_at_risk
    from organizations
    inner join learner_courses
        on organizations.organization_id = learner_courses.organization_id
    group by
        organizations.organization_id,
        organizations.closed_through

)

select
    counts.organization_id,
    counts.closed_through as activity_date,
    counts.enrollments_open as spans_open,
    told.enrollments_open as organization_row_open,
    counts.enrollments_completed as spans_completed,
    told.enrollments_completed as organization_row_completed,
    counts.learners_at_risk as spans_at_risk,
    told.learners_at_risk as organization_row_at_risk,
    (
        counts.enrollments_open is distinct from told.enrollments_open
        or counts.enrollments_completed is distinct from told.enrollments_completed
        or counts.learners_at_risk is distinct from told.learners_at_risk
    ) as is_mismatch
from counts
left join build.organization_analytics as told
    on
        counts.organization_id = told.organization_id
        and counts.closed_through = told.activity_date
