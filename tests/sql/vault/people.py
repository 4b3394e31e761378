"""An organization with people whose profiles are encrypted, made in a line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from lyceum import organizations
from lyceum.database import Connection, ConnectionTarget, connect
from lyceum.database.connection_target import external_target
from lyceum.vault import (
    PersonKeys,
    Profile,
    ProfileWriter,
    key_database_target,
    open_person_keys,
    read_profiles,
)
from warehouse import Warehouse

AS_OF = datetime(2026, 3, 2, 12, tzinfo=UTC)
ADA = Profile(
    sourced_id="person-ada",
    username="ada",
    email="Ada@School.example",
    given_name="Ada",
    middle_name="Augusta",
    family_name="Lovelace",
    preferred_given_name="Countess",
    identifier="1815",
    user_ids=(("Fed", "9:1"), ("LDAP", "ada")),
)
BOB = Profile(sourced_id="person-bob", username="bob", email="bob@school.example", given_name="Bob")


@dataclass(frozen=True)
class School:
    """An organization and its people by number."""

    warehouse: Warehouse
    organization_id: int
    users: tuple[int, ...]

    def write(self, *people: tuple[int, Profile]) -> int:
        """Write profiles of people (by position), as a delivery would; return how many were written."""
        with self.warehouse.connect() as connection:
            stored = dict(
                connection.execute(
                    "select user_id, content_hash from core.user_profiles where organization_id = %s",
                    [self.organization_id],
                ).fetchall()
            )
            with ProfileWriter(connection, self.warehouse.settings, self.organization_id, AS_OF) as writer:
                writer.write(
                    (self.users[position], stored.get(self.users[position]), profile) for position, profile in people
                )
                writer.finish()
            connection.commit()
            return writer.written

    def read(self) -> dict[int, Profile]:
        """Return everybody's profile by position."""
        with self.warehouse.connect() as connection, self.keys() as keys:
            found = read_profiles(connection, keys, self.organization_id, self.users)
        return {self.users.index(user_id): profile for user_id, profile in found.items()}

    @contextmanager
    def keys(self) -> Iterator[PersonKeys]:
        """Lend the keys of people."""
        with (
            self.warehouse.connect() as connection,
            open_person_keys(self.warehouse.settings, connection) as keys,
        ):
            yield keys

    def execute(self, statement: str, *parameters: object) -> list[tuple[object, ...]]:
        """Run a statement in the warehouse and return its rows, if any."""
        with self.warehouse.connect(autocommit=True) as connection:
            return _rows(connection, statement, parameters)

    def in_key_database(self, statement: str, *parameters: object) -> list[tuple[object, ...]]:
        """Run a statement in the key database, as the account that owns it, and return its rows, if any."""
        owner = administrator(self.warehouse).with_database(key_database_target(self.warehouse.settings).dbname)
        with connect(owner, autocommit=True) as connection:
            return _rows(connection, statement, parameters)


def administrator(warehouse: Warehouse) -> ConnectionTarget:
    """Return the account that migrates the warehouse."""
    return external_target(warehouse.settings)


def found(warehouse: Warehouse, slug: str = "school", people: int = 3) -> School:
    """Add an organization with people who have no profile yet."""
    with warehouse.connect() as connection:
        organization = organizations.add_organization(connection, slug, slug, "UTC", AS_OF)
        rows = connection.execute(
            "insert into core.users (organization_id, created_at) select %s, %s from generate_series(1, %s) returning user_id",
            [organization.organization_id, AS_OF, people],
        ).fetchall()
        connection.commit()
    return School(warehouse, organization.organization_id, tuple(user_id for (user_id,) in rows))


def _rows(connection: Connection, statement: str, parameters: tuple[object, ...]) -> list[tuple[object, ...]]:
    cursor = connection.execute(statement.encode(), parameters or None)
    return cursor.fetchall() if cursor.description else []
