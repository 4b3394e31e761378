"""What a roster source is told about the activity sources beside it: whose identities and whose courses are the same."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec
from psycopg.types.json import Jsonb

from lyceum.adapters.oneroster import ClassRow, RosterDelivery, UserRow
from lyceum.database import Connection
from lyceum.errors import ConfigurationError
from lyceum.organizations import Source

_FIELDS = ("sourced_id", "class_code", "course_sourced_id")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_USER_ID = "user_id:"


class MboxRule(msgspec.Struct, frozen=True, tag="mbox", tag_field="kind", forbid_unknown_fields=True):
    """The roster's e-mail address is the agent's `mbox` (or the address of its `mbox_sha1sum`)."""


class AccountRule(msgspec.Struct, frozen=True, tag="account", tag_field="kind", forbid_unknown_fields=True):
    """An account at `home_page` is named by a field of the roster: sourced_id, username, email, or user_id:TYPE."""

    home_page: str
    name: str

    def __post_init__(self) -> None:
        if not self.home_page.strip():
            raise ValueError("home_page is empty, expected the homePage that the statements carry")
        if self.name not in ("sourced_id", "username", "email") and not self.name.startswith(_USER_ID):
            raise ValueError(f"name is {self.name!r}, expected sourced_id, username, email, or user_id:TYPE")

    def name_of(self, person: UserRow) -> str | None:
        """Return the account's name of a person; None where the roster does not tell it."""
        if self.name.startswith(_USER_ID):
            kind = self.name.removeprefix(_USER_ID)
            return next((identifier for found, identifier in person.user_ids if found == kind), None)
        return {"sourced_id": person.sourced_id, "username": person.username, "email": person.email}[self.name]


class RosterOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The options of a roster source.

    `identity_rules` tell which activity identities are a person's; without any, e-mail addresses count as `mbox`.
    `activity_templates` are activity IRIs with {sourced_id}, {class_code} or {course_sourced_id} of a class in them;
    `activity_metadata` names the column of classes.csv that holds a class's activity IRI, where the export has one.
    """

    identity_rules: tuple[MboxRule | AccountRule, ...] = (MboxRule(),)
    activity_templates: tuple[str, ...] = ()
    activity_metadata: str | None = "metadata.xapiActivity"

    def __post_init__(self) -> None:
        for template in self.activity_templates:
            fields = _PLACEHOLDER.findall(template)
            unknown = [field for field in fields if field not in _FIELDS]
            if unknown or not fields:
                raise ValueError(
                    f"the activity template {template!r} holds {', '.join(unknown) or 'no field'}, "
                    f"expected at least one of {', '.join('{' + field + '}' for field in _FIELDS)}"
                )

    def fingerprint(self) -> bytes:
        """Return the SHA-256 of the options: with others, the same delivery says something else."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).digest()

    def fingerprint_of(self, delivery: RosterDelivery) -> bytes:
        """Return the SHA-256 of a delivery's content as these options read it."""
        return hashlib.sha256(delivery.fingerprint + self.fingerprint()).digest()

    def activities_of(self, row: ClassRow) -> list[str]:
        """Return the activity IRIs by which statements know a class, the most telling first."""
        values = {
            "sourced_id": row.sourced_id,
            "class_code": row.class_code,
            "course_sourced_id": row.course_sourced_id,
        }
        found = []
        if self.activity_metadata is not None and (stated := row.metadata.get(self.activity_metadata)):
            found.append(stated)
        for template in self.activity_templates:
            fields = _PLACEHOLDER.findall(template)
            if all(values[field] for field in fields):
                found.append(_PLACEHOLDER.sub(lambda match: str(values[match[1]]), template))
        return list(dict.fromkeys(found))


def read_options(source: Source, stored: Any) -> RosterOptions:
    """Return the options as stored with a source. Raises `ConfigurationError` saying which option cannot be used."""
    try:
        return msgspec.convert(stored, RosterOptions)
    except msgspec.ValidationError as error:
        raise ConfigurationError(
            f"The options of the roster source {source.name!r} of {source.organization!r} cannot be used: {error}. "
            "Expected identity_rules (kind mbox, or account with home_page and name), activity_templates and activity_metadata."
        ) from None


def configure_source(connection: Connection, source: Source, options: RosterOptions | dict[str, Any]) -> RosterOptions:
    """Store the options of a roster source; commit. Raises `ConfigurationError` when they cannot be used."""
    if source.format != "oneroster":
        raise ConfigurationError(
            f"The source {source.name!r} of {source.organization!r} delivers {source.format}. "
            "Identity rules and activity templates belong to a source of the format oneroster."
        )
    checked = read_options(source, options if isinstance(options, dict) else msgspec.to_builtins(options))
    connection.execute(
        "update core.sources set options = %s where organization_id = %s and source_id = %s",
        [Jsonb(msgspec.to_builtins(checked)), source.organization_id, source.source_id],
    )
    connection.commit()
    return checked


def load_options(connection: Connection, source: Source) -> RosterOptions:
    """Return the stored options of a roster source. Raises `ConfigurationError` when they cannot be used."""
    row = connection.execute(
        "select options from core.sources where organization_id = %s and source_id = %s",
        [source.organization_id, source.source_id],
    ).fetchone()
    return read_options(source, row[0] if row else {})
