"""The four DAGs of the lifecycle, run for real: what has expired goes, what is needed stays and is told."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from lyceum import organizations
from lyceum.partitions import ensure_for_dates, read_existing
from tenants import Tenant, deliver, event
from warehouse import Warehouse

pytestmark = pytest.mark.timeout(900)

COLLECTED = datetime(2024, 5, 15, 12, 30, tzinfo=UTC)
NAMES = ("cleanup_daily", "cleanup_weekly", "maintain_monthly", "archive_yearly")


def test_each_runs_and_does_what_has_expired_at_the_clock_of_its_run(
    airflow: tuple[Warehouse, dict[str, str]],
) -> None:
    warehouse, environment = airflow
    clock = datetime(2027, 1, 2, 1, 35, tzinfo=UTC)
    with warehouse.connect() as connection:
        tenant = Tenant(
            warehouse, organizations.add_organization(connection, "lifecycle", "Lifecycle", "UTC", COLLECTED)
        )
    tenant.collect(deliver(event(1)), as_of=COLLECTED)
    with warehouse.connect(autocommit=True) as connection:
        connection.execute("delete from ops.pending_hours")
    tenant.collect(deliver(event(2, "05-15 10:00")), as_of=COLLECTED + timedelta(days=1))
    with warehouse.connect(autocommit=True) as connection:
        ensure_for_dates(connection, "stage_two.learner_analytics", [date(2024, 1, 1)])
        ensure_for_dates(connection, "stage_three.aggregated_analytics", [date(2019, 1, 1)])
    runs = [{"dag_id": name, "run_after": clock.isoformat()} for name in NAMES]
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
    outcomes = json.loads(said.stdout.splitlines()[-1])
    assert {outcome["dag_id"]: outcome["state"] for outcome in outcomes} == dict.fromkeys(NAMES, "success")
    daily = outcomes[0]["returned"]["drop_expired_days"]
    assert daily["partitions_dropped"] >= 1
    assert daily["holds"] >= 1
    with warehouse.connect(autocommit=True) as connection:
        existing = read_existing(
            connection,
            [
                "raw_data_collection_p20240515",
                "raw_data_collection_p20240516",
                "learner_analytics_p2024w01",
                "aggregated_analytics_p2019",
            ],
        )
        assert set(existing) == {"raw_data_collection_p20240516"}
        alerts = connection.execute(
            "select subject from ops.alerts where kind = 'partition_held' and resolved_at is null"
        ).fetchall()
        assert ("stage_one.raw_data_collection",) in alerts
        connection.execute("delete from ops.pending_hours")
