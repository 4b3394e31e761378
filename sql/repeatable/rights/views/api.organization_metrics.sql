-- Made by `lyceum security generate` from plugins/lyceum/security/rights.py: change that, then make this anew.
set local lock_timeout = '10s';
drop view if exists api.organization_metrics;
create view api.organization_metrics with (security_barrier = true) as
select
    shown.organization_id,
    shown.window_ends_on,
    shown.daily_active_learners,
    shown.daily_active_learners_before,
    shown.daily_active_learners_change,
    shown.daily_time_on_task_seconds,
    shown.daily_time_on_task_seconds_per_active_learner,
    shown.weekly_active_learners,
    shown.weekly_active_learners_before,
    shown.weekly_active_learners_change,
    shown.weekly_time_on_task_seconds,
    shown.weekly_time_on_task_seconds_per_active_learner,
    shown.monthly_active_learners,
    shown.monthly_active_learners_before,
    shown.monthly_active_learners_change,
    shown.monthly_time_on_task_seconds,
    shown.monthly_time_on_task_seconds_per_active_learner,
    shown.enrollments_open,
    shown.enrollments_completed,
    shown.completion_rate,
    shown.learners_enrolled,
    shown.learners_at_risk,
    shown.at_risk_share,
    shown.best_course_ids,
    shown.best_course_completion_rates,
    shown.weakest_course_ids,
    shown.weakest_course_completion_rates,
    shown.data_as_of
from rights.whose_rows('{org_admin,service,analyst}', '{}', '{analytics.read}') as asking
inner join stage_three.mv_organization_metrics as shown
    on
        asking.organization_id = shown.organization_id;
grant create on schema api to lyceum_definer;
alter view api.organization_metrics owner to lyceum_definer;
revoke create on schema api from lyceum_definer;
comment on view api.organization_metrics is 'One row per organization, as the last refresh told it.';
revoke all on table api.organization_metrics from public, lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst, lyceum_auditor;
grant select on table api.organization_metrics to lyceum_org_admin, lyceum_service, lyceum_analyst;
