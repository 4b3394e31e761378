"""A tenant whose raw data grows old."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from aging import IMPATIENT, Cleanup
from lyceum import organizations
from lyceum.database import Connection
from lyceum.lifecycle import CleanupReport, run_cleanup
from tenants import AS_OF, Tenant
from warehouse import Warehouse


@pytest.fixture
def tenant(warehouse: Warehouse) -> Tenant:
    with warehouse.connect() as connection:
        return Tenant(warehouse, organizations.add_organization(connection, "college", "College", "UTC", AS_OF))


@pytest.fixture
def connection(warehouse: Warehouse) -> Iterator[Connection]:
    with warehouse.connect(autocommit=True) as connection:
        yield connection


@pytest.fixture
def cleanup(warehouse: Warehouse) -> Cleanup:
    """Runs a clean-up of the warehouse as the pipeline does."""

    def run(schedule: Any, as_of: datetime, **more: Any) -> CleanupReport:
        return run_cleanup(warehouse.target, warehouse.settings, schedule, as_of, **({"patience": IMPATIENT} | more))

    return run
