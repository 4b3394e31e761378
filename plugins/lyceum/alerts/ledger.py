"""The ledger of alerts, `ops.alerts`: an alert is open once, however often it is raised, and told when it opens and when it is over."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import LiteralString

import psycopg

from lyceum.alert_settings import AlertSettings
from lyceum.alerts.alert import Alert, Kind
from lyceum.alerts.telling import tell
from lyceum.database import Connection, ConnectionTarget, connect
from lyceum.errors import LyceumError

_log = logging.getLogger(__name__)


def raise_alert(target: ConnectionTarget, channels: AlertSettings, kind: Kind, subject: str, message: str) -> bool:
    """Open an alert unless one of this kind and subject is open; return whether it is new.

    A new one is logged in one error line and told through `channels`. Never fails its caller: what cannot
    be stored is logged and told all the same, because a warehouse that does not answer is worth an alert.
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
    tell(channels, Alert(kind, subject, message, raised_at, None))
    return True


def resolve_alerts(target: ConnectionTarget, channels: AlertSettings, dag_id: str) -> list[Alert]:
    """Resolve the open alerts of a DAG and its tasks, log and tell each; return them. Never fails its caller."""
    return _resolve(
        target,
        channels,
        f"dag={dag_id}",
        """
        update ops.alerts set resolved_at = greatest(clock_timestamp(), raised_at)
        where resolved_at is null and (subject = %(dag)s or starts_with(subject, %(dag)s || '.'))
        returning kind, subject, message, raised_at, resolved_at
        """,
        {"dag": dag_id},
    )


def resolve_other_alerts(
    target: ConnectionTarget, channels: AlertSettings, kind: Kind, subjects: Collection[str]
) -> list[Alert]:
    """Resolve the open alerts of a kind but those about `subjects`, log and tell each; return them. Never fails its caller."""
    return _resolve(
        target,
        channels,
        f"kind={kind}",
        """
        update ops.alerts set resolved_at = greatest(clock_timestamp(), raised_at)
        where resolved_at is null and kind = %(kind)s and subject <> all(%(subjects)s)
        returning kind, subject, message, raised_at, resolved_at
        """,
        {"kind": kind, "subjects": sorted(subjects)},
    )


def _resolve(
    target: ConnectionTarget,
    channels: AlertSettings,
    what: str,
    statement: LiteralString,
    parameters: Mapping[str, object],
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
        tell(channels, alert)
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
