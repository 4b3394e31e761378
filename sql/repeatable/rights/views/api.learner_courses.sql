-- Made by `lyceum security generate` from plugins/lyceum/security/rights.py: change that, then make this anew.
set local lock_timeout = '10s';
drop view if exists api.learner_courses;
create view api.learner_courses with (security_invoker = true) as
select
    organization_id,
    learner_id,
    course_id,
    first_event_on,
    last_event_on,
    first_active_on,
    last_active_on,
    completed_on,
    completed_at,
    enrolled_days,
    at_risk_days
from stage_three.learner_courses;
comment on view api.learner_courses is 'One row per learner and course.';
revoke all on table api.learner_courses from public, lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst, lyceum_auditor;
grant select on table api.learner_courses to lyceum_trainer, lyceum_org_admin, lyceum_analyst;
