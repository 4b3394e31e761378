-- Made by `lyceum security generate` from plugins/lyceum/security/rights.py: change that, then make this anew.
set local lock_timeout = '10s';
drop view if exists api.reports;
create view api.reports with (security_invoker = true) as
select
    organization_id,
    report_id,
    kind,
    owner_user_id,
    period_type,
    period_start,
    period_end,
    status,
    formats,
    data_version,
    told_through,
    requested_at,
    generated_at,
    expires_at
from reporting.reports;
comment on view api.reports is 'Reports that were written for whoever is asking.';
revoke all on table api.reports from public, lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst, lyceum_auditor;
grant select on table api.reports to lyceum_learner, lyceum_trainer, lyceum_org_admin;
