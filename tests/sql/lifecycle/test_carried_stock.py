"""A year that has gone from stage three changes nothing of what is told of later days: a twin that keeps it tells the same."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lyceum.analytics import build as steps
from lyceum.collect import collect_paths
from lyceum.database import ConnectionTarget
from lyceum.lifecycle import run_cleanup
from lyceum.organizations import add_organization
from lyceum.simulator import (
    Delivery,
    Irregularities,
    SimulationPlan,
    sample_organizations,
    simulate_all,
    write_delivery,
)
from warehouse import SharedServer, Warehouse

PLAN = SimulationPlan(
    first_day=date(2014, 11, 24),
    days=56,
    organizations=sample_organizations(1, learners=18, courses=3),
    seed=5,
    irregularities=Irregularities(),
)
SLUG = PLAN.organizations[0].slug


@pytest.mark.timeout(900)
def test_what_a_dropped_year_told_is_told_on(
    shared_server: SharedServer, template: ConnectionTarget, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        lean = stack.enter_context(shared_server.database(tmp_path / "lean", template))
        lean.settings.create_directories()
        with lean.connect() as connection:
            organization = PLAN.organizations[0]
            start = datetime(2014, 11, 1, tzinfo=UTC)
            add_organization(connection, SLUG, organization.name, organization.time_zone, start)
            connection.commit()
        collect([lean], PLAN, tmp_path / "first")
        steps.build(lean.target, lean.settings, datetime(2015, 2, 10, tzinfo=UTC), "test")
        # The twin is the same warehouse, with the same keys, and never lets a year go.
        shutil.copytree(tmp_path / "lean", tmp_path / "twin")
        twin = stack.enter_context(shared_server.database(tmp_path / "twin", lean.administrator))

        for number, year in enumerate((2022, 2023)):
            new_year = datetime(year, 1, 2, 1, 35, tzinfo=UTC)
            for one in (lean, twin):
                steps.build(one.target, one.settings, new_year - timedelta(minutes=30), "test")
            report = run_cleanup(lean.target, lean.settings, "yearly", new_year)
            assert report.partitions_dropped > 0
            assert first_day(lean) >= date(year - 7, 1, 1)
            assert first_day(twin) < date(2015, 1, 1)

            # Fewer come back each year, so that some are touched and others are not.
            back = replace(PLAN, first_day=date(year, 1, 3), days=9 - 3 * number)
            collect([lean, twin], back, tmp_path / str(year))
            for one in (lean, twin):
                steps.build(one.target, one.settings, datetime(year, 1, 20, tzinfo=UTC), "test")
            assert courses(lean) == courses(twin)
            assert rows(lean, date(year - 7, 1, 1)) == rows(twin, date(year - 7, 1, 1))

        told = courses(lean)
        assert any(row["completed_on"] is not None and row["completed_on"] < "2015-01-01" for row in told)
        assert any(row["first_event_on"] < "2015-01-01" and row["last_event_on"] > "2023-01-01" for row in told)
        assert any(row["last_event_on"] < "2016-01-01" for row in told)


def collect(warehouses: Sequence[Warehouse], plan: SimulationPlan, folder: Path) -> None:
    """Collect what a simulation delivers, without its rosters: enrollment follows from what people did."""
    for delivery in simulate_all(plan):
        if not isinstance(delivery, Delivery):
            continue
        path = write_delivery(delivery, folder)
        for one in warehouses:
            collect_paths(
                one.target,
                one.settings,
                organization=SLUG,
                paths=[path],
                format="xapi",
                as_of=datetime(delivery.day.year, delivery.day.month, delivery.day.day, 12, tzinfo=UTC)
                + timedelta(days=1),
                run_id="test",
            )


def first_day(warehouse: Warehouse) -> date:
    with warehouse.connect() as connection:
        row = connection.execute("select min(period_start) from stage_three.aggregated_analytics").fetchone()
    assert row is not None
    first: date = row[0]
    return first


def courses(warehouse: Warehouse) -> list[dict[str, Any]]:
    with warehouse.connect() as connection:
        found = connection.execute(
            "select to_jsonb(told) from stage_three.learner_courses as told order by learner_id, course_id"
        ).fetchall()
    return [row for (row,) in found]


def rows(warehouse: Warehouse, since: date) -> list[dict[str, Any]]:
    with warehouse.connect() as connection:
        found = connection.execute(
            """
            select to_jsonb(told) from stage_three.aggregated_analytics as told
            where period_start >= %s
            order by subject_type, subject_id, course_id, period_type, period_start
            """,
            [since],
        ).fetchall()
    return [row for (row,) in found]
