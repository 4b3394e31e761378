"""What people see in a browser: each kind of report as it is handed out, and the page of the API, tried out without a network."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pytest
from pypdf import PdfReader

from api_callers import api_login, api_settings, now
from api_process import serving
from browser import Scheme, Tab, browsing, needs_browser
from lyceum.audit import ensure_audit_partitions
from lyceum.database import ConnectionTarget
from lyceum.reporting.people.contents import KINDS, Contents, Kind, shown
from lyceum.reporting.people.downloads import download_for_operator
from lyceum.security.tokens.claims import Role
from lyceum.security.tokens.development import development_issuer
from reported_schools import PLAN, Schools, make_schools
from warehouse import SharedServer

pytestmark = [needs_browser, pytest.mark.timeout(300)]

WIDE, NARROW = 1280, 360
ROLES: dict[Kind, Role] = {"learner": "learner", "trainer": "trainer", "organization": "org_admin"}


@dataclass(frozen=True, slots=True)
class Site:
    """A running API over two simulated schools, and a report of each kind with what it says."""

    address: str
    schools: Schools
    owners: dict[Kind, int | None]
    reports: dict[Kind, int]
    contents: dict[Kind, Contents]

    def token(self, kind: Kind) -> str:
        """Return a token of whoever the report of a kind is for."""
        issuer = development_issuer(self.schools.warehouse.settings)
        return issuer.mint(ROLES[kind], PLAN.organizations[0].slug, now(), user_id=self.owners[kind])


@pytest.fixture(scope="module")
def site(
    shared_server: SharedServer, template: ConnectionTarget, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    with make_schools(shared_server, template, tmp_path_factory.mktemp("pages")) as schools:
        owners: dict[Kind, int | None] = {kind: schools.people(kind)[0] for kind in ("learner", "trainer")}
        owners["organization"] = None
        with schools.warehouse.connect(autocommit=True) as connection:
            ensure_audit_partitions(connection)
        with schools.writer(now()) as writer:
            wanted = {kind: schools.wanted(kind, owners[kind]) for kind in KINDS}
            contents = {kind: writer.compose(wanted[kind]) for kind in KINDS}
            reports = {kind: writer.write(wanted[kind]).report_id for kind in KINDS}
        with (
            api_login(shared_server, schools.warehouse),
            serving(api_settings(shared_server, schools.warehouse, requests_per_minute=1_000_000)) as (address, _),
        ):
            yield Site(address, schools, owners, reports, contents)


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with browsing(tmp_path_factory.mktemp("browser")) as browser:
        yield browser.tab()


@pytest.fixture(autouse=True)
def _nothing_is_left(tab: Tab) -> None:
    tab.requests.clear()
    tab.complaints.clear()


def keep(tab: Tab, name: str) -> None:
    """Put a picture where somebody who wants to look at it says."""
    folder = os.environ.get("LYCEUM_TEST_PICTURES")
    if folder:
        Path(folder, f"{name}.png").write_bytes(tab.picture())


def plain(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("kind", KINDS)
def test_a_report_is_shown_whole_in_any_window_and_fetches_nothing(site: Site, tab: Tab, kind: Kind) -> None:
    address = f"{site.address}/v1/reports/{site.reports[kind]}"
    contents = site.contents[kind]
    for width in (WIDE, NARROW):
        for scheme in get_args(Scheme):
            tab.requests.clear()
            tab.look(width, scheme)
            tab.open(address, {"Authorization": f"Bearer {site.token(kind)}"})

            assert tab.requests == [address]
            assert tab.complaints == []
            assert tab.overflow() <= 0, (width, scheme)
            keep(tab, f"{kind}-{width}-{scheme}")
    told = plain(tab.value("document.body.innerText"))
    assert plain(contents.headline) in told
    for section in contents.sections:
        for figure in section.figures:
            seen = plain(tab.value(f"document.getElementById('figure-{figure.key}').innerText"))
            assert seen.startswith(plain(shown(figure.value, figure.unit))), figure.key
        for table in section.tables:
            for row in table.rows:
                line = " ".join(plain(shown(value, one.unit)) for value, one in zip(row, table.headings, strict=True))
                assert line in told


@pytest.mark.parametrize("kind", KINDS)
def test_a_chart_is_told_in_words_to_who_does_not_see_it(site: Site, tab: Tab, kind: Kind) -> None:
    tab.look(WIDE, "light")
    tab.open(f"{site.address}/v1/reports/{site.reports[kind]}", {"Authorization": f"Bearer {site.token(kind)}"})

    spoken = tab.spoken()
    graphs = [graph for section in site.contents[kind].sections for graph in section.graphs]
    images = [name for role, name in spoken if role in ("image", "img", "graphics-document")]
    assert len(graphs) > 1
    for graph in graphs:
        assert graph.description in images
    headings = {name for role, name in spoken if role == "heading"}
    assert {section.title for section in site.contents[kind].sections} <= headings


@pytest.mark.parametrize("kind", KINDS)
def test_a_report_to_print_has_the_figures_of_the_page(site: Site, kind: Kind) -> None:
    warehouse = site.schools.warehouse
    known = download_for_operator(
        warehouse.target, warehouse.settings, site.schools.organization_id, site.reports[kind], "pdf", as_of=now()
    )
    reader = PdfReader(io.BytesIO(known.content))
    said = "".join("".join(page.extract_text() for page in reader.pages).split()).replace("\u00ad", "")

    for section in site.contents[kind].sections:
        assert "".join(section.title.split()) in said
        for figure in section.figures:
            assert "".join(shown(figure.value, figure.unit).split()) in said


def sign_in(tab: Tab, token: str) -> None:
    tab.value(
        f"document.getElementById('token').value = {json.dumps(token)}; "
        "document.querySelector('#token-form button').click()"
    )


def ask(tab: Tab, operation: str, **fields: object) -> tuple[str, str]:
    """Open an operation, fill its fields, press its button; return the status that the page shows, and how to find the answer."""
    card = f"document.querySelector('article[id^={operation}_]')"
    tab.value(f"location.hash = '#' + {card}.id")
    tab.until(f"{card}.querySelector('details').open")
    for name, value in fields.items():
        field = f"{card}.querySelector('form').elements[{json.dumps(name)}]"
        tab.value(f"{field}.value = {json.dumps(str(value))}")
        tab.value(f"{field}.dispatchEvent(new Event('input', {{bubbles: true}}))")
    tab.value(f"{card}.querySelector('form button').click()")
    status = tab.until(f"({card}.querySelector('[role=status] .status') || {{}}).innerText")
    return str(status), f"{card}.querySelector('[role=status]')"


def test_the_page_of_the_api_answers_a_question_without_a_network(site: Site, tab: Tab) -> None:
    """The browser finds no host but this machine; the number is that of the report."""
    for width in (WIDE, NARROW):
        for scheme in get_args(Scheme):
            tab.look(width, scheme)
            tab.open(f"{site.address}/docs")
            tab.until("document.documentElement.dataset.ready")
            assert tab.overflow() <= 0, (width, scheme)
            keep(tab, f"docs-{width}-{scheme}")
            sign_in(tab, site.token("organization"))
            monday = site.contents["organization"].period.start
            fields = {"period": "week", "from": monday, "to": monday}
            status, answer = ask(tab, "tell_organization_trends", **fields)
            assert status == "200"
            reply = tab.value(f"{answer}.querySelector('pre').innerText")
            keep(tab, f"docs-answer-{width}-{scheme}")
            assert tab.overflow() <= 0, (width, scheme)

    (week,) = json.loads(reply)["data"]
    (active,) = [
        figure.value
        for section in site.contents["organization"].sections
        for figure in section.figures
        if figure.key == "learners_active"
    ]
    assert week["learners_active"] == active
    assert {
        address.partition("?")[0].removeprefix(site.address) for address in tab.requests if "data:" not in address
    } == {*("/docs", "/docs/page.js", "/docs/page.css", "/v1/openapi.json", "/v1/organization/trends")}
    assert tab.complaints == []


def test_a_report_is_saved_from_the_page_of_the_api(site: Site, tab: Tab) -> None:
    tab.look(WIDE, "light")
    tab.open(f"{site.address}/docs")
    tab.until("document.documentElement.dataset.ready")
    sign_in(tab, site.token("trainer"))

    status, answer = ask(tab, "download_report", report_id=site.reports["trainer"], format="pdf")
    keep(tab, "docs-report")
    assert status == "200"
    assert tab.value(f"{answer}.querySelector('.save').download") == "trainer-week-2026-11-09.pdf"
    assert tab.value(f"{answer}.querySelector('.save').href").startswith("blob:")
    curl = tab.value(f"{answer}.parentElement.querySelector('h3 + pre').innerText")
    assert curl == (
        'curl -sOJ -H "Authorization: Bearer $TOKEN" '
        f"'{site.address}/v1/reports/{site.reports['trainer']}?format=pdf'"
    )
    assert tab.complaints == []


def test_the_page_of_the_api_says_when_a_report_is_not_theirs(site: Site, tab: Tab) -> None:
    tab.look(WIDE, "light")
    tab.open(f"{site.address}/docs")
    tab.until("document.documentElement.dataset.ready")
    sign_in(tab, site.token("learner"))

    status, answer = ask(tab, "download_report", report_id=site.reports["trainer"], format="html")
    assert status == "404"
    assert "no such report" in tab.value(f"{answer}.querySelector('pre').innerText")
