"""The API over a warehouse of three organizations whose people have the same ids and other numbers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest

from api_callers import Caller, api_login, api_settings, calling, give_everybody_other_numbers, now
from lyceum.audit import ensure_audit_partitions
from lyceum.database import ConnectionTarget
from lyceum.reporting.people.contents import Kind
from lyceum.reporting.people.generation import Wanted, open_report_writer
from lyceum.reporting.people.periods import Period
from three_organizations import ADA, UNA, World, make_world
from warehouse import SharedServer

# Of this week the world has no rows: what a report says is tested elsewhere.
WEEK = Period("week", date(2026, 10, 26))
OWNERS: dict[Kind, int | None] = {"learner": ADA, "trainer": UNA, "organization": None}


@pytest.fixture(scope="module")
def world(
    shared_server: SharedServer, template: ConnectionTarget, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    home = tmp_path_factory.mktemp("serving") / "home"
    with shared_server.database(home, template) as warehouse, warehouse.connect(autocommit=True) as connection:
        made = make_world(warehouse, connection)
        ensure_audit_partitions(connection)
        give_everybody_other_numbers(connection)
        with api_login(shared_server, warehouse):
            yield made


@pytest.fixture(scope="module")
def written(world: World) -> dict[str, int]:
    """Ids of reports of the second organization, by their kind: Ada's, Una's, and that of the organization."""
    with open_report_writer(
        world.warehouse.target,
        world.warehouse.administrator,
        world.warehouse.settings,
        as_of=now(),
        requested_by="test",
    ) as writer:
        return {kind: writer.write(Wanted(2, kind, owner, WEEK)).report_id for kind, owner in OWNERS.items()}


@pytest.fixture(scope="module")
def caller(shared_server: SharedServer, world: World) -> Iterator[Caller]:
    """The API of the world, whose limits no test of contents reaches."""
    with calling(api_settings(shared_server, world.warehouse, requests_per_minute=1_000_000)) as made:
        yield made
