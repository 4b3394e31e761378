"""OpenLineage events of a real build: whole, without anything of a person, and in a chain from the inputs to the views."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from lyceum import organizations
from lyceum.analytics.build import build
from lyceum.collect import collect_paths
from lyceum.database import ConnectionTarget
from lyceum.lineage.events import Dataset, JobRun, Teller, current_job, told
from lyceum.lineage.runs import INPUTS
from lyceum.simulator import SimulationPlan, sample_organizations, simulate, write_delivery
from lyceum.views import VIEWS, refresh
from tenants import AS_OF
from warehouse import SharedServer
from webhook import webhook

CLOCK = datetime(2024, 5, 15, 12, tzinfo=UTC)
PLAN = SimulationPlan(
    first_day=CLOCK.date() - timedelta(days=2), days=2, organizations=sample_organizations(1, learners=6, courses=2)
)


@pytest.fixture(scope="module")
def told_world(
    shared_server: SharedServer, template: ConnectionTarget, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[dict[str, Any]], set[str], set[str]]:
    """The events of collecting, building and refreshing; the fingerprints of the inputs; and what of people is in them."""
    folder = tmp_path_factory.mktemp("told")
    log = folder / "of events" / "lineage.ndjson"
    [planned] = PLAN.organizations
    with shared_server.database(folder / "home", template) as lent:
        settings = replace(lent.settings, openlineage_url=f"file://{log}")
        with lent.connect(autocommit=True) as connection:
            organizations.add_organization(connection, planned.slug, planned.name, planned.time_zone, CLOCK)
        people: set[str] = set()
        for delivery in simulate(PLAN):
            file = write_delivery(delivery, folder)
            file = file.rename(file.with_name(f"of ada lovelace {file.name}"))
            collect_paths(
                lent.target,
                settings,
                organization=planned.slug,
                paths=[file],
                format="xapi",
                as_of=CLOCK,
                run_id="test",
            )
            for line in delivery.lines:
                people |= strings(json.loads(line)["actor"]) - {"Agent", "Group"}
        build(lent.target, settings, CLOCK, "test")
        for view in VIEWS.values():
            refresh(lent.target, settings, view, CLOCK, "test")
        with lent.connect() as connection:
            fingerprints = {name.hex() for (name,) in connection.execute("select fingerprint from ops.inputs")}
            people |= {
                str(one) for (one,) in connection.execute("select user_id from core.users where user_id > 9999999")
            }
    return [json.loads(line) for line in log.read_text().splitlines()], fingerprints, people | {"lovelace"}


def strings(value: object) -> set[str]:
    if isinstance(value, dict):
        return {text for item in value.values() for text in strings(item)}
    if isinstance(value, list):
        return {text for item in value for text in strings(item)}
    return {value} if isinstance(value, str) else set()


World = tuple[list[dict[str, Any]], set[str], set[str]]


def test_every_event_has_what_the_specification_demands(told_world: World) -> None:
    events, _, _ = told_world
    moments: dict[str, list[str]] = defaultdict(list)
    for event in events:
        assert {"eventType", "eventTime", "producer", "schemaURL", "run", "job"} <= set(event)
        assert datetime.fromisoformat(event["eventTime"]).utcoffset() == timedelta()
        assert UUID(event["run"]["runId"])
        assert event["job"]["namespace"] == "lyceum"
        for facet in facets(event):
            assert facet["_producer"] == event["producer"]
            assert facet["_schemaURL"].startswith("https://openlineage.io/spec/facets/")
        moments[event["run"]["runId"]].append(event["eventType"])

    assert all(ended == ["START", "COMPLETE"] for ended in moments.values())
    assert len(moments) > 25


def facets(event: dict[str, Any]) -> list[dict[str, Any]]:
    outputs = [facet for one in event["outputs"] for facet in one.get("outputFacets", {}).values()]
    return [*event["run"]["facets"].values(), *event["job"]["facets"].values(), *outputs]


def test_no_event_tells_of_a_person(told_world: World) -> None:
    events, _, people = told_world
    text = json.dumps(events)

    assert len(people) > 5
    assert [one for one in people if one in text] == []
    assert "select " not in text


def test_the_inputs_lead_to_every_view(told_world: World) -> None:
    events, fingerprints, _ = told_world
    leads: dict[tuple[str, str], set[tuple[str, str]]] = defaultdict(set)
    for event in events:
        for read in event["inputs"]:
            leads[read["namespace"], read["name"]] |= {(one["namespace"], one["name"]) for one in event["outputs"]}

    def reached(name: tuple[str, str]) -> set[tuple[str, str]]:
        found, waiting = set(), {name}
        while waiting:
            found |= waiting
            waiting = {following for one in waiting for following in leads[one]} - found
        return found

    told_inputs = {name for namespace, name in leads if namespace == INPUTS}
    assert told_inputs == fingerprints
    assert len(fingerprints) == 2
    views = {("lyceum", f"stage_three.{view.name}") for view in VIEWS.values()}
    for fingerprint in fingerprints:
        assert views <= reached((INPUTS, fingerprint))
    assert views <= reached(("lyceum", "stage_one.raw_data_collection"))


def test_how_many_rows_were_published_is_told(told_world: World) -> None:
    events, _, _ = told_world
    [published] = [e for e in events if e["job"]["name"] == "publish" and e["eventType"] == "COMPLETE"]
    rows = {one["name"]: one["outputFacets"]["outputStatistics"]["rowCount"] for one in published["outputs"]}

    assert rows["stage_three.aggregated_analytics"] > 20
    assert rows["stage_two.organization_analytics"] >= 2


def test_what_is_told_within_a_run_is_a_part_of_it(tmp_path: Path) -> None:
    teller = Teller(f"file://{tmp_path / 'events.ndjson'}")
    dag = JobRun("build_analytics", kind="DAG")
    task = JobRun("build_analytics.publish", parent=dag)

    def fail() -> None:
        with told(teller, task):
            teller.tell("COMPLETE", JobRun("publish", parent=current_job()), outputs=[Dataset("a.b", rows=3)])
            raise KeyError("a message that quotes ada@example.org")

    with pytest.raises(KeyError):
        fail()

    text = (tmp_path / "events.ndjson").read_text()
    first, within, last = [json.loads(line) for line in text.splitlines()]
    assert [first["eventType"], last["eventType"]] == ["START", "FAIL"]
    assert first["run"] == last["run"]
    assert within["run"]["facets"]["parent"]["run"] == {"runId": str(task.run_id)}
    assert first["run"]["facets"]["parent"]["job"] == {"namespace": "lyceum", "name": "build_analytics"}
    assert "ada" not in text
    assert current_job() is None


def test_a_backend_gets_the_events_and_its_refusal_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    with webhook() as backend:
        teller = Teller(backend.address)
        teller.tell("START", JobRun("publish"), at=AS_OF)
        backend.status = 500
        teller.tell("COMPLETE", JobRun("publish"))
    teller.tell("COMPLETE", JobRun("publish"))

    assert [event["eventType"] for event in backend.posted] == ["START", "COMPLETE"]
    assert backend.posted[0]["eventTime"] == AS_OF.isoformat()
    assert caplog.text.count("lineage not told: COMPLETE of publish") == 2
    assert "SECRET" not in caplog.text


def test_where_nobody_is_to_be_told_nothing_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("an event was made")

    monkeypatch.setattr("lyceum.lineage.events.made", never)

    with told(Teller(None), JobRun("publish")):
        assert current_job() is None
    Teller(None).tell("START", JobRun("publish"))
