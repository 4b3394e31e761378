-- Made by `lyceum security generate` from plugins/lyceum/security/rights.py: change that, then make this anew.
set local lock_timeout = '10s';
drop view if exists api.learner_analytics_summary;
create view api.learner_analytics_summary with (security_barrier = true) as
select
    shown.organization_id,
    shown.learner_id,
    shown.course_id,
    shown.weekly_active_days,
    shown.weekly_event_count,
    shown.weekly_interaction_count,
    shown.weekly_active_minutes,
    shown.weekly_session_count,
    shown.weekly_time_on_task_seconds,
    shown.weekly_resources_viewed,
    shown.weekly_videos_started,
    shown.weekly_videos_completed,
    shown.weekly_video_seconds_watched,
    shown.weekly_assessments_attempted,
    shown.weekly_assessments_passed,
    shown.weekly_attempt_count,
    shown.weekly_score_sum,
    shown.weekly_score_count,
    shown.weekly_score_mean,
    shown.weekly_contributions,
    shown.weekly_completions,
    shown.monthly_active_days,
    shown.monthly_event_count,
    shown.monthly_interaction_count,
    shown.monthly_active_minutes,
    shown.monthly_session_count,
    shown.monthly_time_on_task_seconds,
    shown.monthly_resources_viewed,
    shown.monthly_videos_started,
    shown.monthly_videos_completed,
    shown.monthly_video_seconds_watched,
    shown.monthly_assessments_attempted,
    shown.monthly_assessments_passed,
    shown.monthly_attempt_count,
    shown.monthly_score_sum,
    shown.monthly_score_count,
    shown.monthly_score_mean,
    shown.monthly_contributions,
    shown.monthly_completions,
    shown.lifetime_active_days,
    shown.lifetime_event_count,
    shown.lifetime_interaction_count,
    shown.lifetime_active_minutes,
    shown.lifetime_session_count,
    shown.lifetime_time_on_task_seconds,
    shown.lifetime_resources_viewed,
    shown.lifetime_videos_started,
    shown.lifetime_videos_completed,
    shown.lifetime_video_seconds_watched,
    shown.lifetime_assessments_attempted,
    shown.lifetime_assessments_passed,
    shown.lifetime_attempt_count,
    shown.lifetime_score_sum,
    shown.lifetime_score_count,
    shown.lifetime_score_mean,
    shown.lifetime_contributions,
    shown.lifetime_completions,
    shown.first_event_at,
    shown.last_event_at,
    shown.last_active_on,
    shown.current_streak_days,
    shown.longest_streak_days,
    shown.is_enrolled,
    shown.enrolled_on,
    shown.is_completed,
    shown.completed_at,
    shown.is_at_risk,
    shown.engagement_rank,
    shown.engagement_band,
    shown.weekly_attempts_per_pass,
    shown.struggle_rank,
    shown.is_struggling
from rights.whose_rows('{org_admin,service,analyst}', '{learner,trainer}', '{analytics.read}') as asking
inner join stage_three.mv_learner_analytics_summary as shown
    on
        asking.organization_id = shown.organization_id
        and shown.learner_id between asking.first_user_id and asking.last_user_id;
grant create on schema api to lyceum_definer;
alter view api.learner_analytics_summary owner to lyceum_definer;
revoke create on schema api from lyceum_definer;
comment on view api.learner_analytics_summary is 'One row per learner and course, as the last refresh told it.';
revoke all on table api.learner_analytics_summary from public, lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst, lyceum_auditor;
grant select on table api.learner_analytics_summary to lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst;
