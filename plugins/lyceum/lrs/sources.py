"""Sources as they are declared: on the command line or in a file, planned against what is there, then applied as a whole."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec
import psycopg
from psycopg.types.json import Jsonb

from lyceum.database import Connection
from lyceum.errors import ConfigurationError
from lyceum.lrs import spool
from lyceum.lrs.options import LrsOptions, read_options, write_options
from lyceum.organizations import (
    FORMATS,
    Channel,
    Format,
    Organization,
    Source,
    find_organization,
    list_sources,
    require_source_name,
)
from lyceum.settings import Settings

Action: TypeAlias = Literal["add", "change", "keep"]


@dataclass(frozen=True, slots=True)
class Declaration:
    """A source as somebody wants it. `lrs` is stated exactly where the channel is a Learning Record Store."""

    organization: str
    name: str
    format: Format
    channel: Channel
    is_active: bool = True
    lrs: LrsOptions | None = None


@dataclass(frozen=True, slots=True)
class ConfiguredSource:
    """A source as it is, with how its Learning Record Store is reached if it is one."""

    source: Source
    lrs: LrsOptions | None


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be done about one declaration."""

    declaration: Declaration
    action: Action


class _Declared(msgspec.Struct, forbid_unknown_fields=True):
    organization: str
    name: str
    channel: Channel = "files"
    format: Format = "xapi"
    active: bool = True
    lrs: dict[str, object] | None = None


class _File(msgspec.Struct, forbid_unknown_fields=True):
    source: list[_Declared] = msgspec.field(default_factory=list)


def declare(
    organization: str,
    name: str,
    *,
    channel: Channel,
    source_format: Format,
    is_active: bool = True,
    lrs: Mapping[str, object] | None = None,
) -> Declaration:
    """Return the declaration of a source. Raises `ConfigurationError` when it contradicts itself or cannot be used."""
    require_source_name(name)
    place = f"The source {name!r} of {organization!r}"
    if source_format not in FORMATS:
        raise ConfigurationError(f"{place} has the format {source_format!r}. Expected one of {', '.join(FORMATS)}.")
    if channel == "files":
        if lrs is not None:
            raise ConfigurationError(
                f"{place} takes files, yet says how a store is reached. State channel lrs, or drop that."
            )
        return Declaration(organization, name, source_format, channel, is_active)
    if source_format != "xapi":
        raise ConfigurationError(f"{place} is a Learning Record Store, which delivers xapi, not {source_format}.")
    if lrs is None:
        raise ConfigurationError(f"{place} does not say how the store is reached. State at least its endpoint.")
    return Declaration(organization, name, source_format, channel, is_active, read_options(lrs, place))


def read_declarations(path: Path) -> list[Declaration]:
    """Return the sources that a TOML file declares: tables `[[source]]`, each with a table `[source.lrs]` for a store.

    Raises `ConfigurationError` when the file cannot be read or declares a source twice or in a way that cannot be used.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        found = msgspec.convert(content, _File)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}. Expected a TOML file of sources.") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{path} is no TOML: {error}. Correct it there.") from None
    except msgspec.ValidationError as error:
        raise ConfigurationError(
            f"{path} cannot be used: {error}. Expected tables [[source]] with organization, name, channel (files or lrs), format "
            "and active, and below one of channel lrs a table [source.lrs] with at least endpoint."
        ) from None
    declared = [
        declare(
            entry.organization,
            entry.name,
            channel=entry.channel,
            source_format=entry.format,
            is_active=entry.active,
            lrs=entry.lrs,
        )
        for entry in found.source
    ]
    if not declared:
        raise ConfigurationError(f"{path} declares no source. Expected at least one table [[source]].")
    names = [(entry.organization, entry.name) for entry in declared]
    for organization, name in names:
        if names.count((organization, name)) > 1:
            raise ConfigurationError(
                f"{path} declares the source {name!r} of {organization!r} twice. Keep one of them."
            )
    return declared


def plan(existing: Sequence[ConfiguredSource], declared: Sequence[Declaration]) -> list[Change]:
    """Return what makes the sources what is declared; sources that are not declared stay as they are.

    Raises `ConfigurationError` where one exists with another channel or format.
    """
    known = {(entry.source.organization, entry.source.name): entry for entry in existing}
    return [Change(entry, _action(known.get((entry.organization, entry.name)), entry)) for entry in declared]


def _action(known: ConfiguredSource | None, declared: Declaration) -> Action:
    if known is None:
        return "add"
    source = known.source
    if (source.channel, source.format) != (declared.channel, declared.format):
        raise ConfigurationError(
            f"The source {declared.name!r} of {declared.organization!r} exists with channel {source.channel} and format "
            f"{source.format}; what it delivered cannot become that of channel {declared.channel} and format {declared.format}. "
            "Choose another name."
        )
    return "keep" if (source.is_active, known.lrs) == (declared.is_active, declared.lrs) else "change"


def apply(connection: Connection, changes: Sequence[Change], as_of: datetime) -> None:
    """Make the changes, all or none; commit. Raises `ConfigurationError` when an organization is unknown."""
    tenants = {change.declaration.organization: None for change in changes}
    organizations = {slug: find_organization(connection, slug) for slug in tenants}
    with connection.transaction():
        for change in changes:
            if change.action != "keep":
                _write(connection, organizations[change.declaration.organization], change.declaration, as_of)
    connection.commit()


def _write(connection: Connection, organization: Organization, declared: Declaration, as_of: datetime) -> None:
    stated = {"lrs": write_options(declared.lrs)} if declared.lrs is not None else {}
    connection.execute(
        """
        insert into core.sources as known (organization_id, name, format, channel, is_active, options, created_at)
        values (%s, %s, %s, %s, %s, %s, %s)
        on conflict (organization_id, name) do update set
            is_active = excluded.is_active,
            options = known.options || excluded.options
        """,
        [
            organization.organization_id,
            declared.name,
            declared.format,
            declared.channel,
            declared.is_active,
            Jsonb(stated),
            as_of,
        ],
    )


def configured_sources(connection: Connection, organization: Organization | None = None) -> list[ConfiguredSource]:
    """Return the sources of one organization, or of all, by organization and name."""
    sources = list_sources(connection, organization)
    rows = connection.execute("select organization_id, source_id, options -> 'lrs' from core.sources").fetchall()
    options = {(organization_id, source_id): stated for organization_id, source_id, stated in rows}
    return [
        ConfiguredSource(source, _options_of(source, options.get((source.organization_id, source.source_id))))
        for source in sources
    ]


def find_source(connection: Connection, organization: str, name: str) -> ConfiguredSource:
    """Return the source of this name. Raises `ConfigurationError` when the organization has none."""
    tenant = find_organization(connection, organization)
    found = configured_sources(connection, tenant)
    for entry in found:
        if entry.source.name == name:
            return entry
    raise ConfigurationError(
        f"{organization!r} has no source {name!r}. Expected one of {', '.join(entry.source.name for entry in found)}; "
        "'lyceum source add' adds one."
    )


def remove(
    connection: Connection, settings: Settings, organization: str, name: str
) -> Literal["removed", "deactivated"]:
    """Take a source out of service, with whatever was pulled and not yet collected; commit.

    One that has delivered stays in the books and becomes inactive; adding it again lets it go on where it stopped.
    """
    source = find_source(connection, organization, name).source
    key = [source.organization_id, source.source_id]
    outcome: Literal["removed", "deactivated"] = "removed"
    try:
        with connection.transaction():
            connection.execute("delete from core.sources where organization_id = %s and source_id = %s", key)
    except psycopg.errors.ForeignKeyViolation:
        with connection.transaction():
            connection.execute(
                "update core.sources set is_active = false where organization_id = %s and source_id = %s", key
            )
        outcome = "deactivated"
    connection.commit()
    if source.channel == "lrs":
        spool.remove_spool(settings.spool, organization, name)
    return outcome


def _options_of(source: Source, stated: Mapping[str, object] | None) -> LrsOptions | None:
    if source.channel != "lrs" or stated is None:
        return None
    return read_options(stated, f"The source {source.name!r} of {source.organization!r}")
