"""The tasks of `sync_roster`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from lyceum.errors import InputError
from lyceum.orchestration.assets import ROSTER
from lyceum.orchestration.collecting import SourceName
from lyceum.orchestration.task_context import as_of, label, run_name, settings
from lyceum.orchestration.task_policy import library_task

_log = logging.getLogger(__name__)


@library_task
def list_roster_sources() -> list[SourceName]:
    """Return the roster sources that are active now."""
    from lyceum.database import connect, target
    from lyceum.organizations import ROSTER_FORMAT, list_sources

    with connect(target(settings())) as connection:
        return [
            SourceName(organization=source.organization, source=source.name)
            for source in list_sources(connection)
            if source.is_active and source.format == ROSTER_FORMAT
        ]


@library_task
def sync_source(organization: str, source: str) -> dict[str, int]:
    """Apply the rosters that have landed for one source; return the counts.

    Raises `InputError` at the end when one could not be read as a whole; the others are applied then.
    """
    from lyceum.database import target
    from lyceum.roster import sync_source

    label(f"{organization}/{source}")
    where = settings()
    clock = as_of()
    report = sync_source(target(where), where, organization, source, clock, run_name(), landed_by=clock)
    counts = {
        "rosters": len(report.applied),
        "rows": sum(one.rows_read for one in report.applied),
        "quarantined": sum(one.rows_quarantined for one in report.applied),
        "enrollments_changed": sum(one.enrollments_changed for one in report.applied),
        "people_to_tell": sum(one.people_to_tell for one in report.applied),
    }
    _log.info("%s", ", ".join(f"{count:,} {name}" for name, count in counts.items()))
    if report.unreadable:
        told = "; ".join(f"{one.name}: {one.message}" for one in report.unreadable)
        raise InputError(
            f"{len(report.unreadable)} of the rosters of {organization}/{source} could not be read: {told} "
            "The others were applied. Correct or remove them; the next run looks again."
        )
    return counts


def announce(outlet_events: Mapping[Any, Any]) -> None:
    """Wake the build."""
    outlet_events[ROSTER].extra = {"as_of": as_of().isoformat()}
