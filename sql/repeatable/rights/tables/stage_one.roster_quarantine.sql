-- Made by `lyceum security generate` from plugins/lyceum/security/rights.py: change that, then make this anew.
set local lock_timeout = '10s';
alter table stage_one.roster_quarantine enable row level security, force row level security;
revoke all on table stage_one.roster_quarantine from public, lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst, lyceum_auditor;
drop policy if exists learner_select on stage_one.roster_quarantine;
drop policy if exists trainer_select on stage_one.roster_quarantine;
drop policy if exists org_admin_select on stage_one.roster_quarantine;
drop policy if exists service_select on stage_one.roster_quarantine;
drop policy if exists analyst_select on stage_one.roster_quarantine;
drop policy if exists auditor_select on stage_one.roster_quarantine;
grant select on table stage_one.roster_quarantine to lyceum_definer;
