-- Made by `lyceum security generate` from plugins/lyceum/security/rights.py: change that, then make this anew.
set local lock_timeout = '10s';
drop view if exists api.organizations;
create view api.organizations with (security_invoker = true) as
select
    organization_id,
    slug,
    name,
    created_at
from core.organizations;
comment on view api.organizations is 'The organization of whoever is asking.';
revoke all on table api.organizations from public, lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst, lyceum_auditor;
grant select on table api.organizations to lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst;
