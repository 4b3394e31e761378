-- Per organization: the enrollments of the candidate, which come from the organization's row of the last closed day, and its
-- ranked courses, against the spans of every learner and course.
with

enrollments as (

    select
        spans.organization_id,
        spans.learner_id,
        spans.course_id,
        spans.enrolled_days @> organizations.window_ends_on as is_enrolled,
        coalesce(spans.completed_on <= organizations.window_ends_on, false) as is_completed,
        spans.at_risk_days @> organizations.window_ends_on as is_at_risk
    from stage_three.learner_courses as spans
    inner join ops.view_scope as organizations
        on
            spans.organization_id = organizations.organization_id
            and organizations.view_name = 'mv_organization_metrics'

),

counts as (

    select
        organization_id,
        count(*) filter (where is_enrolled) as enrollments_open,
        count(*) filter (where is_enrolled and is_completed) as enrollments_completed,
        count(distinct learner_id) filter (where is_enrolled) as learners_enrolled,
        count(distinct learner_id) filter (where is_at_risk) as learners_at_risk
    from enrollments
    group by organization_id

),

courses as (

    select
        organization_id,
        course_id,
        round(avg(is_completed::integer), 6) as completion_rate
    from enrollments
    where is_enrolled
    group by
        organization_id,
        course_id

),

listed as (

    select
        candidates.organization_id,
        lists.course_id,
        lists.completion_rate
    from build.mv_organization_metrics as candidates
    cross join lateral (
        select *
        from unnest(candidates.best_course_ids, candidates.best_course_completion_rates)
        union all
        select *
        from unnest(candidates.weakest_course_ids, candidates.weakest_course_completion_rates)
    ) as lists (course_id, completion_rate)

),

wrong_courses as (

    select
        listed.organization_id,
        count(*) as courses
    from listed
    left join courses
        on
            listed.organization_id = courses.organization_id
            and listed.course_id = courses.course_id
    where listed.completion_rate is distinct from courses.completion_rate
    group by listed.organization_id

)

select
    candidates.organization_id,
    candidates.enrollments_open,
    coalesce(counts.enrollments_open, 0) as enrollments_open_of_spans,
    candidates.learners_enrolled,
    coalesce(counts.learners_enrolled, 0) as learners_enrolled_of_spans,
    candidates.learners_at_risk,
    coalesce(counts.learners_at_risk, 0) as learners_at_risk_of_spans,
    coalesce(wrong_courses.courses, 0) as courses_with_another_rate,
    (
        candidates.enrollments_open <> coalesce(counts.enrollments_open, 0)
        or candidates.enrollments_completed <> coalesce(counts.enrollments_completed, 0)
        or candidates.learners_enrolled <> coalesce(counts.learners_enrolled, 0)
        or candidates.learners_at_risk <> coalesce(counts.learners_at_risk, 0)
        or coalesce(wrong_courses.courses, 0) > 0
    ) as is_mismatch
from build.mv_organization_metrics as candidates
left join counts
    on candidates.organization_id = counts.organization_id
left join wrong_courses
    on candidates.organization_id = wrong_courses.organization_id
