-- Made by `lyceum security generate` from plugins/lyceum/security/rights.py: change that, then make this anew.
set local lock_timeout = '10s';
drop view if exists api.report_files;
create view api.report_files with (security_invoker = true) as
select
    organization_id,
    report_id,
    kind,
    owner_user_id,
    period_type,
    period_start,
    status,
    formats,
    expires_at,
    uri,
    sha256,
    key_provider,
    key_version,
    wrapped_key
from reporting.reports;
comment on view api.report_files is 'Their files and wrapped keys, for the service that hands them out.';
revoke all on table api.report_files from public, lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst, lyceum_auditor;
grant select on table api.report_files to lyceum_learner, lyceum_trainer, lyceum_org_admin;
