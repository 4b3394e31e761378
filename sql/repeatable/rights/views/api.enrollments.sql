-- Made by `lyceum security generate` from plugins/lyceum/security/rights.py: change that, then make this anew.
set local lock_timeout = '10s';
drop view if exists api.enrollments;
create view api.enrollments with (security_invoker = true) as
select
    organization_id,
    course_id,
    user_id,
    role,
    days
from core.enrollment_days;
comment on view api.enrollments is 'One row per person, course and role: the days, as the roster tells.';
revoke all on table api.enrollments from public, lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst, lyceum_auditor;
grant select on table api.enrollments to lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service;
