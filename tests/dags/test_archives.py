"""The DAGs that bring archives back and take old ones away, run for real."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from archived_partitions import MONTH, TRAIL, YEAR, YEARS, Archiving, open_archiving
from lyceum.archiving import restored_partitions
from warehouse import Warehouse

pytestmark = pytest.mark.timeout(900)

CLOCK = datetime(2026, 11, 20, 6, tzinfo=UTC)


@pytest.fixture(scope="module")
def outcomes(airflow: tuple[Warehouse, dict[str, str]]) -> dict[str, Any]:
    """A year is restored; a name that is none is tried; then the yearly clean-up runs, with a month whose archive is too old."""
    warehouse, environment = airflow
    pipeline, administrator = open_archiving(warehouse)
    with pipeline, administrator:
        archiving = Archiving(warehouse, pipeline, administrator, warehouse.settings)
        archiving.fill_year()
        rows = archiving.rows()
        archiving.archive()
        archiving.drop()
        archiving.fill_month()
        archiving.archive(TRAIL, MONTH)
        archiving.drop(TRAIL, MONTH)
        administrator.execute("update ops.archive_policies set retention = '10 years' where table_name = %s", [TRAIL])
        runs = {
            "restored": {
                "dag_id": "restore_archive",
                "run_after": CLOCK.isoformat(),
                "conf": {"name": YEAR, "keep_days": 4},
            },
            "misnamed": {
                "dag_id": "restore_archive",
                "run_after": (CLOCK + timedelta(minutes=1)).isoformat(),
                "conf": {"name": "aggregated_analytics_p1999"},
            },
            "cleaned": {"dag_id": "archive_yearly", "run_after": (CLOCK + timedelta(minutes=2)).isoformat()},
        }
        said = subprocess.run(
            [sys.executable, str(Path(__file__).with_name("dag_runs.py"))],
            env=environment,
            input=json.dumps(list(runs.values())),
            capture_output=True,
            text=True,
            check=False,
        )
        assert said.returncode == 0, said.stderr[-4000:]
        return {
            **dict(zip(runs, json.loads(said.stdout.splitlines()[-1]), strict=True)),
            "before": rows,
            "after": archiving.rows(),
            "kept": restored_partitions(administrator, CLOCK),
            "archives": [name for name, _ in archiving.records()],
        }


def test_a_year_is_restored_and_stays_although_it_has_expired(outcomes: dict[str, Any]) -> None:
    restored = outcomes["restored"]

    assert restored["state"] == "success"
    assert restored["returned"]["restore_archived_partition"] == {
        "rows": len(outcomes["before"]),
        "restored_until": (CLOCK + timedelta(days=4)).isoformat(),
    }
    assert outcomes["after"] == outcomes["before"]
    assert [(kept.parent_table, kept.name) for kept in outcomes["kept"]] == [(YEARS, YEAR)]


def test_a_name_of_no_archive_fails_at_once(outcomes: dict[str, Any]) -> None:
    assert outcomes["misnamed"]["tasks"] == {"restore_archived_partition": ["failed", 1]}


def test_an_archive_that_is_too_old_goes_with_the_yearly_clean_up(outcomes: dict[str, Any]) -> None:
    assert outcomes["cleaned"]["state"] == "success"
    assert outcomes["cleaned"]["returned"]["remove_old_archives"]["archives"] == 1
    assert outcomes["archives"] == [YEAR]
