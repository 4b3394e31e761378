-- Made by `lyceum security generate` from plugins/lyceum/security/rights.py: change that, then make this anew.
set local lock_timeout = '10s';
grant create on schema stage_three to lyceum_definer;
alter materialized view stage_three.mv_organization_metrics owner to lyceum_definer;
revoke create on schema stage_three from lyceum_definer;
revoke all on table stage_three.mv_organization_metrics from public, lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst, lyceum_auditor;
grant select on table stage_three.mv_organization_metrics to lyceum_owner;
