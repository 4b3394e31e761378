-- Made by `lyceum security generate` from plugins/lyceum/security/rights.py: change that, then make this anew.
set local lock_timeout = '10s';
drop view if exists api.organization_analytics;
create view api.organization_analytics with (security_invoker = true) as
select
    organization_id,
    activity_date,
    learners_active,
    trainers_active,
    courses_active,
    event_count,
    interaction_count,
    attempt_count,
    time_on_task_seconds,
    enrollments_open,
    enrollments_new,
    enrollments_completed,
    completions,
    completion_rate,
    learners_at_risk,
    score_sum,
    score_count,
    score_mean,
    weekly_active_learners,
    monthly_active_learners,
    stickiness
from stage_two.organization_analytics;
comment on view api.organization_analytics is 'The organization by day: the open weeks.';
revoke all on table api.organization_analytics from public, lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst, lyceum_auditor;
grant select on table api.organization_analytics to lyceum_org_admin, lyceum_service;
