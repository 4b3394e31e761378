-- Made by `lyceum security generate` from plugins/lyceum/security/rights.py: change that, then make this anew.
set local lock_timeout = '10s';
drop view if exists api.organization_time_zones;
create view api.organization_time_zones with (security_invoker = true) as
select
    organization_id,
    effective_from,
    time_zone
from core.organization_time_zones;
comment on view api.organization_time_zones is 'Its time zones, each from an instant on.';
revoke all on table api.organization_time_zones from public, lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst, lyceum_auditor;
grant select on table api.organization_time_zones to lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst;
