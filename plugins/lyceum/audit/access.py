"""Recording what a service does: one row, in the transaction of the access itself or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC
from typing import Literal, TypeAlias

import psycopg
from psycopg.types.json import Jsonb

from lyceum.database import Connection, ConnectionTarget, connect
from lyceum.partitions import ensure_for_dates

Decision: TypeAlias = Literal["allowed", "denied", "failed"]

TABLE = "audit.audit_logs"


@dataclass(frozen=True, slots=True)
class Access:
    """What is done to what: `action` in lower-case words (`organization_added`), `resource` a relation, command or thing.

    `user_id` is the pseudonymous id of a person, `role` a tenant role. `detail` holds names of things, ids and counts, never a
    name, an address or a payload of a person.
    """

    action: str
    resource: str
    organization_id: int | None = None
    user_id: int | None = None
    role: str | None = None
    request_id: str | None = None
    detail: Mapping[str, object] = field(default_factory=dict)


@dataclass(slots=True)
class Entry:
    """What becomes known only while the work of an access is done; `audited_transaction` records it in the end."""

    connection: Connection
    organization_id: int | None = None
    row_count: int | None = None
    detail: dict[str, object] = field(default_factory=dict)


def record_access(
    connection: Connection, access: Access, *, decision: Decision = "allowed", row_count: int | None = None
) -> int:
    """Write the row of an access into the transaction of `connection`; return its id.

    The login, the instant and the transaction are stamped by the database. Call it in the transaction of the access, before
    `set local role` or after it was reset: tenant roles may not write the trail. When it raises, roll the access back.
    """
    row = connection.execute(
        """
        select audit.record(
            action => %(action)s,
            resource => %(resource)s,
            decision => %(decision)s,
            organization_id => %(organization_id)s,
            actor_user_id => %(user_id)s,
            actor_role => %(role)s,
            row_count => %(row_count)s,
            request_id => %(request_id)s,
            detail => %(detail)s
        )
        """,
        {
            "action": access.action,
            "resource": access.resource[:256],
            "decision": decision,
            "organization_id": access.organization_id,
            "user_id": access.user_id,
            "role": access.role,
            "row_count": row_count,
            "request_id": access.request_id,
            "detail": Jsonb(dict(access.detail)),
        },
    ).fetchone()
    assert row is not None
    return int(row[0])


def ensure_audit_partitions(connection: Connection) -> None:
    """Make the partition of the running month, and the next one, where absent.

    For `connection` in autocommit mode, as an account that may make partitions. The trail's instants are the server's clock.
    """
    row = connection.execute("select clock_timestamp()").fetchone()
    assert row is not None
    today = row[0].astimezone(UTC).date()
    following = today.replace(year=today.year + today.month // 12, month=today.month % 12 + 1, day=1)
    ensure_for_dates(connection, TABLE, [today, following])


@contextmanager
def audited_transaction(
    target: ConnectionTarget, access: Access, *, application_name: str = "lyceum"
) -> Iterator[Entry]:
    """Lend a connection for the work of `access`, and record the access in the same transaction when the work is done.

    When the work raises, its transaction is rolled back, and the attempt is recorded as failed, or as denied where the server
    refused permission; the error goes on. The work may fill in the entry's organization, row count and detail.
    """
    with connect(target, autocommit=True, application_name=application_name) as preparing:
        ensure_audit_partitions(preparing)
    try:
        with connect(target, application_name=application_name) as connection:
            entry = Entry(connection, organization_id=access.organization_id, detail=dict(access.detail))
            yield entry
            done = replace(access, organization_id=entry.organization_id, detail=entry.detail)
            record_access(connection, done, row_count=entry.row_count)
    except BaseException as error:
        with connect(target, application_name=application_name) as connection:
            record_access(connection, _of_failure(access, error), decision=_decision(error))
        raise


def _of_failure(access: Access, error: BaseException) -> Access:
    # The kind of error alone: what an error says may quote a row.
    return replace(access, detail={**access.detail, "error": type(error).__name__})


def _decision(error: BaseException) -> Decision:
    return "denied" if isinstance(error, psycopg.errors.InsufficientPrivilege) else "failed"
