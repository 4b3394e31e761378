-- Made by `lyceum security generate` from plugins/lyceum/security/rights.py: change that, then make this anew.
set local lock_timeout = '10s';
drop view if exists api.courses;
create view api.courses with (security_invoker = true) as
select
    organization_id,
    course_id,
    title,
    is_unassigned,
    created_at
from core.courses;
comment on view api.courses is 'Courses.';
revoke all on table api.courses from public, lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst, lyceum_auditor;
grant select on table api.courses to lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst;
