"""Reading as the owner of a report: one read-only snapshot, in which the database shows what its owner may see and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg

from lyceum.database import (
    Connection,
    ConnectionTarget,
    EmbeddedServer,
    Login,
    administrator_target,
    connect,
    login_target,
)
from lyceum.database.connection_target import target_of_url
from lyceum.errors import ConfigurationError, LyceumError
from lyceum.reporting.people.contents import Kind, Source
from lyceum.security.tokens.claims import Role, TenantClaims
from lyceum.security.tokens.internal import Clock, InternalTokens
from lyceum.security.tokens.tenancy import as_tenant
from lyceum.settings import Settings

ROLES: dict[Kind, Role] = {"learner": "learner", "trainer": "trainer", "organization": "org_admin"}
"""Whose eyes a report of a kind is read with."""


class NothingPublishedError(LyceumError):
    """The organization has no published numbers yet, so there is nothing to report."""


def owner_claims(kind: Kind, organization_id: int, owner_user_id: int | None) -> TenantClaims:
    """Return the claims of a report's owner. Raises `ConfigurationError` when the kind does not fit the owner."""
    if (kind == "organization") != (owner_user_id is None):
        wanted = "none" if kind == "organization" else "one, whose report it is"
        raise ConfigurationError(
            f"A report of kind {kind} was asked for with the user {owner_user_id}. Expected {wanted}."
        )
    return TenantClaims(ROLES[kind], organization_id, owner_user_id)


def reader_target(settings: Settings) -> ConnectionTarget:
    """Return the warehouse for a login that may become a tenant role.

    On a server of one's own that is LYCEUM_API_DATABASE_URL, or, without it, the account of LYCEUM_DATABASE_URL. Raises
    `ConfigurationError` as `lyceum.database.target` does.
    """
    url = settings.serving.database_url
    if url is not None:
        return target_of_url("LYCEUM_API_DATABASE_URL", url, settings)
    if settings.database_url is not None:
        return administrator_target(settings)
    return login_target(EmbeddedServer(settings).target(), settings, Login.API)


@dataclass(frozen=True, slots=True)
class Question:
    """One snapshot of one organization, in the transaction of a report's owner."""

    connection: Connection
    claims: TenantClaims
    source: Source

    @property
    def user_id(self) -> int:
        """The owner of a personal report."""
        assert self.claims.user_id is not None
        return self.claims.user_id

    def rows(self, text: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a query that reads views of `api`; `%(organization_id)s` is the organization."""
        named = {"organization_id": self.source.organization_id, "user_id": self.claims.user_id} | parameters
        return self.connection.execute(text.encode(), named).fetchall()


@contextmanager
def asking_as(
    target: ConnectionTarget, claims: TenantClaims, tokens: InternalTokens, clock: Clock
) -> Iterator[Connection]:
    """Lend a connection in one transaction of these claims: repeatable read, read only.

    Raises `ConfigurationError` when the login may not become the role.
    """
    with connect(target, application_name="lyceum reports") as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        try:
            with as_tenant(connection, claims, tokens, clock):
                yield connection
        except psycopg.errors.InsufficientPrivilege as error:
            if "set role" not in (error.diag.message_primary or ""):
                raise
            raise ConfigurationError(
                f"The login {target.user} may not become lyceum_{claims.role}, as whom reports are read. Set "
                f"LYCEUM_API_DATABASE_URL to the address of the warehouse for the login {Login.API}."
            ) from None


@contextmanager
def asking_for(
    target: ConnectionTarget, claims: TenantClaims, tokens: InternalTokens, clock: Clock
) -> Iterator[Question]:
    """Lend the snapshot of a report's owner. Raises `NothingPublishedError` when the organization has no numbers yet."""
    with asking_as(target, claims, tokens, clock) as connection:
        yield Question(connection, claims, _source(connection, claims))


def _source(connection: Connection, claims: TenantClaims) -> Source:
    row = connection.execute(
        """
        select
            organizations.organization_id,
            organizations.name,
            freshness.data_version,
            freshness.data_as_of,
            freshness.closed_through,
            freshness.first_activity_on
        from api.organizations as organizations
        inner join api.freshness as freshness on organizations.organization_id = freshness.organization_id
        where organizations.organization_id = %s
        """,
        [claims.organization_id],
    ).fetchone()
    if row is None or None in row:
        raise NothingPublishedError(
            f"Organization {claims.organization_id} has no published numbers, so there is nothing to report. "
            "Build first: lyceum build"
        )
    return Source(row[0], row[1], row[2], row[3].astimezone(UTC), row[4], row[5])


def server_clock(connection: Connection) -> Clock:
    """Return the clock of the server that `connection`, in autocommit mode, is connected to: the one that judges tokens."""

    def now() -> datetime:
        row = connection.execute("select clock_timestamp()").fetchone()
        assert row is not None
        return row[0].astimezone(UTC)  # type: ignore[no-any-return]

    return now


def titles(question: Question) -> dict[int, str]:
    """Return the titles of the courses that the owner may see; one without a title is told by its number."""
    rows = question.rows(
        """
        select course_id, title, is_unassigned
        from api.courses
        where organization_id = %(organization_id)s
        """
    )
    return {
        course_id: "Outside courses" if is_unassigned else (title or "").strip() or f"Course {course_id}"
        for course_id, title, is_unassigned in rows
    }
