"""A real build that is running: collected, built by dbt, not yet audited, on top of a version that was published before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest

from lyceum.analytics import build as steps
from lyceum.collect import collect_paths
from lyceum.database import Connection, ConnectionTarget
from lyceum.organizations import add_organization, ensure_source, find_organization
from lyceum.roster import apply_roster, configure_source
from lyceum.simulator import (
    Delivery,
    Irregularities,
    RosterFile,
    RosterPlan,
    SimulationPlan,
    roster_options,
    sample_organizations,
    simulate,
    simulate_all,
    write_delivery,
)
from warehouse import SharedServer, Warehouse

# Late by at most two days and never voided: the second build touches the second day, the first stays as it was published,
# and some learner's third day is told again for its stock columns alone.
PLAN = SimulationPlan(
    first_day=date(2026, 11, 9),
    days=5,
    organizations=sample_organizations(2, learners=50, courses=3),
    seed=11,
    irregularities=Irregularities(late=0.05, duplicate=0.02, conflicting=0.005, malformed=0.01, late_days=2),
    roster=RosterPlan(unrostered=0.1, late=0, malformed=0),
)


@dataclass(frozen=True, slots=True)
class RunningBuild:
    """The warehouse and its running build. Tests plant their mismatch in a transaction that is rolled back."""

    warehouse: Warehouse
    build_id: int


@pytest.fixture(scope="session")
def running_build(
    shared_server: SharedServer, template: ConnectionTarget, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningBuild]:
    """Two organizations: their first three days are published, the other two are candidates of the running build."""
    folder = tmp_path_factory.mktemp("quality")
    with shared_server.database(folder / "home", template) as warehouse:
        with warehouse.connect() as connection:
            for organization in PLAN.organizations:
                add_organization(
                    connection,
                    organization.slug,
                    organization.name,
                    organization.time_zone,
                    datetime(2026, 11, 9, tzinfo=UTC),
                )
        _apply_first_rosters(warehouse, folder)
        deliveries = list(simulate(PLAN))
        middle = 3 * len(PLAN.organizations)
        as_of = _collect(warehouse, deliveries[:middle], folder)
        steps.build(warehouse.target, warehouse.settings, as_of, "first")
        as_of = _collect(warehouse, deliveries[middle:], folder)
        begun = steps.begin(warehouse.target, warehouse.settings, as_of, "second")
        for layer in steps.LAYERS:
            steps.build_layer(warehouse.target, warehouse.settings, begun.build_id, layer)
        yield RunningBuild(warehouse, begun.build_id)


@pytest.fixture
def connection(running_build: RunningBuild) -> Iterator[Connection]:
    """A connection whose transaction is rolled back."""
    with running_build.warehouse.connect() as lent:
        yield lent
        lent.rollback()


def _apply_first_rosters(warehouse: Warehouse, folder: Path) -> None:
    """Let each organization know who learns and teaches what, as of the first morning."""
    morning = datetime.combine(PLAN.first_day, time(6), tzinfo=UTC)
    for delivery in simulate_all(PLAN):
        if not isinstance(delivery, RosterFile) or delivery.day != PLAN.first_day:
            continue
        slug = delivery.organization.slug
        with warehouse.connect() as connection:
            source = ensure_source(
                connection, find_organization(connection, slug), delivery.source, "oneroster", morning
            )
            configure_source(connection, source, roster_options(slug))
        path = write_delivery(delivery, folder)
        apply_roster(warehouse.target, warehouse.settings, slug, path, delivery.source, morning, "test")


def _collect(warehouse: Warehouse, deliveries: list[Delivery], folder: Path) -> datetime:
    """Collect at six o'clock UTC after the last day, when that day is over everywhere, and return the clock of the build."""
    as_of = datetime.combine(deliveries[-1].day + timedelta(days=1), time(6), tzinfo=UTC)
    for delivery in deliveries:
        collect_paths(
            warehouse.target,
            warehouse.settings,
            organization=delivery.organization.slug,
            paths=[write_delivery(delivery, folder)],
            format="xapi",
            as_of=as_of,
            run_id="test",
        )
    return as_of + timedelta(minutes=5)
