"""A run that starts later than its clock leaves what landed in between to the next run."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lyceum.collect import CollectReport, collect_sources
from lyceum.organizations import add_organization, landing_folder
from warehouse import Warehouse

CLOCK = datetime(2026, 3, 9, 6, tzinfo=UTC)


def drop(folder: Path, event_id: str, happened_at: datetime, landed_at: datetime) -> None:
    statement = {
        "id": event_id,
        "actor": {"mbox": "mailto:learner@example.org"},
        "verb": {"id": "http://adlnet.gov/expapi/verbs/interacted"},
        "object": {"id": "https://example.org/page"},
        "timestamp": happened_at.isoformat(),
    }
    file = folder / f"{event_id}.json"
    file.write_text(json.dumps(statement))
    os.utime(file, (landed_at.timestamp(), landed_at.timestamp()))


def collect(warehouse: Warehouse, clock: datetime) -> CollectReport:
    (report,) = collect_sources(
        warehouse.target, warehouse.settings, as_of=clock, landed_by=clock, run_id=f"run of {clock.isoformat()}"
    )
    return report


def test_what_landed_after_the_clock_waits_for_the_next_run_and_is_not_refused(warehouse: Warehouse) -> None:
    warehouse.settings.create_directories()
    with warehouse.connect() as connection:
        add_organization(connection, "harbor-college", "Harbor College", "UTC", CLOCK)
    folder = landing_folder(warehouse.settings, "harbor-college", "xapi")
    folder.mkdir(parents=True)
    before, after = CLOCK - timedelta(minutes=1), CLOCK + timedelta(minutes=10)
    drop(folder, "00000000-0000-4000-8000-000000000001", before, before)
    drop(folder, "00000000-0000-4000-8000-000000000002", after, after)

    first = collect(warehouse, CLOCK)
    second = collect(warehouse, CLOCK + timedelta(minutes=15))

    assert (first.records_read, first.events_accepted) == (1, 1)
    assert (second.records_read, second.events_accepted) == (1, 1)
