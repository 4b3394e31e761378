"""The pages in the Airflow UI, asked of a real API server and in a real browser: behind its login, and nothing but pages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from psycopg import sql

from api_server import api_server
from browser import Tab, browsing, needs_browser
from lyceum.alert_settings import AlertSettings
from lyceum.alerts import raise_alert
from lyceum.database import Login, connect, login_target
from lyceum.monitoring import Sample, keep
from lyceum.organizations import add_organization
from lyceum.reporting.shelf import documentation_page, place, quality_folder
from lyceum.settings import Settings
from lyceum.supervisor import AirflowServices
from lyceum.supervisor.credentials import administrator_password
from tenants import Tenant, deliver, event, refusal
from warehouse import SharedServer, Warehouse

pytestmark = pytest.mark.timeout(900)

PAGES = {
    "/lyceum/quality/latest.html": "the latest report",
    "/lyceum/quality/build-7.html": "the report of build 7",
    "/lyceum/documentation/index.html": "the documentation",
}
TOLD = {"/lyceum/warehouse.html": "Warehouse", "/lyceum/retention.html": "Audit & retention"}
ABSENT = ("/lyceum/quality/index.html", "/lyceum/quality/build-8.html")
SECRET = "not for anybody"
TRESPASSES = (
    "/lyceum/quality/..%2f..%2fsecrets%2fairflow_passwords.json",
    "/lyceum/quality/%2e%2e%2f%2e%2e%2fsecret.html",
    "/lyceum/quality/..%2fsecret.html",
    "/lyceum/quality/secret.html",
    "/lyceum/quality/build-7.html%00.html",
    "/lyceum/quality/build-07.html",
    "/lyceum/quality/.latest.html.part",
    "/lyceum/documentation/..%2fquality%2flatest.html",
    "/lyceum/openapi.json",
    "/lyceum/docs",
)


@dataclass(frozen=True)
class Served:
    """A real API server, the home that it serves, and the administrator's token."""

    address: str
    settings: Settings
    warehouse: Warehouse
    token: str

    def get(self, path: str, way: str = "cookie") -> httpx.Response:
        """Ask for a page as nobody, with a forged token, or with a token in the header or the cookie."""
        headers = {
            "nobody": {},
            "forged": {"Authorization": f"Bearer {self.token[:-4]}abcd"},
            "bearer": {"Authorization": f"Bearer {self.token}"},
            "cookie": {"Cookie": f"_token={self.token}"},
        }[way]
        return httpx.get(self.address + path, headers=headers, trust_env=False, timeout=60)


@pytest.fixture(scope="module")
def served(
    airflow: tuple[Warehouse, dict[str, str]], shared_server: SharedServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    # A home of its own beside the shared metadata: other tests look at the pages of theirs.
    warehouse, _ = airflow
    folder = tmp_path_factory.mktemp("pages")
    monitor = None
    if shared_server.database_url is None:
        monitor = login_target(warehouse.administrator, shared_server.settings, Login.MONITOR).url()
    settings = replace(warehouse.settings, home=folder / "home", monitor_database_url=monitor)
    environment = AirflowServices(settings).environment(warehouse.administrator)
    quality = quality_folder(settings)
    place(quality / "latest.html", b"the latest report")
    place(quality / "build-7.html", b"the report of build 7")
    place(documentation_page(settings), b"the documentation")
    for file in (quality / "secret.html", quality.parent / "secret.html", settings.home / "secret.html"):
        file.write_text(SECRET)
    with api_server(environment, folder / "api-server.log") as address:
        asked = {"username": "admin", "password": administrator_password(settings)}
        said = httpx.post(f"{address}/auth/token", json=asked, trust_env=False, timeout=60)
        yield Served(address, settings, warehouse, said.json()["access_token"])


@pytest.mark.parametrize("path", [*PAGES, *TOLD, *ABSENT])
@pytest.mark.parametrize(("way", "status"), [("nobody", 401), ("forged", 403)])
def test_who_is_not_logged_in_sees_no_page_not_even_whether_it_exists(
    served: Served, path: str, way: str, status: int
) -> None:
    answer = served.get(path, way)
    assert answer.status_code == status
    assert "report" not in answer.text
    assert "documentation" not in answer.text
    assert "warehouse is" not in answer.text


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("way", ["bearer", "cookie"])
def test_who_is_logged_in_sees_the_page_and_the_page_can_fetch_nothing(served: Served, path: str, way: str) -> None:
    answer = served.get(path, way)
    assert (answer.status_code, answer.text) == (200, PAGES[path])
    headers = answer.headers
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'self'" in headers["content-security-policy"]
    assert "connect-src" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "private, no-cache"


@pytest.mark.parametrize("path", ABSENT)
def test_a_page_that_was_not_written_yet_says_what_writes_it(served: Served, path: str) -> None:
    answer = served.get(path)
    assert answer.status_code == 404
    assert "The next build writes one" in answer.text


@pytest.mark.parametrize("path", TRESPASSES)
@pytest.mark.parametrize("way", ["nobody", "cookie"])
def test_nothing_but_the_named_pages_is_served(served: Served, path: str, way: str) -> None:
    answer = served.get(path, way)
    assert answer.status_code in (401, 404)
    assert SECRET not in answer.text
    assert "the latest report" not in answer.text
    assert "admin" not in answer.text


def _plugins(served: Served) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = served.get("/api/v2/plugins", "bearer").json()["plugins"]
    return found


def test_the_navigation_links_to_every_page(served: Served) -> None:
    (plugin,) = [plugin for plugin in _plugins(served) if plugin["name"] == "lyceum"]
    links = {view["name"]: view["href"] for view in plugin["external_views"]}
    assert links == {
        "Warehouse": "/lyceum/warehouse.html",
        "Data quality": "/lyceum/quality/latest.html",
        "dbt docs": "/lyceum/documentation/index.html",
        "Audit & retention": "/lyceum/retention.html",
    }
    assert set(links.values()) <= {*PAGES, *TOLD}
    assert all(view["destination"] == "nav" for view in plugin["external_views"])
    assert [app["url_prefix"] for app in plugin["fastapi_apps"]] == ["/lyceum"]


def test_the_plugin_loader_registers_nothing_else_of_the_library(served: Served) -> None:
    assert [plugin["name"] for plugin in _plugins(served) if "lyceum" in plugin["source"]] == ["lyceum"]


@dataclass
class Visitor:
    """Somebody who has logged in to Airflow with a browser, as a person does."""

    tab: Tab
    served: Served
    pictures: Path

    def look(self, route: str, heading: str, status: int = 200) -> str:
        """Open a page by its route in Airflow's UI, wait for what it is about, and return its text.

        It fetched nothing from elsewhere, and nobody complained, but of the status that was to be expected.
        """
        self.tab.forget()
        self.tab.open(f"{self.served.address}/plugin/{route}")
        shown = "document.querySelector('iframe').contentDocument"
        self.tab.until(f"{shown}.readyState === 'complete' && {shown}.body.innerText.includes({json.dumps(heading)})")
        assert self.tab.strangers(self.served.address) == []
        expected = [] if status == 200 else [complaint for complaint in self.tab.errors if f"{status}" in complaint]
        assert self.tab.errors == expected
        assert bool(expected) == (status != 200)
        return str(self.tab.value(f"{shown}.body.innerText"))

    def in_page(self, expression: str) -> Any:
        """Return the value of an expression about the page's document, `page`."""
        return self.tab.value(f"(page => {expression})(document.querySelector('iframe').contentDocument)")


@pytest.fixture(scope="module")
def visitor(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    folder = tmp_path_factory.mktemp("browser")
    with browsing(folder) as browser:
        tab = browser.tab()
        tab.look(1280, "light")
        tab.open(served.address)
        tab.fill("input[name=username]", "admin")
        tab.fill("input[name=password]", administrator_password(served.settings))
        tab.click("button[type=submit]")
        tab.until("!location.pathname.startsWith('/auth')")
        yield Visitor(tab, served, folder)


LIGHT, DARK = "rgb(246, 247, 248)", "rgb(18, 22, 26)"
WAREHOUSE, RETENTION = ("lyceum-warehouse", "Lyceum · Warehouse"), ("lyceum-audit-retention", "Lyceum · Audit")


@needs_browser
def test_a_person_sees_an_empty_a_filled_a_failing_and_an_unreachable_warehouse(visitor: Visitor) -> None:
    served = visitor.served
    warehouse = replace(served.warehouse, settings=served.settings)
    clock = datetime.now(UTC)

    assert "The warehouse is ready and empty" in visitor.look(*WAREHOUSE)
    assert "Nothing to keep and nothing to prove yet" in visitor.look(*RETENTION)
    latest = quality_folder(served.settings) / "latest.html"
    latest.unlink()
    assert "The next build writes one" in visitor.look("lyceum-data-quality", "No data-quality report", 404)
    place(latest, b"the latest report")
    assert visitor.look("lyceum-dbt-docs", "the documentation") == "the documentation"

    _fill(warehouse, clock)
    told = visitor.look(*WAREHOUSE)
    assert "The warehouse is up to date and healthy" in told
    assert "college" in told
    assert visitor.in_page("page.querySelectorAll('#partitions svg .cell.kept').length") > 0
    assert visitor.in_page("page.querySelectorAll('#volumes svg.chart rect.accepted').length") == 1
    assert "What must be kept is kept" in visitor.look(*RETENTION)
    for is_dark, colour in ((False, LIGHT), (True, DARK)):
        for route in (WAREHOUSE, RETENTION):
            visitor.tab.look(390, "dark" if is_dark else "light", 800)
            visitor.look(*route)
            assert visitor.in_page("getComputedStyle(page.body).backgroundColor") == colour
            # What is wide scrolls in its own place; the page does not.
            assert visitor.in_page("page.documentElement.scrollWidth <= page.documentElement.clientWidth")
    visitor.tab.look(1280, "light")

    _run_dags(warehouse, clock)
    raise_alert(
        warehouse.target, AlertSettings(), "task_failed", "build_analytics.publish", "The task publish failed for good."
    )
    raise_alert(warehouse.target, AlertSettings(), "audit_gap", "audit", "Part of the log was gone.")
    told = visitor.look(*WAREHOUSE)
    assert "The warehouse needs somebody: audit gap, audit" in told
    assert "build_analytics.publish" in told
    assert "The last run of refresh_learner_summary failed." in told
    assert "4 min 0 s" in visitor.in_page("page.querySelector('#runs svg').textContent")
    assert visitor.in_page("page.querySelectorAll('#runs svg .mark.critical').length") == 1
    # The runbook's own words stand beside the first finding.
    assert "Find out who rotated or removed it" in told
    told = visitor.look(*RETENTION)
    assert "Keeping or proof is in doubt: audit gap, audit" in told
    assert "build_analytics.publish" not in told

    with _closed(warehouse):
        told = visitor.look("lyceum-warehouse", "The warehouse does not answer", 503)
        assert "lyceum status" in told
        assert warehouse.settings.warehouse_database not in told
        visitor.look("lyceum-audit-retention", "The warehouse does not answer", 503)
    # The page itself leads back, once the warehouse is there again.
    visitor.in_page("void setTimeout(() => page.querySelector('.banner a').click(), 0)")
    visitor.tab.until(
        "document.querySelector('iframe').contentDocument.body.innerText.includes('Keeping or proof is in doubt')"
    )


def _fill(warehouse: Warehouse, clock: datetime) -> None:
    """Add an organization that was collected from, measured, sealed and backed up just now."""
    with warehouse.connect(autocommit=True) as connection:
        organization = add_organization(connection, "college", "College", "UTC", clock - timedelta(days=30))
        occurred = f"{clock - timedelta(hours=1):%Y-%m-%d %H:%M}"
        Tenant(warehouse, organization).collect(
            deliver(event(1, occurred), event(2, occurred), refusal("invalid")), as_of=clock
        )
        keep(connection, [Sample("lyceum_database_bytes", (), 5e7)], clock)
        connection.execute(
            """
            insert into ops.backup_runs (run_id, kind, backup, begun_at, ended_at, is_success, byte_length)
            values (gen_random_uuid(), 'backup', '20261101T000000Z-0001', now(), now(), true, 12345678)
            """
        )


def _run_dags(warehouse: Warehouse, clock: datetime) -> None:
    """Leave in Airflow's tables what its scheduler leaves of a run that succeeded and one that failed."""
    metadata = warehouse.administrator.with_database(warehouse.settings.airflow_database)
    with connect(metadata, autocommit=True) as connection:
        connection.execute("insert into dag_bundle (name) values ('pages') on conflict do nothing")
        connection.execute(
            """
            insert into dag (
                dag_id, is_paused, is_stale, bundle_name, timetable_type, partition_mapper_info, max_active_tasks,
                max_consecutive_failed_dag_runs, has_task_concurrency_limits
            ) values ('refresh_learner_summary', false, false, 'pages', '', '{}', 1, 0, false)
            """
        )
        connection.execute(
            """
            insert into dag_run (dag_id, run_id, run_type, run_after, state, start_date, end_date)
            select
                'refresh_learner_summary', state, 'scheduled', %(clock)s, state,
                %(clock)s - interval '5 minutes', %(clock)s - interval '1 minute'
            from unnest(array['success', 'failed']) as states (state)
            """,
            {"clock": clock},
        )


@contextmanager
def _closed(warehouse: Warehouse) -> Iterator[None]:
    """Let nobody connect to the warehouse."""
    name = sql.Identifier(warehouse.settings.warehouse_database)
    with connect(warehouse.administrator.with_database("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("alter database {} with allow_connections false").format(name))
        try:
            yield
        finally:
            connection.execute(sql.SQL("alter database {} with allow_connections true").format(name))
