"""Clearing any past run is safe: what is published, its versions and the views stay as they are, and a stale step says so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from lyceum.analytics import build
from lyceum.organizations import ROSTER_FORMAT, add_organization, ensure_source, landing_folder
from lyceum.roster import configure_source
from lyceum.simulator import (
    REALISTIC,
    OrganizationPlan,
    RosterPlan,
    SimulationPlan,
    roster_options,
    simulate_all,
    write_delivery,
)
from warehouse import Warehouse

pytestmark = [pytest.mark.exhaustive, pytest.mark.timeout(900)]

DAGS = ("sync_roster", "collect_raw_data", "build_analytics", "refresh_learner_summary", "refresh_organization_metrics")
DAYS = 4
ZONE = "America/New_York"
LAST = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(hours=12)
CLOCKS = [LAST - timedelta(days=DAYS - 1 - day) for day in range(DAYS)]
PLAN = SimulationPlan(
    first_day=(CLOCKS[0] - timedelta(days=1)).date(),
    days=DAYS,
    organizations=(OrganizationPlan("river-college", "River College", ZONE, learners=12, courses=2),),
    irregularities=REALISTIC,
    roster=RosterPlan(full_every=1),
)
SLUG = PLAN.organizations[0].slug


@pytest.fixture(scope="module")
def outcomes(airflow: tuple[Warehouse, dict[str, str]]) -> dict[str, Any]:
    """Days run one after the other; before the last is built, old runs are cleared as a whole and steps of an old build one by one.

    What the last day delivered is collected by then, and pending when the first build is cleared once more.
    """
    warehouse, environment = airflow
    with warehouse.connect() as connection:
        organization = add_organization(connection, SLUG, "River College", ZONE, CLOCKS[0])
        source = ensure_source(connection, organization, "roster", ROSTER_FORMAT, CLOCKS[0])
        configure_source(connection, source, roster_options(SLUG))
    for delivery in simulate_all(PLAN):
        clock = CLOCKS[(delivery.day - PLAN.first_day).days]
        file = write_delivery(delivery, landing_folder(warehouse.settings, SLUG, delivery.source))
        # Each run finds what had landed by its clock.
        os.utime(file, ((clock - timedelta(minutes=5)).timestamp(),) * 2)
    asked: dict[str, dict[str, object]] = {}

    def run(day: int, *dag_ids: str) -> None:
        for dag_id in dag_ids:
            clock = CLOCKS[day] + timedelta(minutes=DAGS.index(dag_id))
            asked[f"{dag_id} {day}"] = {"dag_id": dag_id, "run_after": clock.isoformat()}

    def clear(name: str, of: str, *only: str) -> None:
        asked[f"cleared {name}"] = {"clear": list(asked).index(of), "only": only or None}
        asked[f"after clearing {name}"] = {"snapshot": True}

    for day in range(DAYS - 1):
        run(day, *DAGS)
        asked[f"after day {day}"] = {"snapshot": True}
    # The last step first: each still finds the steps before it as they ended.
    for step in reversed(build.STEPS[1:]):
        clear(f"step {step}", "build_analytics 0", step)
    for dag_id in DAGS:
        for day in range(2):
            clear(f"{dag_id} {day}", f"{dag_id} {day}")
    run(DAYS - 1, "sync_roster", "collect_raw_data")
    clear("while something is pending", "build_analytics 0")
    run(DAYS - 1, "build_analytics")
    asked["after the last build"] = {"snapshot": True}
    said = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("dag_runs.py"))],
        env=environment,
        input=json.dumps(list(asked.values())),
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr[-4000:]
    return dict(zip(asked, json.loads(said.stdout.splitlines()[-1]), strict=True))


def changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return [table for table in before if before[table] != after[table]]


def test_every_run_published_something_new(outcomes: dict[str, Any]) -> None:
    for day in range(DAYS - 1):
        for dag_id in DAGS:
            assert outcomes[f"{dag_id} {day}"]["state"] == "success", (dag_id, day)
    assert outcomes["sync_roster 0"]["returned"]["sync_source"]["enrollments_changed"] > 0
    for day in range(1, DAYS - 1):
        differing = set(changed(outcomes[f"after day {day - 1}"], outcomes[f"after day {day}"]))
        assert differing >= {
            "ops.organization_watermarks",
            "ops.view_versions",
            "stage_three.aggregated_analytics",
            "stage_three.mv_learner_analytics_summary",
            "stage_three.mv_organization_metrics",
        }


@pytest.mark.parametrize("day", range(2))
@pytest.mark.parametrize("dag_id", DAGS)
def test_clearing_an_old_run_succeeds_and_changes_nothing(outcomes: dict[str, Any], dag_id: str, day: int) -> None:
    assert outcomes[f"cleared {dag_id} {day}"]["state"] == "success"
    assert changed(outcomes[f"after day {DAYS - 2}"], outcomes[f"after clearing {dag_id} {day}"]) == []


@pytest.mark.parametrize("step", build.STEPS[1:-1])
def test_a_single_step_of_an_old_build_fails_at_once_and_changes_nothing(outcomes: dict[str, Any], step: str) -> None:
    cleared = outcomes[f"cleared step {step}"]
    build_id = outcomes["build_analytics 0"]["returned"]["begin"]["build_id"]

    assert cleared["tasks"][step][0] == "failed"
    assert f"Build {build_id} is published, expected it to be running" in cleared["errors"][step]
    assert changed(outcomes[f"after day {DAYS - 2}"], outcomes[f"after clearing step {step}"]) == []


def test_sealing_again_as_of_an_old_build_changes_nothing(outcomes: dict[str, Any]) -> None:
    assert outcomes["cleared step seal"]["tasks"]["seal"][0] == "success"
    assert changed(outcomes[f"after day {DAYS - 2}"], outcomes["after clearing step seal"]) == []


def test_an_old_build_that_is_cleared_while_something_is_pending_takes_nothing_back(
    outcomes: dict[str, Any], airflow: tuple[Warehouse, dict[str, str]]
) -> None:
    before, stale, last = (
        outcomes[name]
        for name in (f"after day {DAYS - 2}", "after clearing while something is pending", "after the last build")
    )
    clock = CLOCKS[-1] + timedelta(minutes=DAGS.index("build_analytics"))

    assert outcomes["cleared while something is pending"]["state"] == "success"
    assert outcomes[f"build_analytics {DAYS - 1}"]["state"] == "success"
    assert {"ops.batches", "stage_three.aggregated_analytics"} <= set(changed(before, stale))
    assert {"ops.organization_watermarks", "stage_three.aggregated_analytics"} <= set(changed(stale, last))
    with airflow[0].connect() as connection:
        told = connection.execute(
            """
            select closed_through, data_as_of
            from ops.organization_watermarks inner join core.organizations using (organization_id)
            where slug = %s
            """,
            [SLUG],
        ).fetchall()
        pending = connection.execute("select count(*) from ops.pending_hours").fetchone()
    assert told == [((clock.astimezone(ZoneInfo(ZONE)) - timedelta(days=1)).date(), clock)]
    assert pending == (0,)
