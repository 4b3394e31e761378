"""The tasks of `collect_raw_data`, `load_history` and `replay_quarantine`."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from lyceum.errors import InputError
from lyceum.orchestration.assets import RAW_DATA_COLLECTION
from lyceum.orchestration.task_context import as_of, label, run_name, settings
from lyceum.orchestration.task_policy import library_task

if TYPE_CHECKING:
    from lyceum.collect import CollectReport
    from lyceum.organizations import Format
    from lyceum.records import Reason
    from lyceum.settings import Settings

_log = logging.getLogger(__name__)

_PULL_SECONDS = 600.0
"""A store with a backlog must not keep the other sources waiting: after that the next run goes on."""


class SourceName(TypedDict):
    """One source, by the names that people use."""

    organization: str
    source: str


@library_task
def list_active_sources() -> list[SourceName]:
    """Return the sources of events that are active now."""
    from lyceum.database import connect, target
    from lyceum.organizations import ROSTER_FORMAT, list_sources

    with connect(target(settings())) as connection:
        return [
            SourceName(organization=source.organization, source=source.name)
            for source in list_sources(connection)
            if source.is_active and source.format != ROSTER_FORMAT
        ]


@library_task
def collect_source(organization: str, source: str) -> dict[str, int]:
    """Collect what lies in a source's landing folder, or what its Learning Record Store has stored since; return the counts.

    Raises `InputError` at the end when a file could not be read as a whole; everything else is collected then. A store that
    cannot be reached fails this source alone; its cursor stays, so the next run goes on there.
    """
    from lyceum.collect import collect_sources
    from lyceum.database import connect, target
    from lyceum.lrs import find_source

    label(f"{organization}/{source}")
    where = settings()
    clock = as_of()
    with connect(target(where)) as connection:
        channel = find_source(connection, organization, source).source.channel
    if channel == "lrs":
        return _pull(where, organization, source, clock)
    reports = collect_sources(
        target(where),
        where,
        organization=organization,
        source=source,
        as_of=clock,
        landed_by=clock,
        run_id=run_name(),
    )
    failures = [failure for report in reports for failure in report.failures]
    counts = _counts(reports)
    if failures:
        unreadable = "; ".join(f"{failure.name}: {failure.message}" for failure in failures)
        raise InputError(
            f"{len(failures)} of the files of {organization}/{source} could not be read: {unreadable} "
            "All else was collected. Correct or remove them; the next run looks again."
        )
    return counts


@library_task
def collect_history(organization: str, path: str, format_name: Format) -> dict[str, int]:
    """Collect a file or folder of old events; return the counts."""
    from lyceum.collect import collect_paths
    from lyceum.database import target

    where = settings()
    report = collect_paths(
        target(where),
        where,
        organization=organization,
        paths=[Path(path)],
        format=format_name,
        as_of=as_of(),
        is_history=True,
        run_id=run_name(),
        progress=LoggedProgress(),
    )
    return _counts([report])


def _pull(where: Settings, organization: str, source: str, clock: datetime) -> dict[str, int]:
    from lyceum.database import target
    from lyceum.lrs import pull
    from lyceum.orchestration.credentials import find_credentials

    # A line for each page would bury the rest.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    report = pull(
        target(where),
        where,
        organization=organization,
        source=source,
        as_of=clock,
        run_id=run_name(),
        find_credentials=find_credentials(),
        seconds=_PULL_SECONDS,
    )
    if not report.is_finished:
        _log.info("There is more than one run takes; the next goes on.")
    _log.info(
        "%s statements in %s pages; complete through %s",
        f"{report.statements:,}",
        f"{report.pages:,}",
        report.pulled_through.isoformat() if report.pulled_through else "nothing yet",
    )
    return {"pages": report.pages, "statements": report.statements, **_counts([report.collected])}


@library_task
def replay_refused(organization: str, reason: Reason) -> dict[str, int]:
    """Collect an organization's refused records of one reason once more; return the counts."""
    from lyceum.collect import replay
    from lyceum.database import target

    where = settings()
    report = replay(
        target(where),
        where,
        organization=organization,
        reason=reason,
        as_of=as_of(),
        run_id=run_name(),
        progress=LoggedProgress(),
    )
    counts = {
        "rows": report.rows_considered,
        "events": report.events_accepted,
        "duplicates": report.duplicates,
        "refused_again": sum(report.refused_again.values()),
        "without_payload": report.without_payload,
    }
    _log.info("%s", ", ".join(f"{count:,} {name}" for name, count in counts.items()))
    return counts


def announce(outlet_events: Mapping[Any, Any]) -> None:
    """Wake the build."""
    outlet_events[RAW_DATA_COLLECTION].extra = {"as_of": as_of().isoformat()}


class LoggedProgress:
    """Logs every twentieth of the work."""

    def __init__(self) -> None:
        """Begin at nothing."""
        self._told = 0

    def __call__(self, done: int, total: int, unit: str) -> None:
        """Take what is done of the total, in `unit`."""
        share = 20 * done // total if total else 0
        if share > self._told:
            self._told = share
            _log.info("%s of %s %s done (%d %%)", f"{done:,}", f"{total:,}", unit, 5 * share)


def _counts(reports: Sequence[CollectReport]) -> dict[str, int]:
    counts = {
        "files": sum(len(report.inputs) for report in reports),
        "records": sum(report.records_read for report in reports),
        "events": sum(report.events_accepted for report in reports),
        "duplicates": sum(report.duplicates for report in reports),
        "quarantined": sum(report.quarantined.total() for report in reports),
    }
    _log.info("%s", ", ".join(f"{count:,} {name}" for name, count in counts.items()))
    return counts
