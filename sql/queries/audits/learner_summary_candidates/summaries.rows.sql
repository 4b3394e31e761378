-- One row per learner and course that a refresh tells anew, with what must not be true of it.
select
    candidates.organization_id,
    candidates.learner_id,
    candidates.course_id,
    organizations.organization_id is null as is_outside_the_refresh,
    least(
        candidates.weekly_event_count,
        candidates.weekly_interaction_count,
        candidates.weekly_resources_viewed,
        candidates.weekly_videos_started,
        candidates.weekly_videos_completed,
        candidates.weekly_video_seconds_watched,
        candidates.weekly_assessments_attempted,
        candidates.weekly_assessments_passed,
        candidates.weekly_attempt_count,
        candidates.weekly_score_count,
        candidates.weekly_contributions,
        candidates.weekly_completions,
        candidates.weekly_active_days,
        candidates.monthly_event_count,
        candidates.monthly_interaction_count,
        candidates.monthly_resources_viewed,
        candidates.monthly_videos_started,
        candidates.monthly_videos_completed,
        candidates.monthly_video_seconds_watched,
        candidates.monthly_assessments_attempted,
        candidates.monthly_assessments_passed,
        candidates.monthly_attempt_count,
        candidates.monthly_score_count,
        candidates.monthly_contributions,
        candidates.monthly_completions,
        candidates.monthly_active_days,
        candidates.lifetime_event_count,
        candidates.lifetime_interaction_count,
        candidates.lifetime_resources_viewed,
        candidates.lifetime_videos_started,
        candidates.lifetime_videos_completed,
        candidates.lifetime_video_seconds_watched,
        candidates.lifetime_assessments_attempted,
        candidates.lifetime_assessments_passed,
        candidates.lifetime_attempt_count,
        candidates.lifetime_score_count,
        candidates.lifetime_contributions,
        candidates.lifetime_completions,
        candidates.lifetime_active_days
    ) < 0 as has_negative_counts,
    (
        candidates.weekly_event_count > candidates.monthly_event_count
        or candidates.weekly_interaction_count > candidates.monthly_interaction_count
        or candidates.weekly_resources_viewed > candidates.monthly_resources_viewed
        or candidates.weekly_videos_started > candidates.monthly_videos_started
        or candidates.weekly_videos_completed > candidates.monthly_videos_completed
        or candidates.weekly_video_seconds_watched > candidates.monthly_video_seconds_watched
        or candidates.weekly_assessments_attempted > candidates.monthly_assessments_attempted
        or candidates.weekly_assessments_passed > candidates.monthly_assessments_passed
        or candidates.weekly_attempt_count > candidates.monthly_attempt_count
        or candidates.weekly_score_count > candidates.monthly_score_count
        or candidates.weekly_contributions > candidates.monthly_contributions
        or candidates.weekly_completions > candidates.monthly_completions
        or candidates.weekly_active_days > candidates.monthly_active_days
        or candidates.monthly_event_count > candidates.lifetime_event_count
        or candidates.monthly_interaction_count > candidates.lifetime_interaction_count
        or candidates.monthly_resources_viewed > candidates.lifetime_resources_viewed
        or candidates.monthly_videos_started > candidates.lifetime_videos_started
        or candidates.monthly_videos_completed > candidates.lifetime_videos_completed
        or candidates.monthly_video_seconds_watched > candidates.lifetime_video_seconds_watched
        or candidates.monthly_assessments_attempted > candidates.lifetime_assessments_attempted
        or candidates.monthly_assessments_passed > candidates.lifetime_assessments_passed
        or candidates.monthly_attempt_count > candidates.lifetime_attempt_count
        or candidates.monthly_score_count > candidates.lifetime_score_count
        or candidates.monthly_contributions > candidates.lifetime_contributions
        or candidates.monthly_completions > candidates.lifetime_completions
        or candidates.monthly_active_days > candidates.lifetime_active_days
        or coalesce(candidates.weekly_active_minutes, 0) > coalesce(candidates.monthly_active_minutes, 0)
        or coalesce(candidates.weekly_session_count, 0) > coalesce(candidates.monthly_session_count, 0)
        or coalesce(candidates.weekly_time_on_task_seconds, 0) > coalesce(candidates.monthly_time_on_task_seconds, 0)
        or coalesce(candidates.monthly_active_minutes, 0) > coalesce(candidates.lifetime_active_minutes, 0)
        or coalesce(candidates.monthly_session_count, 0) > coalesce(candidates.lifetime_session_count, 0)
        or coalesce(candidates.monthly_time_on_task_seconds, 0) > coalesce(candidates.lifetime_time_on_task_seconds, 0)
    ) as has_shrinking_windows,
    (
        greatest(
            candidates.weekly_resources_viewed,
            candidates.weekly_videos_started,
            candidates.weekly_videos_completed,
            candidates.weekly_assessments_attempted,
            candidates.weekly_assessments_passed,
            candidates.weekly_attempt_count,
            candidates.weekly_score_count,
            candidates.weekly_contributions,
            candidates.weekly_active_days
        ) > candidates.weekly_event_count
        or greatest(
            candidates.monthly_resources_viewed,
            candidates.monthly_videos_started,
            candidates.monthly_videos_completed,
            candidates.monthly_assessments_attempted,
            candidates.monthly_assessments_passed,
            candidates.monthly_attempt_count,
            candidates.monthly_score_count,
            candidates.monthly_contributions,
            candidates.monthly_active_days
        ) > candidates.monthly_event_count
        or greatest(
            candidates.lifetime_resources_viewed,
            candidates.lifetime_videos_started,
            candidates.lifetime_videos_completed,
            candidates.lifetime_assessments_attempted,
            candidates.lifetime_assessments_passed,
            candidates.lifetime_attempt_count,
            candidates.lifetime_score_count,
            candidates.lifetime_contributions,
            candidates.lifetime_active_days
        ) > candidates.lifetime_event_count
    ) as has_more_parts_than_events,
    (
        (candidates.weekly_active_minutes is null) <> (candidates.weekly_session_count is null)
        or (candidates.weekly_active_minutes is null) <> (candidates.weekly_time_on_task_seconds is null)
        or candidates.weekly_session_count > candidates.weekly_active_minutes
        or candidates.weekly_time_on_task_seconds < 60 * candidates.weekly_active_minutes
        or (candidates.monthly_active_minutes is null) <> (candidates.monthly_session_count is null)
        or (candidates.monthly_active_minutes is null) <> (candidates.monthly_time_on_task_seconds is null)
        or candidates.monthly_session_count > candidates.monthly_active_minutes
        or candidates.monthly_time_on_task_seconds < 60 * candidates.monthly_active_minutes
        or (candidates.lifetime_active_minutes is null) <> (candidates.lifetime_session_count is null)
        or (candidates.lifetime_active_minutes is null) <> (candidates.lifetime_time_on_task_seconds is null)
        or candidates.lifetime_session_count > candidates.lifetime_active_minutes
        or candidates.lifetime_time_on_task_seconds < 60 * candidates.lifetime_active_minutes
    ) as has_inconsistent_time,
    (
        abs(candidates.weekly_score_sum) > candidates.weekly_score_count
        or candidates.weekly_score_mean
        is distinct from round(candidates.weekly_score_sum / nullif(candidates.weekly_score_count, 0), 6)
        or abs(candidates.monthly_score_sum) > candidates.monthly_score_count
        or candidates.monthly_score_mean
        is distinct from round(candidates.monthly_score_sum / nullif(candidates.monthly_score_count, 0), 6)
        or abs(candidates.lifetime_score_sum) > candidates.lifetime_score_count
        or candidates.lifetime_score_mean
        is distinct from round(candidates.lifetime_score_sum / nullif(candidates.lifetime_score_count, 0), 6)
    ) as is_scored_wrongly,
    (
        candidates.first_event_at > candidates.last_event_at
        or (candidates.first_event_at is null) <> (candidates.lifetime_event_count = 0)
        or (candidates.last_event_at is null) <> (candidates.lifetime_event_count = 0)
        or (candidates.last_active_on is null) <> (candidates.lifetime_active_days = 0)
    ) as ends_before_it_begins,
    (
        candidates.current_streak_days < 0
        or candidates.current_streak_days > candidates.longest_streak_days
        or candidates.longest_streak_days > candidates.lifetime_active_days
        or (candidates.longest_streak_days = 0) <> (candidates.lifetime_active_days = 0)
        or (candidates.current_streak_days = 0) = (candidates.last_active_on = organizations.window_ends_on)
    ) as has_an_impossible_streak,
    (
        candidates.last_active_on > organizations.window_ends_on
        or candidates.enrolled_on > organizations.window_ends_on
    ) as ends_after_its_window,
    candidates.is_enrolled <> (candidates.enrolled_on is not null) as has_an_inconsistent_enrollment,
    (
        candidates.is_completed <> (candidates.completed_at is not null)
        or candidates.lifetime_completions > 1
        or (candidates.lifetime_completions = 1 and not candidates.is_completed)
    ) as has_an_inconsistent_completion,
    candidates.is_at_risk and (not candidates.is_enrolled or candidates.is_completed) as is_at_risk_while_not_enrolled,
    (
        (candidates.engagement_rank is null) <> (candidates.weekly_active_days = 0)
        or candidates.engagement_rank not between 0 and 1
        or (candidates.struggle_rank is null) <> (candidates.weekly_attempt_count = 0)
        or candidates.struggle_rank not between 0 and 1
        or (candidates.weekly_attempts_per_pass is null) <> (candidates.weekly_attempt_count = 0)
    ) as is_ranked_wrongly,
    (candidates.engagement_band = 'inactive') <> (candidates.engagement_rank is null) as is_in_a_wrong_band,
    candidates.is_struggling and candidates.weekly_attempt_count = 0 as is_struggling_without_attempts
from build.mv_learner_analytics_summary as candidates
left join ops.view_scope as organizations
    on
        candidates.organization_id = organizations.organization_id
        and organizations.view_name = 'mv_learner_analytics_summary'
