"""The DAG of the audit trail, run for real: what the server did is collected, sealed and told outside the database."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lyceum.audit import heads_of_home, verify_trail
from lyceum.database import connect
from warehouse import Warehouse

pytestmark = pytest.mark.timeout(900)


def test_a_run_compares_the_rights_seals_the_trail_and_leaves_its_head_in_the_home(
    airflow: tuple[Warehouse, dict[str, str]],
) -> None:
    warehouse, environment = airflow
    clock = datetime.now(UTC) - timedelta(minutes=10)
    runs = [
        {"dag_id": "collect_audit_logs", "run_after": (clock + timedelta(minutes=minutes)).isoformat()}
        for minutes in (0, 5)
    ]
    program = Path(__file__).with_name("dag_runs.py")

    said = subprocess.run(
        [sys.executable, str(program)],
        input=json.dumps(runs),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert said.returncode == 0, said.stderr[-3000:]
    assert [outcome["state"] for outcome in json.loads(said.stdout.splitlines()[-1])] == ["success", "success"]
    heads = heads_of_home(warehouse.settings)
    with connect(warehouse.target, autocommit=True) as connection:
        found = verify_trail(connection, heads)
    assert found.is_whole
    assert found.rows >= 1
    assert len(list(heads.read())) == found.batches
