"""Alerts: what somebody should look at, kept in `ops.alerts` until it is over, logged, and posted to an address of one's own.

An alert names tasks, runs and sources. It never carries a payload or anything of a learner.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, LiteralString, TypeAlias

import httpx
import psycopg

from lyceum.database import Connection, ConnectionTarget, connect
from lyceum.errors import LyceumError

_log = logging.getLogger(__name__)

Kind: TypeAlias = Literal[
    "task_failed",
    "run_late",
    "audit_gap",
    "audit_heads",
    "partition_held",
    "build_behind",
    "view_stale",
    "records_refused",
    "backup_old",
    "log_not_archived",
    "trail_unsealed",
    "server_busy",
    "disk_filling",
    "monitoring_failed",
]
"""`task_failed`: a task failed for good. `run_late`: a run was not over when it should have been. `audit_gap`: parts of the
server's log were gone before they were collected. `audit_heads`: heads of the audit trail are gone. `partition_held`: expired
partitions of a table are on hold for too long. The others are what monitoring found: docs/operations.md has a section a kind."""

_POST_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert; `resolved_at` is None while it is open. `subject` is a DAG, a task as dag.task, or dag.task[source].

    `raised_at` is None where it could not be stored.
    """

    kind: Kind
    subject: str
    message: str
    raised_at: datetime | None
    resolved_at: datetime | None


def raise_alert(target: ConnectionTarget, address: str | None, kind: Kind, subject: str, message: str) -> bool:
    """Open an alert unless one of this kind and subject is open; return whether it is new.

    A new one is logged in one error line and posted as JSON to `address`, if there is one. Never fails its caller: what cannot
    be stored is logged and posted all the same, because a warehouse that does not answer is worth an alert.
    """
    try:
        with connect(target) as connection:
            row = connection.execute(
                """
                insert into ops.alerts (kind, subject, message) values (%s, %s, %s)
                on conflict (kind, subject) where resolved_at is null do nothing
                returning raised_at
                """,
                (kind, subject, message),
            ).fetchone()
    except (LyceumError, psycopg.Error) as error:
        _log.error("alert not stored kind=%s subject=%s error=%s", kind, subject, type(error).__name__)
        raised_at = None
    else:
        if row is None:
            return False
        (raised_at,) = row
    _log.error("alert raised kind=%s subject=%s: %s", kind, subject, message)
    _post(address, Alert(kind, subject, message, raised_at, None))
    return True


def resolve_alerts(target: ConnectionTarget, address: str | None, dag_id: str) -> list[Alert]:
    """Resolve the open alerts of a DAG and its tasks, log and post each; return them. Never fails its caller."""
    return _resolve(
        target,
        address,
        f"dag={dag_id}",
        """
        update ops.alerts set resolved_at = greatest(clock_timestamp(), raised_at)
        where resolved_at is null and (subject = %(dag)s or starts_with(subject, %(dag)s || '.'))
        returning kind, subject, message, raised_at, resolved_at
        """,
        {"dag": dag_id},
    )


def resolve_other_alerts(
    target: ConnectionTarget, address: str | None, kind: Kind, subjects: Collection[str]
) -> list[Alert]:
    """Resolve the open alerts of a kind but those about `subjects`, log and post each; return them. Never fails its caller."""
    return _resolve(
        target,
        address,
        f"kind={kind}",
        """
        update ops.alerts set resolved_at = greatest(clock_timestamp(), raised_at)
        where resolved_at is null and kind = %(kind)s and subject <> all(%(subjects)s)
        returning kind, subject, message, raised_at, resolved_at
        """,
        {"kind": kind, "subjects": sorted(subjects)},
    )


def _resolve(
    target: ConnectionTarget, address: str | None, what: str, statement: LiteralString, parameters: Mapping[str, object]
) -> list[Alert]:
    try:
        with connect(target) as connection:
            rows = connection.execute(statement, parameters).fetchall()
    except (LyceumError, psycopg.Error) as error:
        _log.error("alerts not resolved %s error=%s", what, type(error).__name__)
        return []
    resolved = [Alert(*row) for row in rows]
    for alert in resolved:
        _log.info("alert resolved kind=%s subject=%s", alert.kind, alert.subject)
        _post(address, alert)
    return resolved


def open_alerts(connection: Connection) -> list[Alert]:
    """Return the alerts that are open, the oldest first."""
    rows = connection.execute(
        """
        select kind, subject, message, raised_at, resolved_at
        from ops.alerts
        where resolved_at is null
        order by alert_id
        """
    ).fetchall()
    return [Alert(*row) for row in rows]


def _post(address: str | None, alert: Alert) -> None:
    if address is None:
        return
    state = "raised" if alert.resolved_at is None else "resolved"
    body = {
        # What the webhooks of chat systems show.
        "text": f"Lyceum, {alert.kind.replace('_', ' ')} ({state}): {alert.message}",
        "state": state,
        "kind": alert.kind,
        "subject": alert.subject,
        "message": alert.message,
        "raised_at": _text(alert.raised_at),
        "resolved_at": _text(alert.resolved_at),
    }
    try:
        httpx.post(address, json=body, timeout=_POST_SECONDS).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        # Neither the address nor what httpx says of it: such addresses are often secrets.
        told = f" {error.response.status_code}" if isinstance(error, httpx.HTTPStatusError) else ""
        _log.error(
            "alert not posted kind=%s subject=%s error=%s%s", alert.kind, alert.subject, type(error).__name__, told
        )


def _text(instant: datetime | None) -> str | None:
    return instant.astimezone(UTC).isoformat() if instant is not None else None
