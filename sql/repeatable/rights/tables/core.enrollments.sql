-- Made by `lyceum security generate` from plugins/lyceum/security/rights.py: change that, then make this anew.
set local lock_timeout = '10s';
alter table core.enrollments enable row level security, force row level security;
revoke all on table core.enrollments from public, lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst, lyceum_auditor;
drop policy if exists learner_select on core.enrollments;
drop policy if exists trainer_select on core.enrollments;
drop policy if exists org_admin_select on core.enrollments;
drop policy if exists service_select on core.enrollments;
drop policy if exists analyst_select on core.enrollments;
drop policy if exists auditor_select on core.enrollments;
create policy learner_select on core.enrollments
as permissive for select to lyceum_learner
using (
    organization_id = (select auth.organization_id('learner'))
    and user_id = (select auth.user_id('learner'))
);
create policy trainer_select on core.enrollments
as permissive for select to lyceum_trainer
using (
    organization_id = (select auth.organization_id('trainer'))
    and user_id = (select auth.user_id('trainer'))
);
create policy org_admin_select on core.enrollments
as permissive for select to lyceum_org_admin
using (
    organization_id = (select auth.organization_id('org_admin'))
);
create policy service_select on core.enrollments
as permissive for select to lyceum_service
using (
    organization_id = (select auth.organization_id('service', 'organization.read'))
);
grant select (
    organization_id,
    source_id,
    course_id,
    user_id,
    role,
    roster_id,
    known_at,
    valid_days,
    speaks_for
) on table core.enrollments to lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service;
grant select on table core.enrollments to lyceum_definer;
