-- Made by `lyceum security generate` from plugins/lyceum/security/rights.py: change that, then make this anew.
set local lock_timeout = '10s';
alter table ops.view_versions enable row level security, force row level security;
revoke all on table ops.view_versions from public, lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst, lyceum_auditor;
drop policy if exists learner_select on ops.view_versions;
drop policy if exists trainer_select on ops.view_versions;
drop policy if exists org_admin_select on ops.view_versions;
drop policy if exists service_select on ops.view_versions;
drop policy if exists analyst_select on ops.view_versions;
drop policy if exists auditor_select on ops.view_versions;
create policy learner_select on ops.view_versions
as permissive for select to lyceum_learner
using (
    organization_id = (select auth.organization_id('learner'))
);
create policy trainer_select on ops.view_versions
as permissive for select to lyceum_trainer
using (
    organization_id = (select auth.organization_id('trainer'))
);
create policy org_admin_select on ops.view_versions
as permissive for select to lyceum_org_admin
using (
    organization_id = (select auth.organization_id('org_admin'))
);
create policy service_select on ops.view_versions
as permissive for select to lyceum_service
using (
    organization_id = coalesce(
        (select auth.organization_id('service', 'analytics.read')),
        (select auth.organization_id('service', 'organization.read'))
    )
);
create policy analyst_select on ops.view_versions
as permissive for select to lyceum_analyst
using (
    organization_id = (select auth.organization_id('analyst'))
);
grant select (
    organization_id,
    view_name,
    version,
    data_version,
    window_ends_on
) on table ops.view_versions to lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst;
grant select on table ops.view_versions to lyceum_definer;
