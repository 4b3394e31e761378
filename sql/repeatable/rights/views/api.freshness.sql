-- Made by `lyceum security generate` from plugins/lyceum/security/rights.py: change that, then make this anew.
set local lock_timeout = '10s';
drop view if exists api.freshness;
create view api.freshness with (security_invoker = true) as
select
    organization_id,
    first_activity_on,
    closed_through,
    data_version,
    data_as_of
from ops.organization_watermarks;
comment on view api.freshness is 'How current the published numbers are.';
revoke all on table api.freshness from public, lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst, lyceum_auditor;
grant select on table api.freshness to lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst;
