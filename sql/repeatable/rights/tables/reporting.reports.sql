-- Made by `lyceum security generate` from plugins/lyceum/security/rights.py: change that, then make this anew.
set local lock_timeout = '10s';
alter table reporting.reports enable row level security, force row level security;
revoke all on table reporting.reports from public, lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst, lyceum_auditor;
drop policy if exists learner_select on reporting.reports;
drop policy if exists trainer_select on reporting.reports;
drop policy if exists org_admin_select on reporting.reports;
drop policy if exists service_select on reporting.reports;
drop policy if exists analyst_select on reporting.reports;
drop policy if exists auditor_select on reporting.reports;
create policy learner_select on reporting.reports
as permissive for select to lyceum_learner
using (
    organization_id = (select auth.organization_id('learner'))
    and owner_user_id = (select auth.user_id('learner'))
    and kind = 'learner'
);
create policy trainer_select on reporting.reports
as permissive for select to lyceum_trainer
using (
    organization_id = (select auth.organization_id('trainer'))
    and owner_user_id = (select auth.user_id('trainer'))
);
create policy org_admin_select on reporting.reports
as permissive for select to lyceum_org_admin
using (
    organization_id = (select auth.organization_id('org_admin'))
    and kind = 'organization'
);
grant select (
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
    expires_at,
    uri,
    sha256,
    key_provider,
    key_version,
    wrapped_key
) on table reporting.reports to lyceum_learner, lyceum_trainer, lyceum_org_admin;
