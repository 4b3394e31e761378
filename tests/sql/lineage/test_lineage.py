"""From a published number back to its inputs: exactly those that brought an event of the row's days, and the way through the models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta

import pytest

from lyceum import organizations
from lyceum.analytics.build import build
from lyceum.analytics.models import parsed_project
from lyceum.cli import main
from lyceum.database import Connection
from lyceum.errors import ConfigurationError
from lyceum.lineage.models import path_to, shown_by
from lyceum.lineage.periods import Span, span_of
from lyceum.lineage.tracing import PUBLISHED, Lineage, Period, published_relation, trace
from lyceum.views import VIEWS, refresh
from tenants import AS_OF, Tenant, deliver, event, refusal, void
from warehouse import Warehouse

DAYS = "stage_three.aggregated_analytics"
MONDAY, TUESDAY = date(2024, 5, 13), date(2024, 5, 14)


@pytest.fixture
def connection(warehouse: Warehouse) -> Iterator[Connection]:
    with warehouse.connect(autocommit=True) as connection:
        yield connection


@pytest.fixture
def tenant(warehouse: Warehouse, connection: Connection) -> Tenant:
    return Tenant(warehouse, organizations.add_organization(connection, "college", "College", "UTC", AS_OF))


def built(tenant: Tenant, hours: int = 1) -> int:
    """Build what is pending, so many hours after AS_OF; return the build."""
    clock = AS_OF + timedelta(hours=hours)
    return build(tenant.warehouse.target, tenant.warehouse.settings, clock, f"run {hours}").scope.build_id


def came_from(tenant: Tenant, day: date, period: Period = "day", back_days: int = 0, table: str = DAYS) -> Lineage:
    with tenant.warehouse.connect() as connection:
        return trace(connection, table, tenant.organization, day, period, back_days)


def inputs(lineage: Lineage) -> dict[str | None, int]:
    return {source.name: events for source, events in lineage.inputs}


def test_exactly_the_inputs_that_brought_an_event_of_the_day_are_named(tenant: Tenant, connection: Connection) -> None:
    other = Tenant(tenant.warehouse, organizations.add_organization(connection, "other", "Other", "UTC", AS_OF))
    other.collect(deliver(event(9, "05-13 10:00"), name="theirs"))
    files = {
        "monday": deliver(event(1, "05-13 10:00"), event(2, "05-13 11:00"), name="monday"),
        "both": deliver(event(3, "05-13 12:00"), event(4, "05-14 12:00"), name="both"),
        "tuesday": deliver(event(5, "05-14 13:00", learner="bob"), name="tuesday"),
        "again": deliver(event(1, "05-13 10:00"), event(6, "05-14 14:00"), name="again"),
        "refused": deliver(refusal(), name="refused"),
    }
    for file in files.values():
        tenant.collect(file)
    first = built(tenant)

    monday, tuesday = came_from(tenant, MONDAY), came_from(tenant, TUESDAY)

    assert inputs(monday) == {"monday": 2, "both": 1}
    assert inputs(tuesday) == {"both": 1, "tuesday": 1, "again": 1}
    assert inputs(came_from(tenant, MONDAY, "week")) == {"monday": 2, "both": 2, "tuesday": 1, "again": 1}
    assert inputs(came_from(tenant, TUESDAY, back_days=1)) == inputs(came_from(tenant, MONDAY, "week"))
    assert inputs(came_from(tenant, MONDAY - timedelta(days=1))) == {}
    named = {source.name: source.fingerprint for source, _ in monday.inputs}
    assert named == {name: files[str(name)].fingerprint for name in named}
    assert {found.build_id for found in monday.builds} == {first}
    assert [(found.as_of, found.run_id, found.events) for found in tuesday.builds] == [
        (AS_OF + timedelta(hours=1), "run 1", 3)
    ]
    assert inputs(came_from(other, MONDAY, "year")) == {"theirs": 1}
    assert (monday.version.build_id, monday.version.data_version) == (first, 1)


def test_what_is_named_adds_up_to_the_published_number_and_is_told_anew_with_it(tenant: Tenant) -> None:
    tenant.collect(deliver(*(event(number, f"05-13 1{number}:00") for number in range(5)), name="first"))
    first = built(tenant)
    later = [
        # A duplicate, a void of what came before, days in another order.
        deliver(
            event(0, "05-13 10:00"), event(5, "05-14 10:00", learner="bob"), void(6, 1, "05-14 11:00"), name="second"
        ),
        deliver(event(7, "05-14 09:00"), event(8, "05-14 09:30", learner="bob"), name="third"),
    ]
    for file in later:
        tenant.collect(file, as_of=AS_OF + timedelta(hours=2))
    before = came_from(tenant, MONDAY)
    second = built(tenant, 3)

    published = dict(
        tenant.query(
            f"select period_start, event_count from {DAYS} where organization_id = {{organization}} "
            "and subject_type = 'organization' and period_type = 'day'"
        )
    )
    found = {day: came_from(tenant, day) for day in published}

    assert {day: sum(batch.events for batch in lineage.batches) for day, lineage in found.items()} == published
    assert (published[MONDAY], published[TUESDAY]) == (4, 3)
    # What was collected and not built is nowhere yet, and what was built again is told by the build that did.
    assert [(batch.build_id, batch.events, batch.voided_events) for batch in before.batches] == [(first, 5, 0)]
    assert [(batch.build_id, batch.events, batch.voided_events) for batch in found[MONDAY].batches] == [(second, 4, 1)]
    assert inputs(found[TUESDAY]) == {"second": 1, "third": 2}


def test_a_view_speaks_for_everything_up_to_its_last_day(tenant: Tenant) -> None:
    tenant.collect(deliver(event(1, "05-13 10:00"), name="monday"), deliver(event(2, "05-14 10:00"), name="tuesday"))
    tenant.collect(deliver(event(3, "05-15 10:00"), name="today"))
    built(tenant)
    view = VIEWS["learner"]
    refreshed = refresh(tenant.warehouse.target, tenant.warehouse.settings, view, AS_OF + timedelta(hours=2), "test")

    found = came_from(tenant, MONDAY, table=f"stage_three.{view.name}")

    assert found.span == Span(None, TUESDAY)
    assert inputs(found) == {"monday": 1, "tuesday": 1}
    assert found.shown is not None
    assert (found.shown.version, found.shown.refresh_id, found.shown.data_version) == (1, refreshed.refresh_id, 1)


def test_the_way_leads_from_the_view_through_the_models_to_the_raw_events(warehouse: Warehouse) -> None:
    manifest = parsed_project(warehouse.target, warehouse.settings)

    passed = {one.name: one for one in path_to(manifest, "mv_organization_metrics", PUBLISHED)}

    assert next(iter(passed)) == "mv_organization_metrics"
    assert {DAYS, "aggregated_analytics", "learner_analytics", "stg_raw__events"} <= set(passed)
    assert passed["aggregated_analytics"].file == "models/stage_three/aggregated_analytics.sql"
    assert passed["stage_one.raw_data_collection"].kind == "source"
    for one in passed.values():
        assert set(one.reads) <= set(passed), one.name
        assert (one.file is None) == (one.kind == "source")
    for table, model in PUBLISHED.items():
        assert "stage_one.raw_data_collection" in {one.name for one in path_to(manifest, model, PUBLISHED)}, table
    assert "DAG build_analytics" in shown_by(manifest, "aggregated_analytics")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        (DAYS, DAYS),
        ("aggregated_analytics", DAYS),
        ("api.organization_metrics", "stage_three.mv_organization_metrics"),
        ("mv_learner_analytics_summary", "stage_three.mv_learner_analytics_summary"),
    ],
)
def test_a_table_is_found_by_the_names_that_people_know_it_by(name: str, meant: str) -> None:
    assert published_relation(name) == meant


def test_what_is_not_published_is_refused_with_what_is() -> None:
    with pytest.raises(ConfigurationError, match=r"core\.users is no table of published numbers.*aggregated_analytics"):
        published_relation("core.users")


def test_periods_are_those_of_the_calendar() -> None:
    assert span_of(date(2024, 2, 29), "day") == Span(date(2024, 2, 29), date(2024, 2, 29))
    assert span_of(date(2024, 3, 3), "week") == Span(date(2024, 2, 26), date(2024, 3, 3))
    assert span_of(date(2024, 2, 10), "month") == Span(date(2024, 2, 1), date(2024, 2, 29))
    assert span_of(date(2024, 12, 31), "month") == Span(date(2024, 12, 1), date(2024, 12, 31))
    assert span_of(date(2024, 5, 14), "year") == Span(date(2024, 1, 1), date(2024, 12, 31))


def test_the_command_tells_it_for_people_and_for_scripts(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = deliver(event(1, "05-13 10:00", learner="ada@example.org"), name="monday.ndjson")
    tenant.collect(file)
    first = built(tenant)
    for name, value in tenant.warehouse.settings.environment().items():
        monkeypatch.setenv(name, value)
    command = ["lineage", "aggregated_analytics", "--organization", "college", "--day", "2024-05-13"]

    def output(*arguments: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main([*command, *arguments])
        assert ended.value.code == 0
        return capsys.readouterr().out

    told, shown = json.loads(output("--json")), output()

    assert told["inputs"] == [
        {
            "source": "xapi",
            "name": "monday.ndjson",
            "fingerprint": file.fingerprint.hex(),
            "byte_length": 1000,
            "first_seen_at": AS_OF.isoformat(),
            "events": 1,
        }
    ]
    assert [one["build_id"] for one in told["builds"]] == [first]
    assert told["models"][0]["name"] == "aggregated_analytics"
    assert (told["first_day"], told["last_day"]) == ("2024-05-13", "2024-05-13")
    for text in ("monday.ndjson", file.fingerprint.hex(), "stg_raw__events", f"{first}  as of", "--back 27"):
        assert text in shown
    assert "ada" not in json.dumps(told) + shown


def test_where_nothing_is_published_the_command_says_what_to_do(tenant: Tenant) -> None:
    with pytest.raises(ConfigurationError, match=r"Nothing is published of college\. Expected a build"):
        came_from(tenant, MONDAY)
