"""Rosters that land in a source's folder: what is new is applied in the order in which it landed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lyceum import organizations
from lyceum.adapters.oneroster import open_roster
from lyceum.collect.landing import Delivery, Note, find_deliveries, is_unchanged, read_notes, write_notes
from lyceum.database import Connection, ConnectionTarget, connect
from lyceum.errors import ConfigurationError, InputError
from lyceum.organizations import ROSTER_FORMAT, Source, find_organization, list_sources
from lyceum.roster.application import apply_delivery
from lyceum.roster.options import RosterOptions, load_options
from lyceum.roster.reports import RosterReport
from lyceum.settings import Settings


@dataclass(frozen=True, slots=True)
class UnreadableRoster:
    """A delivery that could not be read as a whole, and why."""

    name: str
    message: str


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What one look at a landing folder did."""

    source: Source
    applied: tuple[RosterReport, ...]
    unreadable: tuple[UnreadableRoster, ...]
    known: int


def sync_source(
    target: ConnectionTarget,
    settings: Settings,
    organization: str,
    source_name: str,
    as_of: datetime,
    run_id: str,
    landed_by: datetime | None = None,
) -> SyncReport:
    """Apply the zips and folders in the landing folder of a roster source that were not applied before.

    A delivery that changed after `landed_by`, or while it was read, waits for a later look; one that cannot be read as a
    whole is reported and keeps no other from being applied. Raises `ConfigurationError` when there is no such source.
    """
    with connect(target, application_name="lyceum roster") as connection:
        source = _find_source(connection, organization, source_name)
        folder = organizations.landing_folder(settings, organization, source_name)
        folder.mkdir(parents=True, exist_ok=True)
        found = find_deliveries(folder, ROSTER_FORMAT)
        notes = read_notes(folder)
        options = load_options(connection, source)
        known = {
            delivery.name: notes[delivery.name]
            for delivery in found
            if _is_noted(connection, source, options, delivery, notes)
        }
        applied: list[RosterReport] = []
        unreadable: list[UnreadableRoster] = []
        for delivery in sorted(found, key=lambda one: (one.landed_at, one.name)):
            if delivery.name in known or (landed_by is not None and delivery.landed_at > landed_by):
                continue
            try:
                opened = open_roster(delivery.path)
                if not is_unchanged(delivery):
                    continue
                fingerprint = options.fingerprint_of(opened)
                if not _is_applied(connection, source, delivery.name, fingerprint):
                    applied.append(
                        apply_delivery(connection, settings, source, opened, as_of, run_id, name=delivery.name)
                    )
            except InputError as error:
                connection.rollback()
                unreadable.append(UnreadableRoster(delivery.name, str(error)))
                continue
            known[delivery.name] = Note(delivery.stamp, frozenset({fingerprint, options.fingerprint()}))
            write_notes(folder, known)
        connection.commit()
        return SyncReport(source, tuple(applied), tuple(unreadable), len(known) - len(applied))


def _find_source(connection: Connection, organization: str, source_name: str) -> Source:
    tenant = find_organization(connection, organization)
    for source in list_sources(connection, tenant):
        if source.name == source_name and source.format == ROSTER_FORMAT and source.is_active:
            return source
    raise ConfigurationError(
        f"{organization!r} has no active roster source {source_name!r}. Add it: "
        f"lyceum source add {source_name} --organization {organization} --format {ROSTER_FORMAT}"
    )


def _is_noted(
    connection: Connection, source: Source, options: RosterOptions, delivery: Delivery, notes: dict[str, Note]
) -> bool:
    """Tell whether the delivery is unchanged since it was applied with these options."""
    note = notes.get(delivery.name)
    read_with = options.fingerprint()
    return (
        note is not None
        and note.stamp == delivery.stamp
        and read_with in note.fingerprints
        and all(_is_applied(connection, source, delivery.name, one) for one in note.fingerprints - {read_with})
    )


def _is_applied(connection: Connection, source: Source, name: str, fingerprint: bytes) -> bool:
    row = connection.execute(
        """
        select exists (
            select from ops.rosters
            where organization_id = %s and source_id = %s and name = %s and fingerprint = %s
        )
        """,
        [source.organization_id, source.source_id, name, fingerprint],
    ).fetchone()
    return row == (True,)
