-- Made by `lyceum security generate` from plugins/lyceum/security/rights.py: change that, then make this anew.
set local lock_timeout = '10s';
drop view if exists api.users;
create view api.users with (security_invoker = true) as
select
    organization_id,
    user_id,
    role,
    is_provisional,
    created_at
from core.users;
comment on view api.users is 'Its people, by pseudonymous ids.';
revoke all on table api.users from public, lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst, lyceum_auditor;
grant select on table api.users to lyceum_org_admin, lyceum_service;
