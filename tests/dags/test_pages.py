"""The pages in the Airflow UI, asked of the real Airflow application: behind its login, and nothing but pages."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lyceum.reporting.shelf import documentation_page, place, quality_folder
from lyceum.supervisor import AirflowServices
from lyceum.supervisor.credentials import administrator_password
from warehouse import Warehouse

pytestmark = pytest.mark.timeout(900)

PAGES = {
    "/lyceum/quality/latest.html": "the latest report",
    "/lyceum/quality/build-7.html": "the report of build 7",
    "/lyceum/documentation/index.html": "the documentation",
}
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


@pytest.fixture(scope="module")
def said(airflow: tuple[Warehouse, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    # A home of its own beside the shared metadata: other tests look at the pages of theirs.
    warehouse, _ = airflow
    settings = replace(warehouse.settings, home=tmp_path_factory.mktemp("pages") / "home")
    environment = AirflowServices(settings).environment(warehouse.administrator)
    folder = quality_folder(settings)
    place(folder / "latest.html", b"the latest report")
    place(folder / "build-7.html", b"the report of build 7")
    place(documentation_page(settings), b"the documentation")
    for file in (folder / "secret.html", folder.parent / "secret.html", settings.home / "secret.html"):
        file.write_text(SECRET)
    asked = {"password": administrator_password(settings), "paths": [*PAGES, *ABSENT, *TRESPASSES]}
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("page_requests.py"))],
        env=environment,
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("path", [*PAGES, *ABSENT])
@pytest.mark.parametrize(("way", "status"), [("nobody", 401), ("forged", 403)])
def test_who_is_not_logged_in_sees_no_page_not_even_whether_it_exists(
    said: dict[str, Any], path: str, way: str, status: int
) -> None:
    answer = said["answers"][way][path]
    assert answer["status"] == status
    assert "report" not in answer["body"]
    assert "documentation" not in answer["body"]


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("way", ["bearer", "cookie"])
def test_who_is_logged_in_sees_the_page_and_the_page_can_fetch_nothing(
    said: dict[str, Any], path: str, way: str
) -> None:
    answer = said["answers"][way][path]
    assert (answer["status"], answer["body"]) == (200, PAGES[path])
    headers = answer["headers"]
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'self'" in headers["content-security-policy"]
    assert "connect-src" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "private, no-cache"


@pytest.mark.parametrize("path", ABSENT)
def test_a_page_that_was_not_written_yet_says_what_writes_it(said: dict[str, Any], path: str) -> None:
    answer = said["answers"]["cookie"][path]
    assert answer["status"] == 404
    assert "The next build writes one" in answer["body"]


@pytest.mark.parametrize("path", TRESPASSES)
@pytest.mark.parametrize("way", ["nobody", "cookie"])
def test_nothing_but_the_named_pages_is_served(said: dict[str, Any], path: str, way: str) -> None:
    answer = said["answers"][way][path]
    assert answer["status"] in (401, 404)
    assert SECRET not in answer["body"]
    assert "the latest report" not in answer["body"]
    assert "admin" not in answer["body"]


def test_the_navigation_links_to_both_pages(said: dict[str, Any]) -> None:
    (plugin,) = [plugin for plugin in said["plugins"] if plugin["name"] == "lyceum"]
    links = {view["name"]: view["href"] for view in plugin["external_views"]}
    assert links == {
        "Data quality": "/lyceum/quality/latest.html",
        "dbt docs": "/lyceum/documentation/index.html",
    }
    assert set(links.values()) <= set(PAGES)
    assert all(view["destination"] == "nav" for view in plugin["external_views"])
    assert [app["url_prefix"] for app in plugin["fastapi_apps"]] == ["/lyceum"]


def test_the_plugin_loader_registers_nothing_else_of_the_library(said: dict[str, Any]) -> None:
    assert [plugin["name"] for plugin in said["plugins"] if "lyceum" in plugin["source"]] == ["lyceum"]
