-- Made by `lyceum security generate` from plugins/lyceum/security/rights.py: change that, then make this anew.
set local lock_timeout = '10s';
alter table stage_two.trainer_analytics enable row level security, force row level security;
revoke all on table stage_two.trainer_analytics from public, lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst, lyceum_auditor;
drop policy if exists learner_select on stage_two.trainer_analytics;
drop policy if exists trainer_select on stage_two.trainer_analytics;
drop policy if exists org_admin_select on stage_two.trainer_analytics;
drop policy if exists service_select on stage_two.trainer_analytics;
drop policy if exists analyst_select on stage_two.trainer_analytics;
drop policy if exists auditor_select on stage_two.trainer_analytics;
create policy trainer_select on stage_two.trainer_analytics
as permissive for select to lyceum_trainer
using (
    organization_id = (select auth.organization_id('trainer'))
    and trainer_id = (select auth.user_id('trainer'))
);
create policy org_admin_select on stage_two.trainer_analytics
as permissive for select to lyceum_org_admin
using (
    organization_id = (select auth.organization_id('org_admin'))
);
create policy service_select on stage_two.trainer_analytics
as permissive for select to lyceum_service
using (
    organization_id = (select auth.organization_id('service', 'analytics.read'))
);
grant select (
    organization_id,
    trainer_id,
    course_id,
    activity_date,
    learners_assigned,
    learners_active,
    activity_rate,
    learners_at_risk,
    completions,
    score_sum,
    score_count,
    score_mean,
    time_on_task_seconds,
    time_on_task_seconds_per_active_learner,
    contributions,
    attempts_reviewed
) on table stage_two.trainer_analytics to lyceum_trainer, lyceum_org_admin, lyceum_service;
