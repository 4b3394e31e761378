"""The DAG that erases a person, run for real, with a person who answers."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lyceum.database import connect
from lyceum.erasure import list_erasures
from sql.erasure.conftest import ERASED_AT, FIRST_ID, make_school  # type: ignore[import-not-found]
from warehouse import Warehouse

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def outcomes(airflow: tuple[Warehouse, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Somebody rejects the plan first, somebody approves it then, and the third time there is nobody any more."""
    warehouse, environment = airflow
    with connect(warehouse.administrator, autocommit=True) as connection:
        # An id that is no other number of the plan.
        connection.execute(f"alter sequence core.users_user_id_seq restart {FIRST_ID}".encode())
    school = make_school(warehouse, tmp_path_factory.mktemp("school") / "delivered").settle()
    (user_id,) = school.ids_of_ada()
    asked = {"dag_id": "erase_person", "conf": {"organization": "campus", "user_id": user_id, "reason": "ticket 815"}}
    runs = {
        name: {**asked, "run_after": (ERASED_AT + timedelta(minutes=number)).isoformat(), **answer}
        for number, (name, answer) in enumerate(
            {"rejected": {"answer": "Reject"}, "approved": {"answer": "Approve"}, "again": {}}.items()
        )
    }
    outcomes: dict[str, Any] = {}
    for name, run in runs.items():
        said = subprocess.run(
            [sys.executable, str(Path(__file__).with_name("dag_runs.py"))],
            env=environment,
            input=json.dumps([run]),
            capture_output=True,
            text=True,
            check=False,
            timeout=150,
        )
        assert said.returncode == 0, said.stderr[-4000:]
        (outcomes[name],) = json.loads(said.stdout.splitlines()[-1])
        with connect(warehouse.administrator) as connection:
            outcomes[f"erasures after {name}"] = list_erasures(connection)
    outcomes["user_id"] = user_id
    return outcomes


def test_a_plan_that_is_rejected_changes_nothing(outcomes: dict[str, Any]) -> None:
    tasks = {task: state for task, (state, _) in outcomes["rejected"]["tasks"].items()}
    assert tasks == {"plan": "success", "approve": "success", "erase": "skipped"}
    assert outcomes["erasures after rejected"] == []
    plan = outcomes["rejected"]["returned"]["plan"]["text"]
    assert "A person of campus with 1 id" in plan
    assert "core.user_profiles: 1 rows" in plan
    assert str(outcomes["user_id"]) not in plan


def test_an_approved_plan_is_carried_out_and_the_certificate_says_who_approved(outcomes: dict[str, Any]) -> None:
    assert outcomes["approved"]["state"] == "success"
    (entry,) = outcomes["erasures after approved"]
    assert (entry.approved_by, entry.reason) == ("dpo (Airflow)", "ticket 815")
    assert entry.finished_as_of == ERASED_AT + timedelta(minutes=1)
    assert outcomes["approved"]["returned"]["erase"]["rows"] == sum(entry.rows.values()) > 0


def test_a_person_who_is_gone_is_refused_at_once(outcomes: dict[str, Any]) -> None:
    assert outcomes["again"]["tasks"]["plan"] == ["failed", 1]
    assert len(outcomes["erasures after again"]) == 1
