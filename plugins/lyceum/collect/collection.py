"""Collecting: files that a person names, or whatever lies in the landing folders of the sources."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

from lyceum import organizations
from lyceum.audit import Access, Outcome, announced
from lyceum.collect import landing
from lyceum.collect.formats import open_inputs
from lyceum.collect.reports import CollectReport, InputFailure, Progress, silent
from lyceum.collect.runs import Collector, open_run
from lyceum.database import ConnectionTarget, connect
from lyceum.errors import ConfigurationError, InputError
from lyceum.organizations import Format, Source
from lyceum.settings import Settings

_LOG = logging.getLogger("lyceum.collect")


def collect_paths(
    target: ConnectionTarget,
    settings: Settings,
    *,
    organization: str,
    paths: Sequence[Path],
    format: Format,  # noqa: A002
    source: str | None = None,
    as_of: datetime,
    is_history: bool = False,
    run_id: str,
    progress: Progress = silent,
) -> CollectReport:
    """Collect files or folders into the organization, through the source of this name (default: that of the format).

    The source is added when the organization has none of this name. An input that was completed before is skipped, one
    that was interrupted goes on where it stopped. With `is_history` weeks that were never built open, whatever their age,
    sealed ones are restored, and records that were refused for their date are taken up again.

    Raises `ConfigurationError` (organization, source, clock), `InputError` (a path that cannot be read as a whole; what
    came before it is collected), `RetryableError` (the same call may succeed later).
    """
    access = Access("history_collected", f"source {organization}/{source or format}")
    with ExitStack() as stack:
        told = Outcome()
        if is_history:
            # It opens weeks that were told: whoever does so is to be found. What is collected in time is the schedule's work.
            begun = "history_collection_begun"
            told = stack.enter_context(announced(target, access, begun=begun, application_name="lyceum collect"))
        run = stack.enter_context(
            open_run(
                target,
                settings,
                organization=organization,
                source=source,
                source_format=format,
                as_of=as_of,
                is_history=is_history,
                run_id=run_id,
            )
        )
        told.organization_id = run.organization.organization_id
        with Collector(run, progress) as collector:
            for path in paths:
                collector.collect(open_inputs(format, path, settings))
        report = collector.report()
        told.row_count = report.records_read
        told.detail["weeks_restored"] = len(set(report.weeks_restored))
        return report


def collect_sources(
    target: ConnectionTarget,
    settings: Settings,
    *,
    organization: str | None = None,
    source: str | None = None,
    as_of: datetime,
    landed_by: datetime | None = None,
    run_id: str,
    progress: Progress = silent,
) -> list[CollectReport]:
    """Collect what lies in the landing folders of the active sources: of all, of one organization, or of one source.

    A delivery that was changed after `landed_by` waits for a later run. A schedule passes its own clock here: a run that
    starts late would otherwise take events that lie in the future of its clock, and refuse them.
    A file that cannot be read as a whole is reported in `CollectReport.failures` and keeps nothing else from being
    collected. Raises `ConfigurationError` when the organization or the source is unknown or not active.
    """
    with connect(target) as connection:
        tenant = organizations.find_organization(connection, organization) if organization else None
        sources = [
            candidate
            for candidate in organizations.list_sources(connection, tenant)
            if candidate.is_active
            and candidate.channel == "files"
            and candidate.format != organizations.ROSTER_FORMAT
            and source in (None, candidate.name)
        ]
    if source is not None and not sources:
        raise ConfigurationError(
            f"{organization or 'No organization'!r} has no active source {source!r} whose files land. 'lyceum source list' shows sources."
        )
    return [_collect_landing(target, settings, channel, as_of, landed_by, run_id, progress) for channel in sources]


def _collect_landing(
    target: ConnectionTarget,
    settings: Settings,
    source: Source,
    as_of: datetime,
    landed_by: datetime | None,
    run_id: str,
    progress: Progress,
) -> CollectReport:
    folder = organizations.landing_folder(settings, source.organization, source.name)
    folder.mkdir(parents=True, exist_ok=True)
    deliveries = landing.find_deliveries(folder, source.format)
    notes = landing.read_notes(folder)
    with connect(target) as connection:
        known = landing.known_deliveries(connection, source.organization_id, deliveries, notes)
    fresh = [
        delivery
        for delivery in deliveries
        if delivery.name not in known and (landed_by is None or delivery.landed_at <= landed_by)
    ]
    if not fresh:
        return CollectReport(source.organization, source.name, as_of, deliveries_known=len(known))
    kept = {delivery.name: notes[delivery.name] for delivery in deliveries if delivery.name in known}
    with open_run(
        target,
        settings,
        organization=source.organization,
        source=source.name,
        source_format=source.format,
        as_of=as_of,
        is_history=False,
        run_id=run_id,
    ) as run:
        collector = Collector(run, progress)
        try:
            failures = _collect_deliveries(collector, settings, fresh, kept)
        finally:
            landing.write_notes(folder, kept)
    return collector.report(failures=failures, deliveries_known=len(known))


def _collect_deliveries(
    collector: Collector, settings: Settings, deliveries: Sequence[landing.Delivery], notes: dict[str, landing.Note]
) -> list[InputFailure]:
    """Collect the deliveries, note those that were read as a whole, and return those that could not be."""
    failures: list[InputFailure] = []
    with collector:
        for delivery in deliveries:
            try:
                inputs = open_inputs(collector.run.source.format, delivery.path, settings)
                collector.collect(inputs)
            except InputError as error:
                _LOG.warning("input cannot be read", extra={"delivery": delivery.name, "run_id": collector.run.run_id})
                failures.append(InputFailure(delivery.name, str(error)))
                continue
            if landing.is_unchanged(delivery):
                fingerprints = frozenset(entry.fingerprint for entry in inputs)
                notes[delivery.name] = landing.Note(delivery.stamp, fingerprints)
    return failures
