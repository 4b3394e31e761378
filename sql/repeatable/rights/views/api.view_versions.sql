-- Made by `lyceum security generate` from plugins/lyceum/security/rights.py: change that, then make this anew.
set local lock_timeout = '10s';
drop view if exists api.view_versions;
create view api.view_versions with (security_invoker = true) as
select
    organization_id,
    view_name,
    version,
    data_version,
    window_ends_on
from ops.view_versions;
comment on view api.view_versions is 'Which versions of the materialized views were shown, by refresh.';
revoke all on table api.view_versions from public, lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst, lyceum_auditor;
grant select on table api.view_versions to lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst;
