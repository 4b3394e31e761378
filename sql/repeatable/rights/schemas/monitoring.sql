-- Made by `lyceum security generate` from plugins/lyceum/security/rights.py: change that, then make this anew.
revoke all on schema monitoring from public, lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst, lyceum_auditor;
grant usage on schema monitoring to lyceum_monitor, lyceum_owner;
