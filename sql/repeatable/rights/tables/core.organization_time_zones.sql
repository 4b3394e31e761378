-- Made by `lyceum security generate` from plugins/lyceum/security/rights.py: change that, then make this anew.
set local lock_timeout = '10s';
alter table core.organization_time_zones enable row level security, force row level security;
revoke all on table core.organization_time_zones from public, lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst, lyceum_auditor;
drop policy if exists learner_select on core.organization_time_zones;
drop policy if exists trainer_select on core.organization_time_zones;
drop policy if exists org_admin_select on core.organization_time_zones;
drop policy if exists service_select on core.organization_time_zones;
drop policy if exists analyst_select on core.organization_time_zones;
drop policy if exists auditor_select on core.organization_time_zones;
create policy learner_select on core.organization_time_zones
as permissive for select to lyceum_learner
using (
    organization_id = (select auth.organization_id('learner'))
);
create policy trainer_select on core.organization_time_zones
as permissive for select to lyceum_trainer
using (
    organization_id = (select auth.organization_id('trainer'))
);
create policy org_admin_select on core.organization_time_zones
as permissive for select to lyceum_org_admin
using (
    organization_id = (select auth.organization_id('org_admin'))
);
create policy service_select on core.organization_time_zones
as permissive for select to lyceum_service
using (
    organization_id = coalesce(
        (select auth.organization_id('service', 'analytics.read')),
        (select auth.organization_id('service', 'organization.read'))
    )
);
create policy analyst_select on core.organization_time_zones
as permissive for select to lyceum_analyst
using (
    organization_id = (select auth.organization_id('analyst'))
);
grant select (
    organization_id,
    effective_from,
    time_zone
) on table core.organization_time_zones to lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst;
grant select on table core.organization_time_zones to lyceum_definer;
