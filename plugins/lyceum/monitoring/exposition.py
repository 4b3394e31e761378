"""Measurements as Prometheus scrapes them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry

from lyceum.database import Connection
from lyceum.monitoring.catalogue import METRICS
from lyceum.monitoring.measuring import Sample
from lyceum.monitoring.store import latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


MEASURED_AGE = "lyceum_measured_age_seconds"
"""How old the measurements are when they are scraped: what tells a warehouse that is well from one that nobody looks at."""


def text_for_prometheus(samples: Sequence[Sample], age: timedelta | None = None) -> bytes:
    """Return the samples in Prometheus' text format, with what each metric says. Metrics without samples are left out.

    With `age`, that of the measurements, it is one of the metrics.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Samples(samples, age))
    return generate_latest(registry)


def text_for_scrape(connection: Connection, clock: Callable[[], datetime]) -> bytes:
    """Return the newest measurements and their age in Prometheus' text format; nothing where nothing was ever measured."""
    measured_at, samples = latest(connection)
    return text_for_prometheus(samples, clock() - measured_at if measured_at is not None else None)


class _Samples(Collector):
    def __init__(self, samples: Iterable[Sample], age: timedelta | None) -> None:
        self._age = age
        self._samples: dict[str, list[Sample]] = defaultdict(list)
        for sample in samples:
            self._samples[sample.name].append(sample)

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        for metric in METRICS:
            found = self._samples.get(metric.name)
            if not found:
                continue
            of_kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            family = of_kind(metric.name, metric.help, labels=metric.labels)
            for sample in found:
                labels = dict(sample.labels)
                family.add_metric([labels[label] for label in metric.labels], sample.value)
            yield family
        if self._age is not None:
            yield GaugeMetricFamily(MEASURED_AGE, "Age of these measurements.", value=self._age.total_seconds())
