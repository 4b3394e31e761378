"""A real Prometheus scrapes what `lyceum metrics --serve` answers of a real warehouse, and no panel is without a series."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import HTTPServer
from pathlib import Path

import httpx
import psycopg
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from lyceum.alert_settings import AlertSettings
from lyceum.alerts import raise_alert
from lyceum.analytics.build import build
from lyceum.audit import Access, ensure_audit_partitions, heads_of_home, record_access, seal_audit_batches
from lyceum.collect import collect_paths
from lyceum.database import ConnectionTarget, connect
from lyceum.errors import ConfigurationError
from lyceum.monitoring import Sample, keep, latest, measure
from lyceum.monitoring.exposition import CONTENT_TYPE, MEASURED_AGE, text_for_scrape
from lyceum.monitoring.serving import metrics_server
from lyceum.organizations import add_organization
from lyceum.simulator import SimulationPlan, sample_organizations, simulate, write_delivery
from lyceum.views import VIEWS, refresh
from prometheus_server import FOLDER, Prometheus, needs_prometheus, prometheus
from tenants import AS_OF, Tenant, deliver, event, refusal
from warehouse import SharedServer, Warehouse

DASHBOARDS = Path(__file__).parents[2] / "docker" / "grafana" / "dashboards"
TOKEN = "a-token-of-these-tests-alone"

# What one server of tests cannot have: a replica, and nights that have passed.
ELSEWHERE = (
    Sample("lyceum_replication_lag_bytes", (("replica", "replica"),), 0.0),
    Sample("lyceum_backup_age_seconds", (("kind", "backup"),), 3600.0),
)


def queries(name: str) -> list[tuple[str, str]]:
    """Return title and expression of every query of a dashboard."""
    dashboard = json.loads((DASHBOARDS / f"{name}.json").read_text())
    return [(panel["title"], target["expr"]) for panel in dashboard["panels"] for target in panel.get("targets", [])]


def selectors() -> set[str]:
    """Return the selectors of the rules, as far as they are measured by the warehouse."""
    groups = yaml.safe_load((FOLDER / "lyceum.rules.yml").read_text())["groups"]
    rules = [rule["expr"] for group in groups for rule in group["rules"]]
    return {found for rule in rules for found in re.findall(r"(?<![:\w])lyceum_\w+(?:\{[^}]*\})?", rule)}


@pytest.fixture(scope="module")
def busy(
    shared_server: SharedServer, template: ConnectionTarget, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Warehouse]:
    """A warehouse in which something was collected, refused, built, shown, read and told, and which was measured."""
    home = tmp_path_factory.mktemp("busy")
    with shared_server.database(home / "home", template) as warehouse:
        fill(warehouse, home)
        yield warehouse


def fill(warehouse: Warehouse, folder: Path) -> None:
    plan = SimulationPlan(
        first_day=(AS_OF - timedelta(days=2)).date(),
        days=2,
        organizations=sample_organizations(1, learners=8, courses=2),
    )
    [planned] = plan.organizations
    with warehouse.connect(autocommit=True) as connection:
        organization = add_organization(connection, planned.slug, planned.name, planned.time_zone, AS_OF)
    for delivery in simulate(plan):
        collect_paths(
            warehouse.target,
            warehouse.settings,
            organization=planned.slug,
            paths=[write_delivery(delivery, folder)],
            format="xapi",
            as_of=AS_OF,
            run_id="test",
        )
    build(warehouse.target, warehouse.settings, AS_OF, "test")
    for view in VIEWS.values():
        refresh(warehouse.target, warehouse.settings, view, AS_OF, "test")
    # An hour that waits, and a record that was refused.
    later = AS_OF + timedelta(minutes=30)
    Tenant(warehouse, organization).collect(deliver(event(1), refusal("missing_timestamp")), as_of=later)
    with warehouse.connect(autocommit=True) as connection:
        ensure_audit_partitions(connection)
        record_access(connection, Access("report_read", "report 1"))
        seal_audit_batches(connection, heads_of_home(warehouse.settings))
    for kind in ("audit_heads", "task_failed", "run_late"):
        raise_alert(warehouse.target, AlertSettings(), kind, "subject", "message")
    look(warehouse)


def look(warehouse: Warehouse) -> None:
    """Measure now, as the administrator in place of the login of monitoring, and keep it."""
    now = datetime.now(UTC)
    found = measure(warehouse.target, warehouse.administrator, warehouse.settings, now)
    # Days of long ago are told with the clock of their time; the trail has that of the machine.
    of_then = measure(warehouse.target, warehouse.administrator, warehouse.settings, AS_OF + timedelta(hours=1))
    by_series = {(sample.name, sample.labels): sample for sample in (*of_then, *found, *ELSEWHERE)}
    with warehouse.connect(autocommit=True) as connection:
        keep(connection, list(by_series.values()), now)


@contextmanager
def served(warehouse: Warehouse, token: str | None = TOKEN) -> Iterator[str]:
    """Serve the measurements of a warehouse as `lyceum metrics --serve` does; lend the address."""

    def measurements() -> bytes:
        with connect(warehouse.target, autocommit=True) as connection:
            return text_for_scrape(connection, lambda: datetime.now(UTC))

    with running(metrics_server("127.0.0.1", 0, measurements, token)) as address:
        yield address


@contextmanager
def running(server: HTTPServer) -> Iterator[str]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def scraping(busy: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that scrapes `busy`, twice at least."""
    folder = tmp_path_factory.mktemp("prometheus") / "folder"
    with served(busy) as address, prometheus(folder, {"lyceum": address}, TOKEN) as scraper:
        assert scraper.wait_for(
            'count_over_time(up{job="lyceum"}[1h]) >= 3 and min_over_time(up{job="lyceum"}[1h]) == 1'
        )
        yield scraper


@needs_prometheus
def test_prometheus_scrapes_every_measurement_with_its_value(busy: Warehouse, scraping: Prometheus) -> None:
    with busy.connect() as connection:
        _, samples = latest(connection)

    told = {
        (series["metric"]["__name__"], tuple(sorted(of_ours(series["metric"]).items()))): float(series["value"][1])
        for series in scraping.query('{__name__=~"lyceum_.*"}')
    }

    assert told.pop((MEASURED_AGE, ())) >= 0
    assert told == {(sample.name, sample.labels): pytest.approx(sample.value, rel=1e-6) for sample in samples}
    assert len(told) > 150


def of_ours(labels: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in labels.items() if name not in ("__name__", "job", "instance")}


@needs_prometheus
def test_every_measurement_that_the_rules_name_has_a_series(scraping: Prometheus) -> None:
    without = {selector for selector in selectors() if not scraping.query(selector)}

    assert without == set()
    assert len(selectors()) > 15
    assert scraping.wait_for('ALERTS{alertname="TaskFailed", alertstate="firing"}')
    assert scraping.wait_for("organization:lyceum_records_refused:ratio")


@needs_prometheus
@pytest.mark.parametrize("name", ["audit", "database", "warehouse"])
def test_no_panel_is_without_a_series(name: str, scraping: Prometheus) -> None:
    asked = queries(name)

    assert len(asked) > 10
    for title, expression in asked:
        found = scraping.wait_for(expression)
        assert found, f"{title}: {expression}"
        assert all(series["value"][1] != "NaN" for series in found), f"{title}: {expression}"


def test_every_dashboard_asks_the_data_source_that_is_provisioned_and_names_its_panels() -> None:
    folder = DASHBOARDS.parent / "provisioning"
    [source] = yaml.safe_load((folder / "datasources" / "prometheus.yml").read_text())["datasources"]
    [provider] = yaml.safe_load((folder / "dashboards" / "lyceum.yml").read_text())["providers"]

    assert provider["options"]["path"] == "/etc/grafana/dashboards"
    files = sorted(DASHBOARDS.glob("*.json"))
    assert [file.stem for file in files] == ["airflow", "audit", "database", "warehouse"]
    for file in files:
        dashboard = json.loads(file.read_text())
        ids = [panel["id"] for panel in dashboard["panels"]]
        assert len(set(ids)) == len(ids)
        taken: set[tuple[int, int]] = set()
        for panel in dashboard["panels"]:
            place = panel["gridPos"]
            cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
            assert place["x"] + place["w"] <= 24
            assert not cells & taken, panel["title"]
            taken |= cells
            assert panel["title"]
            for target in panel.get("targets", []):
                assert target["datasource"]["uid"] == panel["datasource"]["uid"] == source["uid"]


def test_a_scrape_needs_the_token_and_finds_nothing_elsewhere(busy: Warehouse) -> None:
    with served(busy) as address:

        def ask(path: str, **headers: str) -> httpx.Response:
            return httpx.get(f"http://{address}{path}", headers=headers, trust_env=False)

        answer = ask("/metrics", Authorization=f"Bearer {TOKEN}")
        refused = [ask("/metrics"), ask("/metrics", Authorization="Bearer x"), ask("/metrics", Authorization=TOKEN)]
        elsewhere = ask("/", Authorization=f"Bearer {TOKEN}")

    assert (answer.status_code, answer.headers["content-type"]) == (200, CONTENT_TYPE)
    assert {family.name for family in text_string_to_metric_families(answer.text)} >= {"lyceum_records", MEASURED_AGE}
    assert [one.status_code for one in refused] == [401, 401, 401]
    assert all("lyceum_" not in one.text for one in refused)
    assert elsewhere.status_code == 404


def test_what_was_never_measured_is_an_empty_answer(warehouse: Warehouse) -> None:
    with served(warehouse, None) as address:
        answer = httpx.get(f"http://{address}/metrics", trust_env=False)

    assert (answer.status_code, answer.text) == (200, "")


def test_a_warehouse_that_does_not_answer_is_told_without_what_the_server_said() -> None:
    def measurements() -> bytes:
        raise psycopg.OperationalError("secret of the server")

    with running(metrics_server("127.0.0.1", 0, measurements, None)) as address:
        answer = httpx.get(f"http://{address}/metrics", trust_env=False)

    assert answer.status_code == 503
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    ("host", "token", "expected"),
    [
        ("0.0.0.0", None, "no token guards the measurements"),
        ("metrics", None, "no token guards the measurements"),
        ("127.0.0.1", "short", "at least 16 printable"),
        ("127.0.0.1", "two lines\nof a long token", "at least 16 printable"),
        ("192.0.2.1", TOKEN, "Nothing can listen on"),
    ],
)
def test_an_address_that_would_give_everything_to_everybody_is_refused(
    host: str, token: str | None, expected: str
) -> None:
    with pytest.raises(ConfigurationError, match=expected):
        metrics_server(host, 0, bytes, token)


def test_the_command_serves_until_it_is_told_to_stop(busy: Warehouse, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    command = [sys.executable, "-c", "from lyceum.cli import main; main()", "metrics", "--serve", "127.0.0.1:0"]
    process = subprocess.Popen(
        [*command, "--token-file", str(token)],
        env={**os.environ, **busy.settings.environment()},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        told = re.search(r"http://127\.0\.0\.1:[1-9]\d*/metrics", process.stderr.readline())
        assert told is not None
        answer = httpx.get(told[0], headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False, timeout=60)
        process.terminate()
        code = process.wait()
    finally:
        process.kill()
        process.wait()
        process.stderr.close()

    assert answer.status_code == 200
    assert "lyceum_pending_hours" in answer.text
    assert code == 0
