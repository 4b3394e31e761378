"""A warehouse of two organizations with published numbers, of which tests refresh the views.

Six days are simulated. Five are published; a test begins where the fourth has just closed, as the view sees it, because
nothing later than the last closed day counts. `close_a_day` is what a build without late events does to that: the fifth
day closes. `publish_the_last_day` really builds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from lyceum.analytics.build import build
from lyceum.collect import collect_paths
from lyceum.database import ConnectionTarget
from lyceum.organizations import add_organization
from lyceum.simulator import Delivery, Irregularities, SimulationPlan, sample_organizations, simulate, write_delivery
from lyceum.views import VIEWS, RefreshReport, refresh
from warehouse import SharedServer, Warehouse

PLAN = SimulationPlan(
    first_day=date(2026, 11, 9),
    days=6,
    organizations=sample_organizations(2, learners=40, courses=3),
    seed=5,
    irregularities=Irregularities(late=0.05, duplicate=0.02),
)
LAST_DAY = PLAN.first_day + timedelta(days=PLAN.days - 1)


@dataclass(frozen=True, slots=True)
class Tenants:
    """The warehouse and its deliveries."""

    warehouse: Warehouse
    folder: Path
    deliveries: tuple[Delivery, ...]

    def close_a_day(self) -> None:
        """Move every organization on by a day and a version."""
        self.execute(
            """
            update ops.organization_watermarks
            set
                closed_through = closed_through + 1,
                data_version = data_version + 1,
                data_as_of = data_as_of + interval '1 day'
            """
        )

    def publish_the_last_day(self) -> None:
        """Collect and build what has not been delivered yet."""
        publish(self.warehouse, [one for one in self.deliveries if one.day == LAST_DAY], self.folder)

    def refresh(self, view: str, as_of: datetime, tell: Callable[[str], None] = lambda step: None) -> RefreshReport:
        """Refresh one view."""
        return refresh(self.warehouse.target, self.warehouse.settings, VIEWS[view], as_of, "test", tell)

    def query(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with self.warehouse.connect() as connection:
            return connection.execute(query, parameters).fetchall()  # type: ignore[call-overload,no-any-return]

    def execute(self, statement: str) -> None:
        """Run a statement for good."""
        with self.warehouse.connect(autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]


def publish(warehouse: Warehouse, deliveries: list[Delivery], folder: Path) -> None:
    """Collect at six o'clock UTC after the last day, and build."""
    as_of = datetime.combine(max(delivery.day for delivery in deliveries) + timedelta(days=1), time(6), tzinfo=UTC)
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
    build(warehouse.target, warehouse.settings, as_of, "test")


@pytest.fixture(scope="session")
def published(
    shared_server: SharedServer, template: ConnectionTarget, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Tenants]:
    """What every test copies. Nobody changes this one."""
    folder = tmp_path_factory.mktemp("views")
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
        deliveries = tuple(simulate(PLAN))
        publish(warehouse, [one for one in deliveries if one.day < LAST_DAY], folder)
        tenants = Tenants(warehouse, folder, deliveries)
        tenants.execute(
            """
            update ops.organization_watermarks
            set closed_through = closed_through - 1, data_as_of = data_as_of - interval '1 day'
            """
        )
        yield tenants


@pytest.fixture
def tenants(shared_server: SharedServer, published: Tenants, tmp_path: Path) -> Iterator[Tenants]:
    """A copy of the published warehouse for this test alone; its views have never been refreshed."""
    home = published.warehouse.settings.home
    with shared_server.database(home, published.warehouse.target) as warehouse:
        yield Tenants(warehouse, tmp_path, published.deliveries)
