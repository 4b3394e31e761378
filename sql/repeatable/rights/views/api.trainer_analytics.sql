-- Made by `lyceum security generate` from plugins/lyceum/security/rights.py: change that, then make this anew.
set local lock_timeout = '10s';
drop view if exists api.trainer_analytics;
create view api.trainer_analytics with (security_invoker = true) as
select
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
from stage_two.trainer_analytics;
comment on view api.trainer_analytics is 'Trainers by course and day: the open weeks.';
revoke all on table api.trainer_analytics from public, lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst, lyceum_auditor;
grant select on table api.trainer_analytics to lyceum_trainer, lyceum_org_admin, lyceum_service;
