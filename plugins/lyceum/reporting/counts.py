"""What the data-quality report and the pages in Airflow both ask: how current organizations are, and what was collected."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from lyceum.database import Connection
from lyceum.reporting.facts import HISTORY_DAYS, DayVolume, Freshness, OpenAlert, Refusals

_MOST_ALERTS = 50


def read_volumes(connection: Connection, as_of: datetime) -> tuple[DayVolume, ...]:
    """Return what was collected in the days that reports show, by day and organization."""
    rows = connection.execute("select * from monitoring.volumes(%(since)s, %(as_of)s)", _window(as_of)).fetchall()
    return tuple(DayVolume(*row) for row in rows)


def read_refusals(connection: Connection, as_of: datetime) -> tuple[Refusals, ...]:
    """Return what was refused in the days that reports show, by day, organization, source and reason."""
    rows = connection.execute("select * from monitoring.refusals(%(since)s, %(as_of)s)", _window(as_of)).fetchall()
    return tuple(Refusals(*row) for row in rows)


def read_freshness(connection: Connection, as_of: datetime) -> tuple[Freshness, ...]:
    """Return how current every organization is, those that are furthest behind first."""
    rows = connection.execute("select * from monitoring.freshness(%s)", [as_of]).fetchall()
    order = {"behind": 0, "waiting": 1, "current": 2, "empty": 3}
    found = [Freshness(*row) for row in rows]
    return tuple(sorted(found, key=lambda entry: (order[entry.state], -entry.days_behind, entry.slug)))


def read_alerts(connection: Connection) -> tuple[OpenAlert, ...]:
    """Return the open alerts, the newest first, no more than a person reads."""
    rows = connection.execute("select * from monitoring.alerts()").fetchall()
    return tuple(OpenAlert(*row) for row in reversed(rows[-_MOST_ALERTS:]))


def _window(as_of: datetime) -> dict[str, datetime]:
    first = as_of.astimezone(UTC).date() - timedelta(days=HISTORY_DAYS - 1)
    return {"as_of": as_of, "since": datetime(first.year, first.month, first.day, tzinfo=UTC)}
