"""`generate_reports`, run for real: everybody of the week gets a report, once, and on request whoever is asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lyceum import database
from lyceum.database import Login
from reported_schools import WEEK, fill_schools
from warehouse import SharedServer, Warehouse

pytestmark = pytest.mark.timeout(900)

MONDAY = "2026-11-16T14:30:00+00:00"
LATER = "2026-11-18T13:00:00+00:00"


def test_everybody_gets_a_report_once_and_on_request(
    airflow: tuple[Warehouse, dict[str, str]], shared_server: SharedServer, tmp_path: Path
) -> None:
    warehouse, environment = airflow
    schools = fill_schools(warehouse, tmp_path)
    slug, learner = _slug(warehouse), schools.people("learner")[0]
    # On a server of one's own, whose passwords are not ours, the administrator becomes the tenants.
    reader = warehouse.administrator
    if shared_server.database_url is None:
        reader = database.login_target(reader, shared_server.settings, Login.API)
    asked = [
        {"dag_id": "generate_reports", "run_after": MONDAY},
        {"clear": 0, "only": None},
        {
            "dag_id": "generate_reports",
            "run_after": LATER,
            "conf": {
                "organization": slug,
                "kind": "learner",
                "user": learner,
                "period": "month",
                "start": "2026-11-01",
            },
        },
    ]

    said = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("dag_runs.py"))],
        input=json.dumps(asked),
        env=environment | {"LYCEUM_API_DATABASE_URL": reader.url()},
        capture_output=True,
        text=True,
        check=False,
    )

    assert said.returncode == 0, said.stderr[-3000:]
    first, cleared, requested = json.loads(said.stdout.splitlines()[-1])
    assert [outcome["state"] for outcome in (first, cleared, requested)] == ["success"] * 3
    with warehouse.connect() as connection:
        weekly = connection.execute(
            "select organization_id, kind, owner_user_id, status, requested_by from reporting.reports where period_type = 'week'"
        ).fetchall()
        monthly = connection.execute(
            "select owner_user_id, kind, period_start::text from reporting.reports where period_type = 'month'"
        ).fetchall()
        highest = connection.execute(
            "select max(report_id), count(*) from reporting.reports where period_type = 'week'"
        ).fetchone()
        alerts = connection.execute("select subject from ops.alerts where subject like 'generate_reports%%'").fetchall()
    expected = {
        (organization, kind, person)
        for organization in schools.organizations
        for kind, people in (
            ("learner", schools.people("learner", WEEK, organization)),
            ("trainer", schools.people("trainer", WEEK, organization)),
            ("organization", [None]),
        )
        for person in people
    }
    assert {row[:3] for row in weekly} == expected
    assert len(weekly) == len(expected)
    assert {row[3] for row in weekly} == {"ready"}
    assert {row[4].split()[0] for row in weekly} == {"generate_reports"}
    # The run that was cleared wrote nothing anew.
    assert highest is not None
    assert highest[0] == highest[1]
    assert monthly == [(learner, "learner", "2026-11-01")]
    assert alerts == []


def _slug(warehouse: Warehouse) -> str:
    with warehouse.connect() as connection:
        row = connection.execute("select slug from core.organizations order by organization_id limit 1").fetchone()
    assert row is not None
    return str(row[0])
