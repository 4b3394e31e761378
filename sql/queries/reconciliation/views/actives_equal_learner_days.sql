-- Per organization and window: the active learners and the time of the candidate, which come from rows of the organization,
-- against the published rows of its learners.
with

windows (window_name, days) as (

    values
    ('daily', 1),
    ('weekly', 7),
    ('monthly', 28)

),

learner_days as (

    select
        days.organization_id,
        days.subject_id as learner_id,
        days.is_active,
        days.time_on_task_seconds,
        organizations.window_ends_on - days.period_start as age_days
    from stage_three.aggregated_analytics as days
    inner join ops.view_scope as organizations
        on
            days.organization_id = organizations.organization_id
            and organizations.view_name = 'mv_organization_metrics'
            and days.period_start <= organizations.window_ends_on
            and days.period_start > organizations.window_ends_on - 56
    where
        days.subject_type = 'learner'
        and days.period_type = 'day'
        and days.scope = 'all_courses'

),

expected as (

    select
        learner_days.organization_id,
        windows.window_name,
        count(distinct learner_days.learner_id) filter (
            where learner_days.is_active and learner_days.age_days < windows.days
        ) as active_learners,
        count(distinct learner_days.learner_id) filter (
            where learner_days.is_active and learner_days.age_days >= windows.days
        ) as active_learners_before,
        sum(learner_days.time_on_task_seconds) filter (
            where learner_days.age_days < windows.days
        ) as time_on_task_seconds
    from learner_days
    inner join windows
        on learner_days.age_days < 2 * windows.days
    group by
        learner_days.organization_id,
        windows.window_name

),

told as (

    select
        candidates.organization_id,
        windows.window_name,
        windows.active_learners,
        windows.active_learners_before,
        windows.time_on_task_seconds
    from build.mv_organization_metrics as candidates
    cross join lateral (
        values
        (
            'daily',
            candidates.daily_active_learners,
            candidates.daily_active_learners_before,
            candidates.daily_time_on_task_seconds
        ),
        (
            'weekly',
            candidates.weekly_active_learners,
            candidates.weekly_active_learners_before,
            candidates.weekly_time_on_task_seconds
        ),
        (
            'monthly',
            candidates.monthly_active_learners,
            candidates.monthly_active_learners_before,
            candidates.monthly_time_on_task_seconds
        )
    ) as windows (window_name, active_learners, active_learners_before, time_on_task_seconds)

)

select
    told.organization_id,
    told.window_name,
    told.active_learners,
    coalesce(expected.active_learners, 0) as active_learners_of_rows,
    told.active_learners_before,
    coalesce(expected.active_learners_before, 0) as active_learners_before_of_rows,
    told.time_on_task_seconds,
    expected.time_on_task_seconds as time_on_task_seconds_of_rows,
    (
        told.active_learners <> coalesce(expected.active_learners, 0)
        or told.active_learners_before <> coalesce(expected.active_learners_before, 0)
        or told.time_on_task_seconds is distinct from expected.time_on_task_seconds
    ) as is_mismatch
from told
left join expected
    on
        told.organization_id = expected.organization_id
        and told.window_name = expected.window_name
