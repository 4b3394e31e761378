"""The API over a warehouse of three organizations whose people have the same ids and other numbers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from api_callers import Caller, api_login, api_settings, calling, give_everybody_other_numbers
from lyceum.audit import ensure_audit_partitions
from lyceum.database import ConnectionTarget
from three_organizations import World, make_world
from warehouse import SharedServer


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
def caller(shared_server: SharedServer, world: World) -> Iterator[Caller]:
    """The API of the world, whose limits no test of contents reaches."""
    with calling(api_settings(shared_server, world.warehouse, requests_per_minute=1_000_000)) as made:
        yield made
