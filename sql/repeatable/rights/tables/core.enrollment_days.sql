-- Made by `lyceum security generate` from plugins/lyceum/security/rights.py: change that, then make this anew.
set local lock_timeout = '10s';
revoke all on table core.enrollment_days from public, lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst, lyceum_auditor;
grant select (
    organization_id,
    course_id,
    user_id,
    role,
    days
) on table core.enrollment_days to lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service;
grant select on table core.enrollment_days to lyceum_definer;
