-- Per trainer and course taught on the last closed day that is told anew: its learners, met one by one, against the
-- candidate trainer row.
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

teaching as (

    select
        enrollment_days.organization_id,
        enrollment_days.user_id as trainer_id,
        enrollment_days.course_id,
        organizations.closed_through as activity_date
    from build.int_build__enrollment_days as enrollment_days
    inner join organizations
        on
            enrollment_days.organization_id = organizations.organization_id
            and enrollment_days.days @> organizations.closed_through
    where enrollment_days.role = 'trainer'

),

learner_courses as (

    select
        organization_id,
        learner_id,
        course_id,
        enrolled_days,
        at_risk_days
    from build.learner_courses

    union all

    select
        published.organization_id,
        published.learner_id,
        published.course_id,
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

learner_days as (

    select
        candidates.organization_id,
        candidates.learner_id,
        candidates.course_id,
        candidates.activity_date,
        candidates.is_active,
        candidates.completions,
        candidates.score_count,
        candidates.time_on_task_seconds
    from build.learner_analytics as candidates
    inner join organizations
        on
            candidates.organization_id = organizations.organization_id
            and candidates.activity_date = organizations.closed_through
    where candidates.scope = 'course'

    union all

    select
        published.organization_id,
        published.subject_id as learner_id,
        published.course_id,
        published.period_start as activity_date,
        published.is_active,
        published.completions,
        published.score_count,
        published.time_on_task_seconds
    from stage_three.aggregated_analytics as published
    inner join organizations
        on
            published.organization_id = organizations.organization_id
            and published.period_start = organizations.closed_through
    where
        published.subject_type = 'learner'
        and published.period_type = 'day'
        and published.scope = 'course'
        and not exists (
            select 1
            from build.int_build__learners as learners
            where
                learners.organization_id = published.organization_id
                and learners.learner_id = published.subject_id
                and learners.touched_from <= published.period_start
        )

),

counts as (

    select
        teaching.organization_id,
        teaching.trainer_id,
        teaching.course_id,
        teaching.activity_date,
        count(learner_courses.learner_id) as learners_assigned,
        count(*) filter (where learner_courses.at_risk_days @> teaching.activity_date) as learners_at_risk,
        count(*) filter (where learner_days.is_active) as learners_active,
        coalesce(sum(learner_days.completions), 0) as completions,
        coalesce(sum(learner_days.score_count), 0) as score_count,
        sum(learner_days.time_on_task_seconds) as time_on_task_seconds
    from teaching
    left join learner_courses
        on
            teaching.organization_id = learner_courses.organization_id
            and teaching.course_id = learner_courses.course_id
            and learner_courses.enrolled_days @> teaching.activity_date
    left join learner_days
        on
            learner_courses.organization_id = learner_days.organization_id
            and learner_courses.learner_id = learner_days.learner_id
            and learner_courses.course_id = learner_days.course_id
    group by
        teaching.organization_id,
        teaching.trainer_id,
        teaching.course_id,
        teaching.activity_date

)

select
    counts.organization_id,
    counts.trainer_id,
    counts.course_id,
    counts.activity_date,
    counts.learners_assigned as learners_met,
    told.learners_assigned as trainer_row_assigned,
    counts.learners_active as learners_met_active,
    told.learners_active as trainer_row_active,
    counts.learners_at_risk as learners_met_at_risk,
    told.learners_at_risk as trainer_row_at_risk,
    (
        told.organization_id is null
        or counts.learners_assigned <> told.learners_assigned
        or counts.learners_active <> told.learners_active
        or counts.learners_at_risk <> told.learners_at_risk
        or counts.completions <> told.completions
        or counts.score_count <> told.score_count
        or counts.time_on_task_seconds is distinct from told.time_on_task_seconds
    ) as is_mismatch
from counts
left join build.trainer_analytics as told
    on
        counts.organization_id = told.organization_id
        and counts.trainer_id = told.trainer_id
        and counts.course_id = told.course_id
        and counts.activity_date = told.activity_date
