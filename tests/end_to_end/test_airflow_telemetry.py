"""Airflow, as the supervisor starts it, tells of itself: metrics to a StatsD exporter, lineage to a file."""

from __future__ import annotations

import http.server
import json
import re
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from psycopg import sql

from lyceum.database import ConnectionTarget, connect, ensure_databases
from lyceum.organizations import add_organization
from lyceum.supervisor import AirflowServices
from prometheus_server import FOLDER, needs_prometheus, prometheus
from tenants import AS_OF
from warehouse import SharedServer

pytestmark = [pytest.mark.exhaustive, pytest.mark.timeout(900), needs_prometheus]

DASHBOARD = Path(__file__).parents[2] / "docker" / "grafana" / "dashboards" / "airflow.json"
LINE = re.compile(r"(?P<name>[^,:]+)(?P<tags>(?:,[^:]*)?):(?P<value>[-+.\de]+)\|(?P<kind>c|g|ms)(?:\|@[\d.]+)?")


class Exporter:
    """What the StatsD exporter does with its mapping file: counters, gauges and times become Prometheus' text."""

    def __init__(self) -> None:
        options = yaml.safe_load((FOLDER / "statsd.yml").read_text())["defaults"]
        assert options["observer_type"] == "histogram"
        self._bounds = options["histogram_options"]["buckets"]
        self._values: dict[tuple[str, str], float] = defaultdict(float)
        self._kinds: dict[str, str] = {}
        self._lock = threading.Lock()

    def take(self, packet: bytes) -> None:
        """Take a packet of StatsD lines with tags in InfluxDB's notation."""
        for text in packet.decode().splitlines():
            line = LINE.fullmatch(text)
            assert line is not None, text
            name = re.sub(r"[^a-zA-Z0-9_]", "_", line["name"])
            tags = [tag.split("=", 1) for tag in line["tags"].split(",") if tag]
            labels = ",".join(f"{key}={json.dumps(value)}" for key, value in sorted(tags))
            with self._lock:
                self._add(name, labels, line["kind"], line["value"])

    def _add(self, name: str, labels: str, kind: str, text: str) -> None:
        value = float(text)
        self._kinds[name] = {"c": "counter", "g": "gauge", "ms": "histogram"}[kind]
        if kind == "g":
            base = self._values[name, labels] if text[0] in "+-" else 0.0
            self._values[name, labels] = base + value
        elif kind == "c":
            self._values[name, labels] += value
        else:
            seconds = value / 1000
            for bound in [*self._bounds, float("inf")]:
                upper = "+Inf" if bound == float("inf") else str(bound)
                inner = f'{labels},le="{upper}"' if labels else f'le="{upper}"'
                self._values[f"{name}_bucket", inner] += seconds <= bound
            self._values[f"{name}_sum", labels] += seconds
            self._values[f"{name}_count", labels] += 1

    @property
    def names(self) -> set[str]:
        """The metrics that came."""
        with self._lock:
            return set(self._kinds)

    def text(self) -> bytes:
        """Return all of it as Prometheus reads it."""
        with self._lock:
            lines = [f"{name}{{{labels}}} {value}" for (name, labels), value in sorted(self._values.items())]
        return ("\n".join(lines) + "\n").encode()


@contextmanager
def exporter() -> Iterator[tuple[Exporter, tuple[str, int], str]]:
    """Listen for StatsD and answer Prometheus, both on free ports of loopback."""
    exported = Exporter()

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(exported.text())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server,
    ):
        receiver.bind(("127.0.0.1", 0))
        is_over = threading.Event()

        def receive() -> None:
            while packet := receiver.recv(65_536):
                if is_over.is_set():
                    return
                exported.take(packet)

        threads = [threading.Thread(target=receive), threading.Thread(target=server.serve_forever)]
        for thread in threads:
            thread.start()
        try:
            yield exported, receiver.getsockname(), f"127.0.0.1:{server.server_port}"
        finally:
            is_over.set()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.sendto(b"end:0|c", receiver.getsockname())
            server.shutdown()
            for thread in threads:
                thread.join()


def test_airflow_tells_its_metrics_and_its_lineage(
    shared_server: SharedServer, template: ConnectionTarget, tmp_path: Path
) -> None:
    log = tmp_path / "lineage.ndjson"
    metadata = f"airflow_{uuid4().hex[:12]}"
    with (
        exporter() as (exported, statsd, scraped),
        shared_server.database(tmp_path / "home", template) as lent,
        prometheus(tmp_path / "prometheus", {"airflow": scraped}, "none") as scraper,
    ):
        settings = replace(lent.settings, airflow_database=metadata, statsd=statsd, openlineage_url=f"file://{log}")
        with lent.connect(autocommit=True) as connection:
            add_organization(connection, "college", "College", "UTC", AS_OF)
        ensure_databases(lent.administrator, [metadata])
        services = AirflowServices(settings)
        try:
            services.prepare(lent.administrator)
            services.start(lent.administrator)
            services.wait_until_healthy()
            services.ensure_pools()
            services.wait_until_parsed()
            with services.api() as api:
                runs = [api.trigger("monitor_warehouse"), api.trigger("build_analytics")]
                deadline = time.monotonic() + 300
                while not all(api.dag_run(run.dag_id, run.run_id).is_finished for run in runs):
                    assert time.monotonic() < deadline
                    time.sleep(1)
            without = {f"{title}: {expression}" for title, expression in queries() if not scraper.wait_for(expression)}
        finally:
            services.stop()
            with connect(lent.administrator.with_database("postgres"), autocommit=True) as connection:
                connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(metadata)))

    assert without == set()
    assert {"airflow_scheduler_heartbeat", "airflow_ti_finish", "airflow_pool_open_slots"} <= exported.names
    events = [json.loads(line) for line in log.read_text().splitlines()]
    told = {(event["job"]["name"], event["eventType"]) for event in events}
    assert {("monitor_warehouse.watch", "START"), ("monitor_warehouse.watch", "COMPLETE")} <= told
    assert ("build_analytics.begin", "COMPLETE") in told
    parents = {event["run"]["facets"]["parent"]["job"]["name"] for event in events if is_task(event)}
    assert {"monitor_warehouse", "build_analytics"} <= parents


def is_task(event: dict[str, Any]) -> bool:
    integration: str = event["job"]["facets"]["jobType"]["integration"]
    return integration == "AIRFLOW"


def queries() -> list[tuple[str, str]]:
    dashboard = json.loads(DASHBOARD.read_text())
    asked = [(panel["title"], target["expr"]) for panel in dashboard["panels"] for target in panel.get("targets", [])]
    return [*asked, ("the rule AirflowSilent", "airflow_scheduler_heartbeat")]
