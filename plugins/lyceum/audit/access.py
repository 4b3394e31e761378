"""Recording what a service does: one row, in the transaction of the access itself or not at all.

Work that shares no transaction with the trail, in another database or in many steps, is announced by a row that is committed
before it begins, and its outcome is a second one (`announced`). A service that records in its own transaction leaves its
callers the attempts that came to nothing (`failures_recorded`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC
from typing import Literal, TypeAlias
from uuid import uuid4

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb

from lyceum.database import Connection, ConnectionTarget, connect
from lyceum.database.connection import connect_as
from lyceum.errors import RefusedAccess
from lyceum.partitions import ensure_for_dates

Decision: TypeAlias = Literal["allowed", "denied", "failed"]

TABLE = "audit.audit_logs"

IDS_AT_MOST = 200
"""A row of the trail has room for so many ids; its row count says how many there were."""

# What a slug, a login, a source, a relation or an id may look like.
_NAME = re.compile(r"[a-z0-9_][a-z0-9_./,-]*", re.ASCII)

_OPEN_PARTITIONS = """
select
    schemas.nspname,
    leaves.relname
from pg_partition_tree('audit.audit_logs') as tree
inner join pg_class as leaves on tree.relid = leaves.oid
inner join pg_namespace as schemas on leaves.relnamespace = schemas.oid
where
    leaves.relkind = 'r'
    and not exists (
        select from pg_trigger as triggers where triggers.tgrelid = leaves.oid and triggers.tgname = 'refuse_statement'
    )
"""


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


@dataclass(slots=True)
class Outcome:
    """What becomes known of work while it is done; it is recorded in the end."""

    organization_id: int | None = None
    row_count: int | None = None
    detail: dict[str, object] = field(default_factory=dict)


RECORD = """
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
"""
"""Writes the row of an access, for connections of any kind; `record_parameters` are its parameters."""


def record_parameters(access: Access, decision: Decision, row_count: int | None) -> dict[str, object]:
    """Return what `RECORD` takes."""
    return {
        "action": access.action,
        "resource": access.resource[:256],
        "decision": decision,
        "organization_id": access.organization_id,
        "user_id": access.user_id,
        "role": access.role,
        "row_count": row_count,
        "request_id": access.request_id,
        "detail": Jsonb(dict(access.detail)),
    }


def record_access(
    connection: Connection, access: Access, *, decision: Decision = "allowed", row_count: int | None = None
) -> int:
    """Write the row of an access into the transaction of `connection`; return its id.

    The login, the instant and the transaction are stamped by the database. Call it in the transaction of the access, before
    `set local role` or after it was reset: tenant roles may not write the trail. When it raises, roll the access back.
    """
    row = connection.execute(RECORD, record_parameters(access, decision, row_count)).fetchone()
    assert row is not None
    return int(row[0])


def ensure_audit_partitions(connection: Connection) -> None:
    """Make the partition of the running month, and the next one, where absent; close those that anybody has made.

    For `connection` in autocommit mode, as an account that may make partitions. The trail's instants are the server's clock.
    """
    row = connection.execute("select clock_timestamp()").fetchone()
    assert row is not None
    today = row[0].astimezone(UTC).date()
    following = today.replace(year=today.year + today.month // 12, month=today.month % 12 + 1, day=1)
    ensure_for_dates(connection, TABLE, [today, following])
    _close_partitions(connection)


def _close_partitions(connection: Connection) -> None:
    """Let nobody truncate or write a partition past its table: rights and statement triggers of a table do not reach them."""
    if not connection.execute(_OPEN_PARTITIONS).fetchall():
        return
    # Whoever writes rows just now keeps the table for a moment, and not every account owns it: the sealer, at the latest, closes it.
    with (
        suppress(psycopg.errors.LockNotAvailable, psycopg.errors.InsufficientPrivilege),
        connection.transaction(),
    ):
        connection.execute("select pg_advisory_xact_lock(hashtextextended('lyceum.audit.partitions', 0))")
        connection.execute("set local lock_timeout to '1s'")
        for schema, name in connection.execute(_OPEN_PARTITIONS).fetchall():
            partition = sql.Identifier(schema, name)
            connection.execute(
                sql.SQL(
                    """
                    create trigger refuse_statement before truncate on {partition}
                    for each statement execute function audit.refuse_change();
                    revoke insert, update, delete, truncate on {partition} from lyceum_owner
                    """
                ).format(partition=partition)
            )


def prepare_trail(connection: Connection) -> None:
    """Make the partitions that a row of now needs, on a connection between two transactions, in autocommit mode or not.

    For services that record in a transaction of their own, before it begins. Does nothing within a transaction: whoever began
    that has prepared for it.
    """
    if connection.info.transaction_status != TransactionStatus.IDLE:
        return
    was_autocommit = connection.autocommit
    connection.autocommit = True
    try:
        ensure_audit_partitions(connection)
    finally:
        connection.autocommit = was_autocommit


class _OneTransaction(psycopg.Connection[TupleRow]):
    """A connection on which a service's commit waits: what it did is committed together with the row that tells of it."""

    is_held = True

    def commit(self) -> None:
        """Commit, unless the row of the access is still to be written."""
        if not self.is_held:
            super().commit()


@contextmanager
def audited_transaction(
    target: ConnectionTarget, access: Access, *, application_name: str = "lyceum"
) -> Iterator[Entry]:
    """Lend a connection for the work of `access`, and record the access in the same transaction when the work is done.

    When the work raises, its transaction is rolled back, and the attempt is recorded as failed, or as denied where the server
    or a service refused it; the error goes on. The work may fill in the entry's organization, row count and detail. Services that
    commit may be used: their commit waits for the end.
    """
    with (
        failures_recorded(target, access, application_name=application_name) as attempt,
        connect_as(_OneTransaction, target, application_name=application_name) as connection,
    ):
        # A transaction that a service begins is a part of this one.
        connection.execute("select")
        entry = Entry(connection, organization_id=access.organization_id, detail=dict(access.detail))
        try:
            yield entry
        finally:
            attempt.organization_id = entry.organization_id
        done = replace(access, organization_id=entry.organization_id, detail=entry.detail)
        record_access(connection, done, row_count=entry.row_count)
        connection.is_held = False


@contextmanager
def failures_recorded(
    target: ConnectionTarget, access: Access, *, application_name: str = "lyceum"
) -> Iterator[Outcome]:
    """Prepare the trail, and record the attempt as failed or denied when the block raises; the error goes on.

    What succeeds is recorded by the block itself, in the transaction of its work. It may say which organization it is about.
    """
    with connect(target, autocommit=True, application_name=application_name) as preparing:
        ensure_audit_partitions(preparing)
    attempt = Outcome(access.organization_id)
    try:
        yield attempt
    except BaseException as error:
        with connect(target, application_name=application_name) as connection:
            failed = replace(_of_failure(access, error), organization_id=attempt.organization_id)
            record_access(connection, failed, decision=_decision(error))
        raise


@contextmanager
def announced(
    target: ConnectionTarget, access: Access, *, begun: str, application_name: str = "lyceum"
) -> Iterator[Outcome]:
    """Record that work is begun, with the action `begun`, before it begins, and its outcome, with `access.action`, after it.

    For work that cannot share a transaction with the trail. Both rows carry one request id; the first without the second says
    that the work died. The work may fill in the outcome.
    """
    request = replace(access, request_id=access.request_id or str(uuid4()))
    with connect(target, autocommit=True, application_name=application_name) as connection:
        ensure_audit_partitions(connection)
        record_access(connection, replace(request, action=begun))
    with failures_recorded(target, request, application_name=application_name) as outcome:
        outcome.detail.update(access.detail)
        yield outcome
    with connect(target, application_name=application_name) as connection:
        done = replace(request, organization_id=outcome.organization_id, detail=outcome.detail)
        record_access(connection, done, row_count=outcome.row_count)


def _of_failure(access: Access, error: BaseException) -> Access:
    # The kind of error alone: what an error says may quote a row. And what was typed may be anything: an address in the place of a
    # slug says who somebody is.
    words = (word if _NAME.fullmatch(word) else "…" for word in access.resource.split())
    return replace(access, resource=" ".join(words) or "…", detail={**access.detail, "error": type(error).__name__})


def _decision(error: BaseException) -> Decision:
    return "denied" if isinstance(error, (psycopg.errors.InsufficientPrivilege, RefusedAccess)) else "failed"
