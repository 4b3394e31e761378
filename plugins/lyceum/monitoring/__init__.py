"""What the warehouse and its server say of themselves: measured, kept, exposed for Prometheus, and judged."""

from lyceum.monitoring.catalogue import BY_NAME, METRICS, Metric
from lyceum.monitoring.exposition import text_for_prometheus
from lyceum.monitoring.measuring import Sample, measure
from lyceum.monitoring.rules import Finding, judge
from lyceum.monitoring.store import keep, latest
from lyceum.monitoring.watching import Watch, watch

__all__ = [
    "BY_NAME",
    "METRICS",
    "Finding",
    "Metric",
    "Sample",
    "Watch",
    "judge",
    "keep",
    "latest",
    "measure",
    "text_for_prometheus",
    "watch",
]
