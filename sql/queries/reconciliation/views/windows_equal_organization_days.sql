-- Per organization and window: the sums over all learners and courses of the candidate, against the published rows of the
-- organization's closed days.
with

lengths (window_name, days) as (

    values
    ('weekly', 7),
    ('monthly', 28)

),

windows as (

    select
        candidates.organization_id,
        'weekly' as window_name,
        sum(candidates.weekly_event_count) as event_count,
        sum(candidates.weekly_interaction_count) as interaction_count,
        sum(candidates.weekly_attempt_count) as attempt_count,
        sum(candidates.weekly_score_sum) as score_sum,
        sum(candidates.weekly_score_count) as score_count,
        sum(candidates.weekly_completions) as completions
    from build.mv_learner_analytics_summary as candidates
    group by candidates.organization_id

    union all

    select
        candidates.organization_id,
        'monthly' as window_name,
        sum(candidates.monthly_event_count) as event_count,
        sum(candidates.monthly_interaction_count) as interaction_count,
        sum(candidates.monthly_attempt_count) as attempt_count,
        sum(candidates.monthly_score_sum) as score_sum,
        sum(candidates.monthly_score_count) as score_count,
        sum(candidates.monthly_completions) as completions
    from build.mv_learner_analytics_summary as candidates
    group by candidates.organization_id

),

expected as (

    select
        organizations.organization_id,
        lengths.window_name,
        sum(days.event_count) as event_count,
        sum(days.interaction_count) as interaction_count,
        sum(days.attempt_count) as attempt_count,
        sum(days.score_sum) as score_sum,
        sum(days.score_count) as score_count,
        sum(days.completions) as completions
    from ops.view_scope as organizations
    cross join lengths
    inner join stage_three.aggregated_analytics as days
        on
            organizations.organization_id = days.organization_id
            and days.subject_type = 'organization'
            and days.period_type = 'day'
            and days.period_start <= organizations.window_ends_on
            and days.period_start > organizations.window_ends_on - lengths.days
    where organizations.view_name = 'mv_learner_analytics_summary'
    group by
        organizations.organization_id,
        lengths.window_name

)

select
    coalesce(expected.organization_id, windows.organization_id) as organization_id,
    coalesce(expected.window_name, windows.window_name) as window_name,
    windows.event_count,
    expected.event_count as event_count_of_days,
    (
        coalesce(windows.event_count, 0) <> coalesce(expected.event_count, 0)
        or coalesce(windows.interaction_count, 0) <> coalesce(expected.interaction_count, 0)
        or coalesce(windows.attempt_count, 0) <> coalesce(expected.attempt_count, 0)
        or coalesce(windows.score_sum, 0) <> coalesce(expected.score_sum, 0)
        or coalesce(windows.score_count, 0) <> coalesce(expected.score_count, 0)
        or coalesce(windows.completions, 0) <> coalesce(expected.completions, 0)
    ) as is_mismatch
from expected
full outer join windows
    on
        expected.organization_id = windows.organization_id
        and expected.window_name = windows.window_name
