"""A collection that is killed at any point loses nothing and counts nothing twice when it is run again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest

from lyceum import faults
from tenants import Tenant, event_id

HERE = Path(__file__).parent
POINTS = [point for point in faults.POINTS if point.startswith("collect.")]


def run(tenant: Tenant, crash_at: str) -> int:
    environment = {
        **os.environ,
        **tenant.warehouse.settings.environment(),
        "PYTHONPATH": str(HERE.parents[1]),
        faults.VARIABLE: crash_at,
    }
    program = [sys.executable, str(HERE / "crashing_run.py"), tenant.organization.slug]
    return subprocess.run(program, env=environment, check=False, timeout=120).returncode


def books(tenant: Tenant) -> list[tuple[object, ...]]:
    return tenant.query(
        """
        select
            batches.first_ordinal, batches.records_read, batches.events_accepted, batches.duplicates, batches.quarantined,
            inputs.next_ordinal, inputs.completed_at is not null
        from ops.batches as batches join ops.inputs as inputs using (organization_id, input_id) order by 1
        """
    )


@pytest.mark.parametrize("point", POINTS)
def test_a_killed_collection_is_taken_up_where_it_stopped(tenant: Tenant, point: str) -> None:
    crashed = run(tenant, point)
    tenant.check_books()
    finished = run(tenant, "")

    assert (crashed, finished) == (-signal.SIGKILL, 0)
    assert tenant.accepted() == {event_id(number) for number in (1, 2, 3, 4, 5)}
    assert tenant.query("select event_id from stage_one.raw_data_collection where is_voided") == [
        (UUID(bytes=event_id(1)),)
    ]
    assert books(tenant) == [(1, 3, 2, 0, 1, 9, True), (4, 3, 2, 1, 0, 9, True), (7, 2, 1, 0, 1, 9, True)]
    assert tenant.refused() == [(3, "invalid"), (8, "conflict")]
    assert tenant.query("select count(*) from core.users") == [(2,)]
    tenant.check_books()
