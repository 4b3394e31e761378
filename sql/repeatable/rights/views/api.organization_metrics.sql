-- Made by `lyceum security generate` from plugins/lyceum/security/rights.py: change that, then make this anew.
set local lock_timeout = '10s';
drop view if exists api.organization_metrics;
create view api.organization_metrics with (security_barrier = true) as
select
    organization_id,
    window_ends_on,
    daily_active_learners,
    daily_active_learners_before,
    daily_active_learners_change,
    daily_time_on_task_seconds,
    daily_time_on_task_seconds_per_active_learner,
    weekly_active_learners,
    weekly_active_learners_before,
    weekly_active_learners_change,
    weekly_time_on_task_seconds,
    weekly_time_on_task_seconds_per_active_learner,
    monthly_active_learners,
    monthly_active_learners_before,
    monthly_active_learners_change,
    monthly_time_on_task_seconds,
    monthly_time_on_task_seconds_per_active_learner,
    enrollments_open,
    enrollments_completed,
    completion_rate,
    learners_enrolled,
    learners_at_risk,
    at_risk_share,
    best_course_ids,
    best_course_completion_rates,
    weakest_course_ids,
    weakest_course_completion_rates,
    data_as_of
from stage_three.mv_organization_metrics
where
    (select pg_has_role('lyceum_org_admin', 'usage'))
    and organization_id = (select auth.organization_id('org_admin'))
union all
select
    organization_id,
    window_ends_on,
    daily_active_learners,
    daily_active_learners_before,
    daily_active_learners_change,
    daily_time_on_task_seconds,
    daily_time_on_task_seconds_per_active_learner,
    weekly_active_learners,
    weekly_active_learners_before,
    weekly_active_learners_change,
    weekly_time_on_task_seconds,
    weekly_time_on_task_seconds_per_active_learner,
    monthly_active_learners,
    monthly_active_learners_before,
    monthly_active_learners_change,
    monthly_time_on_task_seconds,
    monthly_time_on_task_seconds_per_active_learner,
    enrollments_open,
    enrollments_completed,
    completion_rate,
    learners_enrolled,
    learners_at_risk,
    at_risk_share,
    best_course_ids,
    best_course_completion_rates,
    weakest_course_ids,
    weakest_course_completion_rates,
    data_as_of
from stage_three.mv_organization_metrics
where
    (select pg_has_role('lyceum_service', 'usage'))
    and organization_id = (select auth.organization_id('service', 'analytics.read'))
union all
select
    organization_id,
    window_ends_on,
    daily_active_learners,
    daily_active_learners_before,
    daily_active_learners_change,
    daily_time_on_task_seconds,
    daily_time_on_task_seconds_per_active_learner,
    weekly_active_learners,
    weekly_active_learners_before,
    weekly_active_learners_change,
    weekly_time_on_task_seconds,
    weekly_time_on_task_seconds_per_active_learner,
    monthly_active_learners,
    monthly_active_learners_before,
    monthly_active_learners_change,
    monthly_time_on_task_seconds,
    monthly_time_on_task_seconds_per_active_learner,
    enrollments_open,
    enrollments_completed,
    completion_rate,
    learners_enrolled,
    learners_at_risk,
    at_risk_share,
    best_course_ids,
    best_course_completion_rates,
    weakest_course_ids,
    weakest_course_completion_rates,
    data_as_of
from stage_three.mv_organization_metrics
where
    (select pg_has_role('lyceum_analyst', 'usage'))
    and organization_id = (select auth.organization_id('analyst'));
grant create on schema api to lyceum_definer;
alter view api.organization_metrics owner to lyceum_definer;
revoke create on schema api from lyceum_definer;
comment on view api.organization_metrics is 'One row per organization, as the last refresh told it.';
revoke all on table api.organization_metrics from public, lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst, lyceum_auditor;
grant select on table api.organization_metrics to lyceum_org_admin, lyceum_service, lyceum_analyst;
