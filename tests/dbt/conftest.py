"""A warehouse with a little published data, and the parsed dbt project."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from lyceum import organizations
from lyceum.analytics.build import build
from lyceum.analytics.models import parsed_project
from lyceum.collect import collect_paths
from lyceum.database import ConnectionTarget
from lyceum.simulator import SimulationPlan, sample_organizations, write_deliveries
from lyceum.views import VIEWS, refresh
from warehouse import SharedServer, Warehouse

BUILT_AS_OF = datetime(2026, 3, 9, 9, tzinfo=UTC)


@pytest.fixture(scope="session")
def built(
    shared_server: SharedServer, template: ConnectionTarget, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Warehouse]:
    """A warehouse of two organizations with a week of activity, published once, its views refreshed. Tests read it only."""
    folder = tmp_path_factory.mktemp("built")
    plan = SimulationPlan(organizations=sample_organizations(2, learners=12, courses=2), roster=None)
    write_deliveries(plan, folder / "deliveries")
    with shared_server.database(folder / "home", template) as lent:
        for organization in plan.organizations:
            with lent.connect() as connection:
                organizations.add_organization(
                    connection, organization.slug, organization.name, organization.time_zone, BUILT_AS_OF
                )
                connection.commit()
            collect_paths(
                lent.target,
                lent.settings,
                organization=organization.slug,
                paths=[folder / "deliveries" / organization.slug / "xapi"],
                format="xapi",
                as_of=BUILT_AS_OF,
                is_history=False,
                run_id="test",
            )
        build(lent.target, lent.settings, BUILT_AS_OF, "test")
        for view in VIEWS.values():
            refresh(lent.target, lent.settings, view, BUILT_AS_OF, "test")
        yield lent


@pytest.fixture(scope="session")
def project(built: Warehouse) -> Any:
    """The manifest that dbt makes of the project."""
    return parsed_project(built.target, built.settings)
