-- Made by `lyceum security generate` from plugins/lyceum/security/rights.py: change that, then make this anew.
set local lock_timeout = '10s';
drop view if exists api.learner_analytics;
create view api.learner_analytics with (security_invoker = true) as
select
    organization_id,
    learner_id,
    course_id,
    activity_date,
    scope,
    is_active,
    event_count,
    interaction_count,
    active_minutes,
    session_count,
    time_on_task_seconds,
    first_event_at,
    last_event_at,
    resources_viewed,
    videos_started,
    videos_completed,
    video_seconds_watched,
    assessments_attempted,
    assessments_passed,
    attempt_count,
    score_sum,
    score_count,
    contributions,
    completions,
    is_completed,
    completed_at,
    is_enrolled,
    enrolled_on
from stage_two.learner_analytics;
comment on view api.learner_analytics is 'Learners by day: the open weeks.';
revoke all on table api.learner_analytics from public, lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst, lyceum_auditor;
grant select on table api.learner_analytics to lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service;
