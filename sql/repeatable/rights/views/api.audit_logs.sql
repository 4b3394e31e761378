-- Made by `lyceum security generate` from plugins/lyceum/security/rights.py: change that, then make this anew.
set local lock_timeout = '10s';
drop view if exists api.audit_logs;
create view api.audit_logs with (security_invoker = true) as
select
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
from audit.audit_logs;
comment on view api.audit_logs is 'Who did what: accesses and changes of rights.';
revoke all on table api.audit_logs from public, lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst, lyceum_auditor;
grant select on table api.audit_logs to lyceum_auditor;
