"""A build that its audit stops, run by Airflow: the run fails, and the report says why all the same."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lyceum.collect import collect_paths
from lyceum.database import ConnectionTarget
from lyceum.organizations import add_organization
from lyceum.reporting.shelf import quality_folder
from lyceum.supervisor import AirflowServices
from warehouse import SharedServer, Warehouse

pytestmark = pytest.mark.timeout(900)

CLOCK = datetime(2026, 3, 2, 6, tzinfo=UTC)
STATEMENT = {
    "id": "00000000-0000-4000-8000-000000000001",
    "actor": {"mbox": "mailto:learner@example.org"},
    "verb": {"id": "http://adlnet.gov/expapi/verbs/interacted"},
    "object": {"id": "https://example.org/page"},
    "timestamp": "2026-03-01T06:00:00Z",
}


@pytest.fixture(scope="module")
def stopped(
    airflow: tuple[Warehouse, dict[str, str]],
    shared_server: SharedServer,
    template: ConnectionTarget,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Warehouse, dict[str, Any]]]:
    """A warehouse of its own whose only build lacks an event key, and what became of its run."""
    with shared_server.database(tmp_path_factory.mktemp("stopped") / "home", template) as lent:
        settings = replace(lent.settings, airflow_database=airflow[0].settings.airflow_database)
        environment = AirflowServices(settings).environment(lent.administrator)
        (file := settings.home / "statement.json").write_text(json.dumps(STATEMENT))
        with lent.connect() as connection:
            add_organization(connection, "college", "College", "Europe/Paris", CLOCK)
        collect_paths(
            lent.target, settings, organization="college", paths=[file], format="xapi", as_of=CLOCK, run_id="test"
        )
        with lent.connect() as connection:
            connection.execute("delete from stage_one.event_keys")
        asked = [{"dag_id": "build_analytics", "run_after": (CLOCK + timedelta(minutes=1)).isoformat()}]
        done = subprocess.run(
            [sys.executable, str(Path(__file__).with_name("dag_runs.py"))],
            env=environment,
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        (outcome,) = json.loads(done.stdout.splitlines()[-1])
        yield lent, outcome


def test_the_run_fails_and_the_report_does_not_save_it(stopped: tuple[Warehouse, dict[str, Any]]) -> None:
    _, outcome = stopped
    states = {task: state for task, (state, _) in outcome["tasks"].items()}
    assert outcome["state"] == "failed"
    assert states["audit_candidates"] == "failed"
    assert states["publish"] == states["seal"] == "upstream_failed"
    assert states["report_quality"] == "success"


def test_the_report_names_what_kept_the_build_from_being_published(stopped: tuple[Warehouse, dict[str, Any]]) -> None:
    warehouse, outcome = stopped
    build_id = outcome["returned"]["begin"]["build_id"]
    page = (quality_folder(warehouse.settings) / f"build-{build_id}.html").read_text()
    assert f"Build {build_id}: not published" in page
    assert "batches_lost_nothing failed." in page
    assert outcome["returned"]["report_quality"] == {"build_id": build_id, "verdict": "not_published"}
