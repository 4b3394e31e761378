"""The DAGs of the audit trail and of monitoring, run for real: what was done is collected, sealed, told outside, and counted."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lyceum.audit import Access, ensure_audit_partitions, heads_of_home, record_access, verify_trail
from lyceum.database import connect
from lyceum.monitoring import latest
from warehouse import Warehouse

pytestmark = pytest.mark.timeout(900)


def test_a_run_compares_the_rights_seals_the_trail_and_leaves_its_head_in_the_home(
    airflow: tuple[Warehouse, dict[str, str]],
) -> None:
    warehouse, environment = airflow
    clock = datetime.now(UTC) - timedelta(minutes=10)
    runs = [
        {"dag_id": dag_id, "run_after": (clock + timedelta(minutes=minutes)).isoformat()}
        for dag_id, minutes in (
            ("seal_audit_trail", 0),
            ("collect_audit_logs", 0),
            ("collect_audit_logs", 5),
            ("monitor_warehouse", 9),
        )
    ]
    with connect(warehouse.target, autocommit=True) as connection:
        ensure_audit_partitions(connection)
        record_access(connection, Access("report_read", "before the first run"))
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
    assert [outcome["state"] for outcome in json.loads(said.stdout.splitlines()[-1])] == ["success"] * 4
    heads = heads_of_home(warehouse.settings)
    with connect(warehouse.target, autocommit=True) as connection:
        found = verify_trail(connection, heads)
        measured_at, samples = latest(connection)
    assert measured_at == clock + timedelta(minutes=9)
    assert [sample.value for sample in samples if sample.name == "lyceum_unacknowledged_audit_gaps"] == [0.0]
    assert found.is_whole
    assert found.rows >= 2
    assert found.batches >= 2, "the first is sealed before anything is collected"
    assert len(list(heads.read())) == found.batches
