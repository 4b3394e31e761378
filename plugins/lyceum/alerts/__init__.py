"""Alerts: what somebody should look at, kept in `ops.alerts` until it is over, logged, posted and mailed."""

from lyceum.alerts.alert import Alert, Kind
from lyceum.alerts.ledger import open_alerts, raise_alert, resolve_alerts, resolve_other_alerts

__all__ = ["Alert", "Kind", "open_alerts", "raise_alert", "resolve_alerts", "resolve_other_alerts"]
