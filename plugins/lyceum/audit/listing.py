"""Looking at the trail: the newest rows, with the batch that seals each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lyceum.database import Connection


@dataclass(frozen=True, slots=True)
class LoggedAccess:
    """One row of the trail. `batch_id` is None as long as it is not sealed; people are pseudonymous ids."""

    audit_id: int
    occurred_at: datetime
    organization: str | None
    actor_login: str | None
    actor_user_id: int | None
    actor_role: str | None
    action: str
    resource: str
    row_count: int | None
    decision: str
    request_id: str | None
    source: str
    detail: dict[str, Any]
    batch_id: int | None


def list_accesses(
    connection: Connection,
    *,
    organization_id: int | None = None,
    action: str | None = None,
    decision: str | None = None,
    since: datetime | None = None,
    limit: int = 20,
) -> list[LoggedAccess]:
    """Return the newest rows that fit, the newest first."""
    rows = connection.execute(
        """
        select
            logs.audit_id,
            logs.occurred_at,
            organizations.slug,
            logs.actor_login,
            logs.actor_user_id,
            logs.actor_role,
            logs.action,
            logs.resource,
            logs.row_count,
            logs.decision,
            logs.request_id,
            logs.source,
            logs.detail,
            (
                select batches.batch_id
                from audit.batches as batches
                where
                    batches.server_id = logs.server_id
                    and logs.transaction_id >= batches.from_transaction
                    and logs.transaction_id < batches.to_transaction
                limit 1
            )
        from audit.audit_logs as logs
        left join core.organizations as organizations on logs.organization_id = organizations.organization_id
        where
            (%(organization)s::bigint is null or logs.organization_id = %(organization)s)
            and (%(action)s::text is null or logs.action = %(action)s)
            and (%(decision)s::text is null or logs.decision = %(decision)s)
            and (%(since)s::timestamptz is null or logs.occurred_at >= %(since)s)
        order by logs.occurred_at desc, logs.audit_id desc
        limit %(limit)s
        """,
        {
            "organization": organization_id,
            "action": action,
            "decision": decision,
            "since": since,
            "limit": limit,
        },
    ).fetchall()
    return [LoggedAccess(*row) for row in rows]
