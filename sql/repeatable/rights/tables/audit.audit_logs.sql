-- Made by `lyceum security generate` from plugins/lyceum/security/rights.py: change that, then make this anew.
set local lock_timeout = '10s';
alter table audit.audit_logs enable row level security, force row level security;
revoke all on table audit.audit_logs from public, lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst, lyceum_auditor;
drop policy if exists learner_select on audit.audit_logs;
drop policy if exists trainer_select on audit.audit_logs;
drop policy if exists org_admin_select on audit.audit_logs;
drop policy if exists service_select on audit.audit_logs;
drop policy if exists analyst_select on audit.audit_logs;
drop policy if exists auditor_select on audit.audit_logs;
create policy auditor_select on audit.audit_logs
as permissive for select to lyceum_auditor
using (
    organization_id = (select auth.organization_id('auditor'))
    or (select auth.reads_every_organization('auditor'))
);
grant select (
    audit_id,
    occurred_at,
    recorded_at,
    organization_id,
    actor_login,
    actor_user_id,
    actor_role,
    action,
    resource,
    row_count,
    decision,
    request_id,
    source,
    session_id,
    line_number,
    detail
) on table audit.audit_logs to lyceum_auditor;
grant select on table audit.audit_logs to lyceum_definer;
