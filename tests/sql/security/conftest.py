"""`world`: three organizations of which tests ask as tenants."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lyceum.database import ConnectionTarget
from three_organizations import World, make_world
from warehouse import SharedServer


@pytest.fixture(scope="module")
def world(
    shared_server: SharedServer, template: ConnectionTarget, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """The three organizations, for the tests of a module."""
    home = tmp_path_factory.mktemp("tenants") / "home"
    with shared_server.database(home, template) as warehouse, warehouse.connect(autocommit=True) as connection:
        yield make_world(warehouse, connection)
