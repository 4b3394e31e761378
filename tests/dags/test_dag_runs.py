"""The DAGs run for real, on a real metadata database: what they collect is published, and what cannot be mended fails at once."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lyceum.alerts import open_alerts
from lyceum.analytics import build
from lyceum.organizations import add_organization, landing_folder
from lyceum.simulator import OrganizationPlan, SimulationPlan, simulate
from warehouse import Warehouse

pytestmark = pytest.mark.timeout(900)

CLOCK = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)
PLAN = OrganizationPlan("harbor-college", "Harbor College", "America/New_York", learners=12, courses=2)

Run = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="module")
def outcomes(airflow: tuple[Warehouse, dict[str, str]]) -> dict[str, Any]:
    """One process runs everything, because Airflow takes seconds to start."""
    warehouse, environment = airflow
    days = SimulationPlan(
        first_day=(CLOCK - timedelta(days=3)).date(), days=4, organizations=(PLAN,), until=CLOCK - timedelta(hours=1)
    )
    first, *others = simulate(days)
    with warehouse.connect() as connection:
        add_organization(connection, PLAN.slug, PLAN.name, PLAN.time_zone, CLOCK)
    folder = landing_folder(warehouse.settings, PLAN.slug, "xapi")
    folder.mkdir(parents=True)
    for delivery in others:
        landed = folder / delivery.name
        landed.write_bytes(delivery.content())
        # The clock of a run decides what has landed, and this module was read some time ago.
        os.utime(landed, (CLOCK.timestamp(), CLOCK.timestamp()))
    late = json.loads(first.lines[0]) | {
        "id": str(uuid.uuid4()),
        "timestamp": (CLOCK - timedelta(days=40)).isoformat(),
    }
    (folder / "late.ndjson").write_text(json.dumps(late) + "\n")
    os.utime(folder / "late.ndjson", (CLOCK.timestamp(), CLOCK.timestamp()))
    history = warehouse.settings.home / "history.ndjson.gz"
    history.write_bytes(gzip.compress("".join(f"{line}\n" for line in first.lines).encode()))
    # A build whose process is gone.
    dead = build.begin(warehouse.target, warehouse.settings, CLOCK, "a process that died")

    def later(minutes: int) -> str:
        return (CLOCK + timedelta(minutes=minutes)).isoformat()

    params = {"organization": PLAN.slug, "path": str(history), "format": "xapi"}
    runs = {
        "collected": {"dag_id": "collect_raw_data", "run_after": later(0)},
        "built": {"dag_id": "build_analytics", "run_after": later(1)},
        "collected again": {"dag_id": "collect_raw_data", "run_after": later(2)},
        "built again": {"dag_id": "build_analytics", "run_after": later(3)},
        "loaded": {"dag_id": "load_history", "run_after": later(4), "conf": {**params, "as_of": later(0)}},
        "misnamed": {"dag_id": "load_history", "run_after": later(5), "conf": {**params, "organization": "nobody"}},
        "unclear": {"dag_id": "load_history", "run_after": later(6), "conf": {**params, "path": "/does/not/exist"}},
        "published": {"dag_id": "publish_documentation", "run_after": later(7)},
        "replayed": {
            "dag_id": "replay_quarantine",
            "run_after": later(8),
            "conf": {"organization": PLAN.slug, "reason": "too_late"},
        },
        # By place in this list: a build that is over, and one that would still be running.
        "late after its end": {"late": 1, "state": "success"},
        "late": {"late": 3, "state": "running"},
    }
    program = Path(__file__).with_name("dag_runs.py")
    said = subprocess.run(
        [sys.executable, str(program)],
        env=environment,
        input=json.dumps(list(runs.values())),
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr[-4000:]
    found = dict(zip(runs, json.loads(said.stdout.splitlines()[-1]), strict=True))
    return {
        **found,
        "dead build": dead.build_id,
        "history": len(first.lines),
        "landed": sum(len(delivery.lines) for delivery in others) + 1,
    }


def states(outcome: dict[str, Any]) -> dict[str, str]:
    return {task_id: state for task_id, (state, _) in outcome["tasks"].items()}


def test_what_has_landed_is_collected_and_announced(outcomes: dict[str, Any]) -> None:
    collected = outcomes["collected"]

    assert collected["state"] == "success"
    assert states(collected) == dict.fromkeys(("list_active_sources", "collect_source", "announce"), "success")
    counts = collected["returned"]["collect_source"]
    assert counts["records"] == outcomes["landed"] > 0
    assert counts["records"] == counts["events"] + counts["duplicates"] + counts["quarantined"]


def test_what_was_collected_is_published_step_by_step(
    outcomes: dict[str, Any], airflow: tuple[Warehouse, dict[str, str]]
) -> None:
    built = outcomes["built"]

    assert built["state"] == "success"
    assert states(built) == dict.fromkeys((*build.STEPS, "report_quality"), "success")
    assert built["returned"]["begin"]["events"] == outcomes["collected"]["returned"]["collect_source"]["events"]
    assert built["returned"]["begin"]["as_of"] == (CLOCK + timedelta(minutes=1)).isoformat()
    with airflow[0].connect() as connection:
        published = connection.execute(
            "select count(*) from stage_three.aggregated_analytics where subject_type = 'organization'"
        ).fetchone()
    assert published is not None
    assert published[0] > 0


def test_a_build_that_died_is_abandoned_by_the_next(
    outcomes: dict[str, Any], airflow: tuple[Warehouse, dict[str, str]]
) -> None:
    with airflow[0].connect() as connection:
        rows = dict(connection.execute("select build_id, state from ops.builds").fetchall())

    assert rows[outcomes["dead build"]] == "abandoned"
    assert rows[outcomes["built"]["returned"]["begin"]["build_id"]] == "published"


def test_running_again_without_anything_new_skips_the_work_and_seals(outcomes: dict[str, Any]) -> None:
    assert outcomes["collected again"]["returned"]["collect_source"]["records"] == 0
    again = outcomes["built again"]
    assert again["state"] == "success"
    assert states(again) == {
        **dict.fromkeys(build.STEPS, "skipped"),
        "begin": "success",
        "seal": "success",
        "report_quality": "success",
    }


def test_every_build_leaves_its_quality_report_and_the_nightly_run_its_documentation(
    outcomes: dict[str, Any], airflow: tuple[Warehouse, dict[str, str]]
) -> None:
    published = outcomes["published"]
    tasks = ("publish_dbt_docs", "publish_quality_report", "check_published_tables")
    reports = airflow[0].settings.reports

    assert published["state"] == "success"
    assert states(published) == dict.fromkeys(tasks, "success")
    assert published["returned"]["check_published_tables"] > 15
    build_id = outcomes["built"]["returned"]["begin"]["build_id"]
    page = (reports / "quality" / f"build-{build_id}.html").read_text()
    assert outcomes["built"]["returned"]["report_quality"] == {"build_id": build_id, "verdict": "published"}
    assert f"Build {build_id}: published" in page
    assert "aggregated_analytics" in (reports / "documentation" / "index.html").read_text()
    assert f"{CLOCK + timedelta(minutes=7):%Y-%m-%d %H:%M} UTC" in (reports / "quality" / "latest.html").read_text()


def test_history_is_loaded_as_of_the_given_clock(
    outcomes: dict[str, Any], airflow: tuple[Warehouse, dict[str, str]]
) -> None:
    loaded = outcomes["loaded"]

    assert loaded["state"] == "success"
    assert loaded["returned"]["collect_history"]["records"] == outcomes["history"] > 0
    with airflow[0].connect() as connection:
        clocks = connection.execute(
            "select distinct collected_at from ops.batches where is_history and input_id is not null"
        ).fetchall()
    assert clocks == [(CLOCK,)]


def test_an_event_that_came_too_late_is_collected_when_it_is_replayed(outcomes: dict[str, Any]) -> None:
    replayed = outcomes["replayed"]

    assert replayed["state"] == "success"
    assert replayed["returned"]["replay_refused"] == {
        "rows": 1,
        "events": 1,
        "duplicates": 0,
        "refused_again": 0,
        "without_payload": 0,
    }


@pytest.mark.parametrize("name", ["misnamed", "unclear"])
def test_an_error_that_a_person_must_mend_is_not_tried_again(outcomes: dict[str, Any], name: str) -> None:
    failed = outcomes[name]

    assert failed["state"] == "failed"
    assert failed["tasks"]["collect_history"] == ["failed", 1]
    assert failed["tasks"]["announce"][0] == "upstream_failed"


def test_failures_and_late_runs_are_open_alerts_and_a_run_that_is_over_is_not_late(
    outcomes: dict[str, Any], airflow: tuple[Warehouse, dict[str, str]]
) -> None:
    with airflow[0].connect() as connection:
        failed, late = open_alerts(connection)

    assert (failed.kind, failed.subject) == ("task_failed", "load_history.collect_history")
    assert outcomes["misnamed"]["run_id"] in failed.message
    assert "UnknownOrganizationError" in failed.message
    assert (late.kind, late.subject) == ("run_late", "build_analytics")
    assert outcomes["built again"]["run_id"] in late.message
