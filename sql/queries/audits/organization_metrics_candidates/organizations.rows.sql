-- One row per organization that a refresh tells anew, with what must not be true of it.
select
    candidates.organization_id,
    candidates.window_ends_on,
    organizations.organization_id is null as is_outside_the_refresh,
    (
        candidates.window_ends_on <> organizations.window_ends_on
        or candidates.data_as_of <> organizations.data_as_of
    ) as is_of_another_day,
    least(
        candidates.daily_active_learners,
        candidates.daily_active_learners_before,
        candidates.weekly_active_learners,
        candidates.weekly_active_learners_before,
        candidates.monthly_active_learners,
        candidates.monthly_active_learners_before,
        candidates.daily_time_on_task_seconds,
        candidates.weekly_time_on_task_seconds,
        candidates.monthly_time_on_task_seconds,
        candidates.enrollments_open,
        candidates.enrollments_completed,
        candidates.learners_enrolled,
        candidates.learners_at_risk
    ) < 0 as has_negative_counts,
    (
        candidates.daily_active_learners > candidates.weekly_active_learners
        or candidates.weekly_active_learners > candidates.monthly_active_learners
        or coalesce(candidates.daily_time_on_task_seconds, 0) > coalesce(candidates.weekly_time_on_task_seconds, 0)
        or coalesce(candidates.weekly_time_on_task_seconds, 0) > coalesce(candidates.monthly_time_on_task_seconds, 0)
    ) as has_shrinking_windows,
    (
        candidates.daily_active_learners_change is distinct from round(
            (candidates.daily_active_learners - candidates.daily_active_learners_before)::numeric
            / nullif(candidates.daily_active_learners_before, 0),
            6
        )
        or candidates.daily_time_on_task_seconds_per_active_learner is distinct from round(
            candidates.daily_time_on_task_seconds::numeric / nullif(candidates.daily_active_learners, 0), 6
        )
        or candidates.weekly_active_learners_change is distinct from round(
            (candidates.weekly_active_learners - candidates.weekly_active_learners_before)::numeric
            / nullif(candidates.weekly_active_learners_before, 0),
            6
        )
        or candidates.weekly_time_on_task_seconds_per_active_learner is distinct from round(
            candidates.weekly_time_on_task_seconds::numeric / nullif(candidates.weekly_active_learners, 0), 6
        )
        or candidates.monthly_active_learners_change is distinct from round(
            (candidates.monthly_active_learners - candidates.monthly_active_learners_before)::numeric
            / nullif(candidates.monthly_active_learners_before, 0),
            6
        )
        or candidates.monthly_time_on_task_seconds_per_active_learner is distinct from round(
            candidates.monthly_time_on_task_seconds::numeric / nullif(candidates.monthly_active_learners, 0), 6
        )
        or candidates.completion_rate is distinct from round(
            candidates.enrollments_completed::numeric / nullif(candidates.enrollments_open, 0), 6
        )
        or candidates.at_risk_share is distinct from round(
            candidates.learners_at_risk::numeric / nullif(candidates.learners_enrolled, 0), 6
        )
    ) as has_a_wrong_quotient,
    (
        candidates.enrollments_completed > candidates.enrollments_open
        or candidates.learners_enrolled > candidates.enrollments_open
        or candidates.learners_at_risk > candidates.learners_enrolled
        or (candidates.learners_enrolled = 0) <> (candidates.enrollments_open = 0)
    ) as has_more_parts_than_enrollments,
    (
        cardinality(candidates.best_course_ids) <> cardinality(candidates.best_course_completion_rates)
        or cardinality(candidates.weakest_course_ids) <> cardinality(candidates.weakest_course_completion_rates)
        or cardinality(candidates.best_course_ids) <> cardinality(candidates.weakest_course_ids)
        or candidates.best_course_completion_rates
        <> array(select rate from unnest(candidates.best_course_completion_rates) as rate order by rate desc)
        or candidates.weakest_course_completion_rates
        <> array(select rate from unnest(candidates.weakest_course_completion_rates) as rate order by rate)
        or 0 > any(candidates.weakest_course_completion_rates)
        or 1 < any(candidates.best_course_completion_rates)
        or candidates.best_course_completion_rates[1] < any(candidates.weakest_course_completion_rates)
    ) as has_unordered_courses
from build.mv_organization_metrics as candidates
left join ops.view_scope as organizations
    on
        candidates.organization_id = organizations.organization_id
        and organizations.view_name = 'mv_organization_metrics'
