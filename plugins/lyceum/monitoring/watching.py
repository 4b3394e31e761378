"""One look at everything: measure, keep, judge, and tell."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lyceum.alerts import raise_alert, resolve_other_alerts
from lyceum.database import connect, monitor_target, target
from lyceum.monitoring.measuring import Sample, measure
from lyceum.monitoring.rules import KINDS, Finding, judge
from lyceum.monitoring.store import days_until_full, keep
from lyceum.settings import Settings


@dataclass(frozen=True, slots=True)
class Watch:
    """What one look found. `new_alerts` were raised by it, `resolved` were open before and are over."""

    samples: tuple[Sample, ...]
    findings: tuple[Finding, ...]
    new_alerts: int
    resolved: int


def watch(settings: Settings, as_of: datetime) -> Watch:
    """Measure the warehouse and its server, keep the measurements as those of `as_of`, open and end alerts.

    Safe to repeat: an alert is told once. Raises `RetryableError` when the warehouse does not answer.
    """
    warehouse = target(settings)
    samples = measure(warehouse, monitor_target(settings), settings, as_of)
    with connect(warehouse, autocommit=True, application_name="lyceum monitoring") as connection:
        keep(connection, samples, as_of)
        findings = judge(samples, days_until_full(connection, as_of))
    new = resolved = 0
    for finding in findings:
        new += raise_alert(warehouse, settings.alerts, finding.kind, finding.subject, finding.message)
    for kind in KINDS:
        subjects = [finding.subject for finding in findings if finding.kind == kind]
        resolved += len(resolve_other_alerts(warehouse, settings.alerts, kind, subjects))
    return Watch(samples, findings, new, resolved)
