"""The data-quality report of real builds: one that was published, one that an audit stopped, one that had nothing to do."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from lyceum.analytics import build as steps
from lyceum.cli import main
from lyceum.collect import collect_paths
from lyceum.errors import AuditError, ConfigurationError
from lyceum.organizations import add_organization
from lyceum.reporting.gathering import gather, read_facts
from lyceum.reporting.page import render_report
from lyceum.reporting.quality import write_quality_report
from lyceum.reporting.shelf import quality_folder
from lyceum.simulator import Delivery, Irregularities, SimulationPlan, sample_organizations, simulate, write_delivery
from lyceum.views import VIEWS, refresh
from warehouse import SharedServer, Warehouse

PLAN = SimulationPlan(
    first_day=date(2026, 11, 9),
    days=2,
    organizations=sample_organizations(2, learners=30, courses=2),
    seed=3,
    irregularities=Irregularities(duplicate=0.05, conflicting=0.05, malformed=0.05),
)


@dataclass(frozen=True)
class Story:
    """A warehouse with two builds: the first published, the second stopped by its audit."""

    warehouse: Warehouse
    published: int
    stopped: int
    deliveries: tuple[Delivery, ...]
    last_clock: datetime


@pytest.fixture(scope="module")
def story(shared_server: SharedServer, template: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("reporting")
    deliveries = tuple(simulate(PLAN))
    days = len(PLAN.organizations)
    with shared_server.database(folder / "home", template) as lent:
        lent.settings.create_directories()
        with lent.connect() as connection:
            for organization in PLAN.organizations:
                add_organization(
                    connection,
                    organization.slug,
                    organization.name,
                    organization.time_zone,
                    datetime(2026, 11, 9, tzinfo=UTC),
                )
        as_of = _collect(lent, deliveries[:days], folder)
        published = steps.build(lent.target, lent.settings, as_of, "first").scope.build_id
        refresh(lent.target, lent.settings, VIEWS["organization"], as_of, "first")
        as_of = _collect(lent, deliveries[days:], folder)
        with lent.connect() as connection:
            connection.execute(
                """
                delete from stage_one.event_keys
                where event_id in (
                    select event_id from stage_one.raw_data_collection where collected_at = %s order by event_id limit 3
                )
                """,
                [as_of - timedelta(minutes=5)],
            )
        with pytest.raises(AuditError):
            steps.build(lent.target, lent.settings, as_of, "second")
        yield Story(lent, published, published + 1, deliveries, as_of)


def _collect(warehouse: Warehouse, deliveries: tuple[Delivery, ...], folder: Path) -> datetime:
    collected_at = datetime.combine(deliveries[-1].day + timedelta(days=1), time(12), tzinfo=UTC)
    for delivery in deliveries:
        collect_paths(
            warehouse.target,
            warehouse.settings,
            organization=delivery.organization.slug,
            paths=[write_delivery(delivery, folder)],
            format="xapi",
            as_of=collected_at,
            run_id="test",
        )
    return collected_at + timedelta(minutes=5)


class Page(HTMLParser):
    """Reads a page strictly: every element is closed by its own end tag, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.said: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, self.getpos()

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.said.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.said).split())

    def values(self, name: str) -> list[str]:
        return [value for _, attributes in self.elements if (value := attributes.get(name))]


def page_of(story: Story, build_id: int) -> Page:
    with story.warehouse.connect() as connection:
        return Page(render_report(gather(connection, story.warehouse.settings, build_id)))


@pytest.fixture(params=["published", "stopped"])
def page(request: pytest.FixtureRequest, story: Story) -> Page:
    return page_of(story, getattr(story, request.param))


def test_a_published_build_is_told_with_every_audit_it_passed(story: Story) -> None:
    page = page_of(story, story.published)
    with story.warehouse.connect() as connection:
        (expectations,) = connection.execute(
            "select count(*) from ops.expectation_results where build_id = %s and is_success", [story.published]
        ).fetchone() or (0,)
        names = connection.execute(
            "select expectation from ops.expectation_results where build_id = %s", [story.published]
        ).fetchall()
        (keys,) = connection.execute(
            "select sum(keys_checked) from ops.reconciliation_results where build_id = %s", [story.published]
        ).fetchone() or (0,)
    assert f"Build {story.published}: published" in page.text
    assert f"{expectations} / {len(names)} expectations met" in page.text
    assert f"0 of {keys:,} reconciled keys disagree" in page.text
    assert [name for (name,) in names if name not in page.text] == []


def test_a_build_that_an_audit_stopped_names_the_check_the_organization_and_the_keys_with_both_values(
    story: Story,
) -> None:
    page = page_of(story, story.stopped)
    assert f"Build {story.stopped}: not published" in page.text
    assert "What kept this build from being published" in page.text
    assert "batches_lost_nothing failed. The last published version stays up." in page.text
    with story.warehouse.connect() as connection:
        for slug, sample in connection.execute(
            """
            select organizations.slug, results.sample
            from ops.reconciliation_results as results
            inner join core.organizations as organizations using (organization_id)
            where results.build_id = %s and results.mismatches > 0
            """,
            [story.stopped],
        ).fetchall():
            assert f"of {slug} disagree" in page.text
            assert f"expected_keys {sample[0]['expected_keys']}" in page.text
            assert f"event_keys {sample[0]['event_keys']}" in page.text


def test_every_record_that_was_read_is_in_the_volumes_as_accepted_duplicate_or_quarantined(story: Story) -> None:
    with story.warehouse.connect() as connection:
        facts = gather(connection, story.warehouse.settings)
        (read,) = connection.execute("select sum(records_read) from ops.batches").fetchone() or (0,)
    assert sum(volume.read for volume in facts.volumes) == read == sum(len(each.lines) for each in story.deliveries)
    for volume in facts.volumes:
        assert volume.read == volume.accepted + volume.duplicates + volume.quarantined
    assert sum(volume.quarantined for volume in facts.volumes) == sum(refused.records for refused in facts.refusals) > 0
    assert {refused.reason for refused in facts.refusals} >= {"conflict"}


def test_the_older_report_does_not_tell_of_later_records(story: Story) -> None:
    with story.warehouse.connect() as connection:
        older = gather(connection, story.warehouse.settings, story.published)
    assert {volume.day for volume in older.volumes} == {date(2026, 11, 10)}
    assert [past.build.build_id for past in older.history] == [story.published]
    assert older.later_builds == 1


def test_freshness_tells_what_waits_and_how_far_behind_its_own_calendar_an_organization_is(story: Story) -> None:
    with story.warehouse.connect() as connection:
        facts = read_facts(connection, story.warehouse.settings)
        connection.execute("update ops.organization_watermarks set closed_through = closed_through - 3")
        behind = read_facts(connection, story.warehouse.settings)
        connection.execute("delete from ops.pending_hours")
        connection.execute("update ops.organization_watermarks set closed_through = date '2026-11-10'")
        built = read_facts(connection, story.warehouse.settings)
        connection.rollback()
    assert {entry.state for entry in facts.freshness} == {"waiting"}
    assert {entry.pending_hours for entry in facts.freshness} == {1}
    assert {entry.due_through for entry in facts.freshness} == {date(2026, 11, 10)}
    assert {(entry.state, entry.days_behind) for entry in behind.freshness} == {("behind", 4)}
    assert {(entry.state, entry.days_behind) for entry in built.freshness} == {("current", 0)}


def test_a_view_is_told_with_its_audits_and_who_waits_for_it(story: Story) -> None:
    with story.warehouse.connect() as connection:
        learners, metrics = read_facts(connection, story.warehouse.settings).views
        connection.execute(
            "update ops.organization_watermarks set data_version = data_version + 1 where organization_id = 1"
        )
        connection.execute(
            "update ops.view_expectation_results set is_success = false, "
            """observed = '{"expected": "0", "found": [{"organization_id": 1, "value": 3}], "keys": []}' """
            "where expectation = (select min(expectation) from ops.view_expectation_results)"
        )
        connection.execute("update ops.view_refreshes set state = 'failed', failure = 'it failed its audit'")
        facts = read_facts(connection, story.warehouse.settings)
        connection.rollback()
    assert (learners.state, learners.outdated, learners.organizations, learners.expectations) == (None, 2, 2, ())
    assert (metrics.state, metrics.outdated, metrics.organizations, metrics.unmet) == ("published", 0, 2, ())
    assert len(metrics.expectations) > 3
    assert sum(check.keys_checked for check in metrics.checks) > 0
    failed = facts.views[1]
    assert (failed.state, failed.outdated, len(failed.unmet)) == ("failed", 1, 1)
    text = Page(render_report(facts)).text
    assert failed.unmet[0].name in text
    assert failed.unmet[0].why in text
    assert "Expected 0; found 3 in" in text


def test_an_alert_is_told_until_it_is_resolved(story: Story) -> None:
    with story.warehouse.connect() as connection:
        connection.execute(
            "insert into ops.alerts (kind, subject, message) values ('task_failed', 'some.task', 'Look at <it>.')"
        )
        told = Page(render_report(read_facts(connection, story.warehouse.settings))).text
        connection.execute("update ops.alerts set resolved_at = clock_timestamp()")
        resolved = Page(render_report(read_facts(connection, story.warehouse.settings))).text
        connection.rollback()
    assert "Look at <it>." in told
    assert "some.task" in told
    assert "some.task" not in resolved


def test_the_steps_of_a_build_are_timed_also_the_one_that_fails(story: Story) -> None:
    with story.warehouse.connect() as connection:
        timed = connection.execute("select build_id, step, seconds > 0, is_success from ops.build_steps").fetchall()
    measured = steps.STEPS[1:-1]
    assert {step for build_id, step, *_ in timed if build_id == story.published} == set(measured)
    assert sorted((step, ok) for build_id, step, _, ok in timed if build_id == story.stopped) == sorted(
        (step, step != "audit_candidates") for step in measured if step != "publish"
    )
    assert all(took for *_, took, _ in timed)


def test_a_page_fetches_nothing_and_runs_nothing(page: Page) -> None:
    assert {tag for tag, _ in page.elements} & {
        "script",
        "link",
        "iframe",
        "img",
        "object",
        "embed",
        "base",
        "form",
    } == set()
    assert [value for value in page.values("href") if not re.fullmatch(r"#[a-z]+|[a-z0-9-]+\.html", value)] == []
    assert page.values("src") == []
    assert [name for _, attributes in page.elements for name in attributes if name.startswith("on")] == []
    policy = [a.get("content") for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy[0] is not None
    assert policy[0].startswith("default-src 'none';")


def test_the_style_of_a_page_fetches_nothing(story: Story) -> None:
    with story.warehouse.connect() as connection:
        text = render_report(gather(connection, story.warehouse.settings))
    style = text.partition("<style>")[2].partition("</style>")[0]
    assert "prefers-color-scheme: dark" in style
    assert "@media print" in style
    assert re.findall(r"url\(|@import|https?:", style) == []
    # The namespace of an inline drawing is implied by HTML: not one address in the whole page.
    assert re.findall(r"https?://", text) == []


def test_a_page_can_be_read_without_seeing_it(page: Page) -> None:
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    for tag, attributes in page.elements:
        if tag == "svg":
            assert attributes.get("aria-hidden") == "true" or (
                attributes.get("role") == "img" and attributes.get("aria-label")
            )
        if tag == "th":
            assert attributes.get("scope") in ("row", "col")
        if tag == "a" and (attributes.get("href") or "").startswith("#"):
            assert (attributes["href"] or "")[1:] in ids
        if reference := attributes.get("aria-labelledby"):
            assert reference in ids
    headings = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == 1
    assert headings.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(headings))


def test_no_page_names_a_learner(story: Story, page: Page) -> None:
    known: set[str] = set()
    for delivery in story.deliveries:
        for line in delivery.lines:
            try:
                actor = json.loads(line).get("actor", {})
            except ValueError:
                continue
            account = actor.get("account", {})
            known |= {str(value) for value in (actor.get("mbox"), actor.get("name"), account.get("name")) if value}
    assert len(known) >= 50
    assert [name for name in known if name.removeprefix("mailto:") in page.text] == []


def test_what_a_failure_says_is_text_never_markup(story: Story) -> None:
    with story.warehouse.connect() as connection:
        connection.execute("delete from ops.reconciliation_results where build_id = %s", [story.stopped])
        connection.execute(
            "update ops.builds set failure = '<script>alert(1)</script>', run_id = '<b>run</b>' where build_id = %s",
            [story.stopped],
        )
        text = render_report(read_facts(connection, story.warehouse.settings))
        connection.rollback()
    assert "&lt;script&gt;alert(1)" in text
    assert "<script" not in text
    assert "<b>run</b>" not in text


def test_a_page_is_kept_beside_the_latest_and_listed(story: Story, tmp_path: Path) -> None:
    warehouse = replace(story.warehouse, settings=replace(story.warehouse.settings, home=tmp_path))
    warehouse.settings.create_directories()
    newest = write_quality_report(warehouse.target, warehouse.settings)
    older = write_quality_report(warehouse.target, warehouse.settings, story.published)
    again = write_quality_report(warehouse.target, warehouse.settings, story.published)
    folder = quality_folder(warehouse.settings)

    assert newest.page == folder / f"build-{story.stopped}.html"
    assert newest.verdict == "not_published"
    assert older.page == folder / f"build-{story.published}.html"
    assert again == older
    assert (folder / "latest.html").read_bytes() == newest.page.read_bytes() != older.page.read_bytes()
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [newest.page.name, older.page.name, "latest.html", "index.html"]
    )
    index = Page((folder / "index.html").read_text())
    assert [href for href in index.values("href") if href.startswith("build-")] == [newest.page.name, older.page.name]
    assert newest.headline in index.text


def test_a_page_elsewhere_leaves_the_kept_ones_alone(story: Story, tmp_path: Path) -> None:
    settings = replace(story.warehouse.settings, home=tmp_path / "home")
    written = write_quality_report(story.warehouse.target, settings, output=tmp_path / "page.html")
    assert written.page.read_bytes().startswith(b"<!doctype html>")
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_pages_go_when_they_have_outlived_their_policy(warehouse: Warehouse) -> None:
    warehouse.settings.create_directories()
    first = datetime(2026, 1, 1, 6, tzinfo=UTC)
    clocks = [first, first + timedelta(minutes=1), first + timedelta(days=90, seconds=30)]
    removed = []
    for clock in clocks:
        with warehouse.connect() as connection:
            connection.execute(
                "insert into ops.builds (as_of, run_id, state, step) values (%s, 'test', 'failed', 'stage_two')",
                [clock],
            )
        removed.append(write_quality_report(warehouse.target, warehouse.settings).removed)
    names = {path.name for path in quality_folder(warehouse.settings).iterdir()}
    assert removed == [0, 0, 1]
    assert {name for name in names if name.startswith("build-")} == {"build-2.html", "build-3.html"}
    assert "build-1.html" not in (quality_folder(warehouse.settings) / "index.html").read_text()


def test_a_later_look_tells_what_waits_since_and_leaves_the_page_of_the_build(story: Story, tmp_path: Path) -> None:
    settings = replace(story.warehouse.settings, home=tmp_path)
    built = write_quality_report(story.warehouse.target, settings)
    before = built.page.read_bytes()
    looked = write_quality_report(story.warehouse.target, settings, as_of=story.last_clock + timedelta(days=5))
    assert looked.page == quality_folder(settings) / "latest.html"
    assert built.page.read_bytes() == before
    assert "waiting for a build" in Page(before.decode()).text
    assert "behind" not in Page(before.decode()).text.partition("Days behind")[2]
    assert "due 2026-11-15" in Page(looked.page.read_text()).text


def test_a_build_that_found_nothing_to_do_is_the_latest_and_keeps_no_page(warehouse: Warehouse) -> None:
    warehouse.settings.create_directories()
    clock = datetime(2026, 3, 1, tzinfo=UTC)
    with warehouse.connect() as connection:
        connection.execute(
            "insert into ops.builds (as_of, run_id, state, step) values (%s, 'a', 'failed', 'stage_two')", [clock]
        )
    write_quality_report(warehouse.target, warehouse.settings)
    idle = steps.build(warehouse.target, warehouse.settings, clock + timedelta(hours=1), "idle")
    written = write_quality_report(warehouse.target, warehouse.settings)
    folder = quality_folder(warehouse.settings)
    assert idle.publication is None
    assert written.page == folder / "latest.html"
    assert {path.name for path in folder.iterdir()} == {"build-1.html", "latest.html", "index.html"}
    assert "Nothing new; build 1 stands: not published" in Page(written.page.read_text()).text


def test_a_build_on_the_command_line_leaves_its_report_also_when_it_fails(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in warehouse.settings.environment().items():
        monkeypatch.setenv(name, value)
    warehouse.settings.create_directories()

    def call(*arguments: str) -> int:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        return int(str(ended.value.code))

    with warehouse.connect() as connection:
        add_organization(connection, "college", "College", "Europe/Paris", datetime(2026, 3, 1, tzinfo=UTC))
    statement = {
        "id": "00000000-0000-4000-8000-000000000001",
        "actor": {"mbox": "mailto:learner@example.org"},
        "verb": {"id": "http://adlnet.gov/expapi/verbs/interacted"},
        "object": {"id": "https://example.org/page"},
        "timestamp": "2026-03-01T06:00:00Z",
    }
    (file := warehouse.settings.home / "statement.json").write_text(json.dumps(statement))
    clock = ("--as-of", "2026-03-01T07:00:00Z")
    assert call("collect", str(file), "--organization", "college", "--format", "xapi", *clock) == 0
    with warehouse.connect() as connection:
        connection.execute("delete from stage_one.event_keys")

    assert call("build", *clock) == 5
    page = quality_folder(warehouse.settings) / "build-1.html"
    assert f"Data quality: {page}" in capsys.readouterr().err
    assert "batches_lost_nothing failed" in Page(page.read_text()).text
    page.unlink()
    assert call("report", "quality") == 0
    assert str(page) in capsys.readouterr().out
    assert page.is_file()


def test_asking_for_a_build_that_never_was_is_refused_with_what_to_do(warehouse: Warehouse) -> None:
    with pytest.raises(ConfigurationError, match="Run 'lyceum build'"):
        write_quality_report(warehouse.target, warehouse.settings)
    with warehouse.connect() as connection:
        connection.execute("insert into ops.builds (as_of, run_id, state, step) values (now(), 'a', 'failed', 'begin')")
    with pytest.raises(ConfigurationError, match="There is no build 7"):
        write_quality_report(warehouse.target, warehouse.settings, 7)
    assert not quality_folder(warehouse.settings).exists()
