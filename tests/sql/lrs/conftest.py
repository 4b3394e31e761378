"""Tenants of a test's own warehouse, and a door to a store made to order."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lyceum import organizations
from record_stores.door import Door, open_door
from tenants import AS_OF, Tenant
from warehouse import Warehouse


@pytest.fixture
def tenant(warehouse: Warehouse) -> Tenant:
    """An organization whose days are those of UTC."""
    with warehouse.connect() as connection:
        return Tenant(warehouse, organizations.add_organization(connection, "acme", "Acme", "UTC", AS_OF))


@pytest.fixture
def door() -> Iterator[Door]:
    """A door with nothing behind it yet."""
    with open_door() as opened:
        yield opened
