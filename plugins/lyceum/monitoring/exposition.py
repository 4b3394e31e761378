"""Measurements as Prometheus scrapes them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry

from lyceum.monitoring.catalogue import METRICS
from lyceum.monitoring.measuring import Sample

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def text_for_prometheus(samples: Sequence[Sample]) -> bytes:
    """Return the samples in Prometheus' text format, with what each metric says. Metrics without samples are left out."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Samples(samples))
    return generate_latest(registry)


class _Samples(Collector):
    def __init__(self, samples: Iterable[Sample]) -> None:
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
