"""Organizations, the sources that deliver to them, and the time zones that make their calendars."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, TypeAlias
from zoneinfo import ZoneInfo, available_timezones

import psycopg

from lyceum.database import Connection
from lyceum.errors import ConfigurationError, RefusedAccess
from lyceum.local_calendar import LocalCalendar, ZonePeriod
from lyceum.settings import Settings

__all__ = [
    "DEFAULT_ROSTER_SOURCE",
    "DEFAULT_SOURCE",
    "Channel",
    "Format",
    "LocalCalendar",
    "Organization",
    "Source",
    "UnknownOrganizationError",
    "add_organization",
    "add_source",
    "change_time_zone",
    "ensure_source",
    "find_organization",
    "landing_folder",
    "list_organizations",
    "list_sources",
    "load_calendar",
    "require_source_name",
]

Format: TypeAlias = Literal["xapi", "oulad", "oneroster"]
FORMATS: tuple[Format, ...] = ("xapi", "oulad", "oneroster")
ROSTER_FORMAT: Format = "oneroster"
Channel: TypeAlias = Literal["files", "lrs"]
DEFAULT_SOURCE = "xapi"
DEFAULT_ROSTER_SOURCE = "roster"

# The first zone of an organization holds for all its history; a date that every client can read stands for "always".
_ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)
_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_SOURCE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


class UnknownOrganizationError(ConfigurationError, RefusedAccess):
    """Somebody asks for an organization that there is not."""


@dataclass(frozen=True, slots=True)
class Organization:
    """A tenant. `time_zone` is the zone that its latest period names, be it in force already or not."""

    organization_id: int
    slug: str
    name: str
    time_zone: str


@dataclass(frozen=True, slots=True)
class Source:
    """A configured channel that belongs to exactly one organization: files that land, or a store that is pulled."""

    organization_id: int
    organization: str
    source_id: int
    name: str
    format: Format
    is_active: bool
    channel: Channel = "files"


def add_organization(connection: Connection, slug: str, name: str, time_zone: str, as_of: datetime) -> Organization:
    """Add an organization with its time zone, its course for unassigned events, and the sources `xapi` and `roster`; commit.

    Raises `ConfigurationError` for a slug that is malformed or taken and for an unknown time zone.
    """
    if not _SLUG.fullmatch(slug):
        raise ConfigurationError(
            f"The organization's slug is {slug!r}. Expected at most 63 lower-case letters, digits and hyphens "
            "that do not start with a hyphen."
        )
    if not name.strip():
        raise ConfigurationError(f"The organization {slug!r} has an empty name. Give it one that people recognize.")
    _require_time_zone(connection, time_zone)
    with connection.transaction():
        row = connection.execute(
            """
            insert into core.organizations (slug, name, created_at) values (%s, %s, %s)
            on conflict (slug) do nothing returning organization_id
            """,
            [slug, name, as_of],
        ).fetchone()
        if row is None:
            raise ConfigurationError(f"The organization {slug!r} exists already. Choose another slug, or use that one.")
        (organization_id,) = row
        connection.execute(
            "insert into core.organization_time_zones (organization_id, effective_from, time_zone) values (%s, %s, %s)",
            [organization_id, _ALWAYS, time_zone],
        )
        connection.execute(
            "insert into core.courses (organization_id, is_unassigned, created_at) values (%s, true, %s)",
            [organization_id, as_of],
        )
        connection.execute(
            """
            insert into core.sources (organization_id, name, format, created_at)
            values (%(organization_id)s, %(events)s, 'xapi', %(as_of)s), (%(organization_id)s, %(roster)s, 'oneroster', %(as_of)s)
            """,
            {
                "organization_id": organization_id,
                "events": DEFAULT_SOURCE,
                "roster": DEFAULT_ROSTER_SOURCE,
                "as_of": as_of,
            },
        )
    connection.commit()
    return Organization(organization_id, slug, name, time_zone)


def list_organizations(connection: Connection) -> list[Organization]:
    """Return all organizations by slug."""
    rows = connection.execute(
        """
        select organizations.organization_id, organizations.slug, organizations.name, zones.time_zone
        from core.organizations as organizations
        cross join lateral (
            select periods.time_zone
            from core.organization_time_zones as periods
            where periods.organization_id = organizations.organization_id
            order by periods.effective_from desc
            limit 1
        ) as zones
        order by organizations.slug
        """
    ).fetchall()
    return [Organization(*row) for row in rows]


def find_organization(connection: Connection, slug: str) -> Organization:
    """Return the organization with this slug.

    Raises `UnknownOrganizationError` naming those that are most alike when there is none.
    """
    organizations = {organization.slug: organization for organization in list_organizations(connection)}
    if slug in organizations:
        return organizations[slug]
    if not organizations:
        raise UnknownOrganizationError(
            f"There is no organization {slug!r}, nor any other yet. Add it: lyceum organization add {slug} --time-zone Europe/London"
        )
    raise UnknownOrganizationError(
        f"There is no organization {slug!r}. Expected one of {_some(slug, list(organizations))}; "
        f"'lyceum organization list' shows all, 'lyceum organization add {slug}' adds it."
    )


def load_calendar(connection: Connection, organization_id: int) -> LocalCalendar:
    """Return the organization's calendar over all its time zone periods."""
    rows = connection.execute(
        "select effective_from, time_zone from core.organization_time_zones where organization_id = %s",
        [organization_id],
    ).fetchall()
    if not rows:
        raise ConfigurationError(
            f"Organization {organization_id} has no time zone. Expected at least one row in core.organization_time_zones: "
            "add organizations with 'lyceum organization add' only."
        )
    return LocalCalendar([ZonePeriod(effective_from, ZoneInfo(name)) for effective_from, name in rows])


def change_time_zone(
    connection: Connection, slug: str, time_zone: str, effective_on: date, as_of: datetime
) -> datetime:
    """Let the organization live in `time_zone` from its local midnight of `effective_on` on; commit. Return that instant.

    Days that are over at `as_of` stay exactly as they were told. Raises `ConfigurationError` when the midnight is not in
    the future, when it does not come after every change that is already planned, or when the new clock would fall back
    into a day that is over.
    """
    _require_time_zone(connection, time_zone)
    organization = find_organization(connection, slug)
    with connection.transaction():
        # The organization's row serializes two changes.
        connection.execute(
            "select 1 from core.organizations where organization_id = %s for update", [organization.organization_id]
        )
        rows = connection.execute(
            "select effective_from, time_zone from core.organization_time_zones where organization_id = %s order by 1",
            [organization.organization_id],
        ).fetchall()
        periods = [ZonePeriod(effective_from, ZoneInfo(name)) for effective_from, name in rows]
        calendar = LocalCalendar(periods)
        effective_from = calendar.starts_at(effective_on)
        if effective_from <= as_of:
            raise ConfigurationError(
                f"The change of {slug!r} to {time_zone} would take effect at {effective_from.isoformat()}, which is not after "
                f"{as_of.isoformat()}. Expected a future local midnight: choose a later day."
            )
        if effective_from <= periods[-1].effective_from:
            raise ConfigurationError(
                f"{slug!r} changes to {organization.time_zone} at {periods[-1].effective_from.isoformat()} already. "
                f"Expected a day after that for the change to {time_zone}."
            )
        told = calendar.last_closed_day(as_of)
        changed = LocalCalendar([*periods, ZonePeriod(effective_from, ZoneInfo(time_zone))])
        if changed.closed_at(told) != calendar.closed_at(told):
            raise ConfigurationError(
                f"With {time_zone} from {effective_from.isoformat()} on, {told}, which is over for {slug!r}, would come back. "
                "Choose a later day."
            )
        connection.execute(
            "insert into core.organization_time_zones (organization_id, effective_from, time_zone) values (%s, %s, %s)",
            [organization.organization_id, effective_from, time_zone],
        )
    connection.commit()
    return effective_from


def add_source(
    connection: Connection, organization: Organization, name: str, source_format: Format, as_of: datetime
) -> Source:
    """Add a source to the organization; commit. Raises `ConfigurationError` when the name is malformed or taken."""
    require_source_name(name)
    if source_format not in FORMATS:
        raise ConfigurationError(f"The source's format is {source_format!r}. Expected one of {', '.join(FORMATS)}.")
    row = connection.execute(
        """
        insert into core.sources (organization_id, name, format, created_at) values (%s, %s, %s, %s)
        on conflict (organization_id, name) do nothing returning source_id
        """,
        [organization.organization_id, name, source_format, as_of],
    ).fetchone()
    if row is None:
        raise ConfigurationError(
            f"{organization.slug!r} has a source {name!r} already. Choose another name, or use that one."
        )
    connection.commit()
    return Source(organization.organization_id, organization.slug, row[0], name, source_format, is_active=True)


def require_source_name(name: str) -> None:
    """Raise `ConfigurationError` for a name that no source can have."""
    if not _SOURCE_NAME.fullmatch(name):
        raise ConfigurationError(
            f"The source's name is {name!r}. Expected at most 63 lower-case letters, digits, hyphens and underscores "
            "that do not start with a hyphen or underscore."
        )


def list_sources(connection: Connection, organization: Organization | None = None) -> list[Source]:
    """Return the sources of one organization, or of all, by organization and name."""
    rows = connection.execute(
        """
        select
            sources.organization_id,
            organizations.slug,
            sources.source_id,
            sources.name,
            sources.format,
            sources.is_active,
            sources.channel
        from core.sources as sources
        inner join core.organizations as organizations on sources.organization_id = organizations.organization_id
        where %(organization_id)s::bigint is null or sources.organization_id = %(organization_id)s
        order by organizations.slug, sources.name
        """,
        {"organization_id": organization.organization_id if organization else None},
    ).fetchall()
    return [Source(*row) for row in rows]


def ensure_source(
    connection: Connection, organization: Organization, name: str, source_format: Format, as_of: datetime
) -> Source:
    """Return the source of this name, adding it when the organization has none; commit.

    Raises `ConfigurationError` when it exists with another format or is not active.
    """
    for source in list_sources(connection, organization):
        if source.name != name:
            continue
        if source.format != source_format:
            raise ConfigurationError(
                f"The source {name!r} of {organization.slug!r} delivers {source.format}, not {source_format}. "
                "Name another source with --source, or state the right --format."
            )
        if not source.is_active:
            raise ConfigurationError(
                f"The source {name!r} of {organization.slug!r} is not active. Name an active one with --source."
            )
        return source
    return add_source(connection, organization, name, source_format, as_of)


def landing_folder(settings: Settings, organization: str, source: str) -> Path:
    """Return the folder in which files of this source are dropped. Creates nothing."""
    return settings.landing / organization / source


def _require_time_zone(connection: Connection, time_zone: str) -> None:
    known = available_timezones() - {"Factory", "localtime"}
    if time_zone not in known:
        raise ConfigurationError(
            f"The time zone {time_zone!r} is unknown. Expected an IANA name such as {_some(time_zone, sorted(known))}."
        )
    try:
        with connection.transaction():
            connection.execute("select timestamptz 'epoch' at time zone %s", [time_zone])
    except psycopg.errors.InvalidParameterValue:
        raise ConfigurationError(
            f"The database server does not know the time zone {time_zone!r}. Update its time zone data, or choose another name."
        ) from None


def _some(wanted: str, names: Sequence[str]) -> str:
    """Return up to three of the names: those most like the wanted one, be it whole or after its last slash."""
    by_key: dict[str, str] = {}
    for name in names:
        by_key.setdefault(name.casefold(), name)
        by_key.setdefault(name.rpartition("/")[2].casefold(), name)
    key = wanted.replace(" ", "_").casefold()
    near = [
        *get_close_matches(key, by_key, n=3, cutoff=0.6),
        *get_close_matches(key.rpartition("/")[2], by_key, n=3, cutoff=0.6),
    ]
    found = list(dict.fromkeys(by_key[match] for match in near)) or list(names)
    return ", ".join(found[:3])
