-- Made by `lyceum security generate` from plugins/lyceum/security/rights.py: change that, then make this anew.
set local lock_timeout = '10s';
alter table core.users enable row level security, force row level security;
revoke all on table core.users from public, lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst, lyceum_auditor;
drop policy if exists learner_select on core.users;
drop policy if exists trainer_select on core.users;
drop policy if exists org_admin_select on core.users;
drop policy if exists service_select on core.users;
drop policy if exists analyst_select on core.users;
drop policy if exists auditor_select on core.users;
create policy org_admin_select on core.users
as permissive for select to lyceum_org_admin
using (
    organization_id = (select auth.organization_id('org_admin'))
);
create policy service_select on core.users
as permissive for select to lyceum_service
using (
    organization_id = (select auth.organization_id('service', 'organization.read'))
);
grant select (
    organization_id,
    user_id,
    role,
    is_provisional,
    created_at
) on table core.users to lyceum_org_admin, lyceum_service;
grant select on table core.users to lyceum_definer;
