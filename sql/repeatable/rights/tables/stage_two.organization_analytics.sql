-- Made by `lyceum security generate` from plugins/lyceum/security/rights.py: change that, then make this anew.
set local lock_timeout = '10s';
alter table stage_two.organization_analytics enable row level security, force row level security;
revoke all on table stage_two.organization_analytics from public, lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst, lyceum_auditor;
drop policy if exists learner_select on stage_two.organization_analytics;
drop policy if exists trainer_select on stage_two.organization_analytics;
drop policy if exists org_admin_select on stage_two.organization_analytics;
drop policy if exists service_select on stage_two.organization_analytics;
drop policy if exists analyst_select on stage_two.organization_analytics;
drop policy if exists auditor_select on stage_two.organization_analytics;
create policy org_admin_select on stage_two.organization_analytics
as permissive for select to lyceum_org_admin
using (
    organization_id = (select auth.organization_id('org_admin'))
);
create policy service_select on stage_two.organization_analytics
as permissive for select to lyceum_service
using (
    organization_id = (select auth.organization_id('service', 'analytics.read'))
);
grant select (
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
) on table stage_two.organization_analytics to lyceum_org_admin, lyceum_service;
