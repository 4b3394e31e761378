"""Tenants to collect for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lyceum import organizations
from tenants import AS_OF, Tenant
from warehouse import Warehouse


@pytest.fixture
def new_tenant(warehouse: Warehouse) -> Callable[..., Tenant]:
    """Add an organization to the test's warehouse."""

    def add(slug: str = "acme", time_zone: str = "UTC") -> Tenant:
        with warehouse.connect() as connection:
            return Tenant(warehouse, organizations.add_organization(connection, slug, slug, time_zone, AS_OF))

    return add


@pytest.fixture
def tenant(new_tenant: Callable[..., Tenant]) -> Tenant:
    """An organization whose days are those of UTC."""
    return new_tenant()
