-- Per organization and closed day that is told anew: all learner rows of that day, touched or as published, against the
-- candidate organization row.
with

organizations as (

    select
        organization_id,
        greatest(dirty_from, first_event_on) as dirty_from,
        closed_through
    from build.int_build__organizations
    where
        first_event_on is not null
        and greatest(dirty_from, first_event_on) <= closed_through

),

learner_days as (

    select
        candidates.organization_id,
        candidates.activity_date,
        candidates.scope,
        candidates.active_rows,
        candidates.event_count,
        candidates.interaction_count,
        candidates.attempt_count,
        candidates.score_count,
        candidates.score_sum,
        candidates.completions,
        candidates.time_on_task_seconds
    from build.audited_learner_days as candidates
    inner join organizations
        on
            candidates.organization_id = organizations.organization_id
            and candidates.activity_date between organizations.dirty_from and organizations.closed_through

    union all

    select
        published.organization_id,
        published.period_start as activity_date,
        published.scope,
        published.is_active::integer as active_rows,
        published.event_count,
        published.interaction_count,
        published.attempt_count,
        published.score_count,
        published.score_sum,
        published.completions,
        published.time_on_task_seconds
    from stage_three.aggregated_analytics as published
    inner join organizations
        on
            published.organization_id = organizations.organization_id
            and published.period_start between organizations.dirty_from and organizations.closed_through
    where
        published.subject_type = 'learner'
        and published.period_type = 'day'
        and not exists (
            select 1
            from build.int_build__learners as learners
            where
                learners.organization_id = published.organization_id
                and learners.learner_id = published.subject_id
                and learners.touched_from <= published.period_start
        )

),

sums as (

    select
        organization_id,
        activity_date,
        sum(event_count) filter (where scope = 'course') as event_count,
        sum(interaction_count) filter (where scope = 'course') as interaction_count,
        sum(attempt_count) filter (where scope = 'course') as attempt_count,
        sum(score_count) filter (where scope = 'course') as score_count,
        sum(score_sum) filter (where scope = 'course') as score_sum,
        sum(completions) filter (where scope = 'course') as completions,
        sum(active_rows) filter (where scope = 'all_courses') as learners_active,
        sum(time_on_task_seconds) filter (where scope = 'all_courses') as time_on_task_seconds
    from learner_days
    group by
        organization_id,
        activity_date

)

select
    coalesce(sums.organization_id, told.organization_id) as organization_id,
    coalesce(sums.activity_date, told.activity_date) as activity_date,
    sums.event_count as learner_row_events,
    told.event_count as organization_row_events,
    sums.learners_active as learner_rows_active,
    told.learners_active as organization_row_active,
    sums.completions as learner_row_completions,
    told.completions as organization_row_completions,
    sums.time_on_task_seconds as learner_row_seconds,
    told.time_on_task_seconds as organization_row_seconds,
    (
        told.organization_id is null
        or coalesce(sums.event_count, 0) <> told.event_count
        or coalesce(sums.interaction_count, 0) <> told.interaction_count
        or coalesce(sums.attempt_count, 0) <> told.attempt_count
        or coalesce(sums.score_count, 0) <> told.score_count
        or coalesce(sums.score_sum, 0) <> told.score_sum
        or coalesce(sums.completions, 0) <> told.completions
        or coalesce(sums.learners_active, 0) <> told.learners_active
        or sums.time_on_task_seconds is distinct from told.time_on_task_seconds
    ) as is_mismatch
from sums
full join build.organization_analytics as told
    on
        sums.organization_id = told.organization_id
        and sums.activity_date = told.activity_date
