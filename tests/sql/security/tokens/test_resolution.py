"""From what a token says to ids of the warehouse: asked by services, as which nobody can try out names."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from psycopg import sql

from lyceum import organizations
from lyceum.database import Connection
from lyceum.security.tokens.claims import ROLES, Role, TenantClaims
from lyceum.security.tokens.errors import Refusal, TokenError
from lyceum.security.tokens.internal import InternalTokens
from lyceum.security.tokens.resolution import resolve
from lyceum.security.tokens.tenancy import as_tenant
from lyceum.security.tokens.verification import AccessClaims
from warehouse import Warehouse

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def access(role: Role = "org_admin", **changes: Any) -> AccessClaims:
    values: dict[str, Any] = {"slug": None, "organization_id": None, "user_id": None} | changes
    return AccessClaims(subject="s", role=role, scopes=("read",), token_id="t-1", expires_at=NOW, **values)


@pytest.fixture
def people(knowing_warehouse: Warehouse) -> tuple[int, int, int]:
    """Two organizations, and a user of the first."""
    with knowing_warehouse.connect(autocommit=True) as connection:
        existing = {found.slug: found.organization_id for found in organizations.list_organizations(connection)}
        first, second = (
            existing[slug]
            if slug in existing
            else organizations.add_organization(connection, slug, slug, "UTC", NOW).organization_id
            for slug in ("harbor", "lakeside")
        )
        row = connection.execute(
            "insert into core.users (organization_id, created_at) values (%s, now()) returning user_id", [first]
        ).fetchone()
    assert row is not None
    return first, second, row[0]


@pytest.fixture
def service(knowing_warehouse: Warehouse, login: Callable[[], tuple[str, Connection]]) -> Connection:
    """A connection of a login with what `lyceum_authenticator` may do."""
    name, connection = login()
    with knowing_warehouse.connect() as owner:
        owner.execute(sql.SQL("grant lyceum_authenticator to {}").format(sql.Identifier(name)))
    return connection


def test_a_token_resolves_to_ids(service: Connection, people: tuple[int, int, int]) -> None:
    first, second, user = people

    assert resolve(service, access("learner", slug="harbor", user_id=user), "r-1") == TenantClaims(
        "learner", first, user, ("read",), "r-1", "t-1"
    )
    assert resolve(service, access(slug="lakeside")).organization_id == second
    assert resolve(service, access(organization_id=second)).organization_id == second


@pytest.mark.parametrize("case", ["slug", "id", "user", "user of another", "both", "neither"])
def test_what_is_not_there_is_refused_with_one_answer(
    service: Connection, people: tuple[int, int, int], case: str
) -> None:
    first, _, user = people
    wrong: dict[str, dict[str, Any]] = {
        "slug": {"slug": "nowhere"},
        "id": {"organization_id": 10**15},
        "user": {"slug": "harbor", "user_id": 10**15},
        "user of another": {"slug": "lakeside", "user_id": user},
        "both": {"slug": "harbor", "organization_id": first},
        "neither": {},
    }

    with pytest.raises(TokenError) as refusal:
        resolve(service, access(**wrong[case]))

    assert refusal.value.reason is Refusal.ORGANIZATION
    assert str(refusal.value) == ("The token names an organization, or a user of it, that the warehouse does not know.")


def test_a_service_sees_nothing_of_what_it_asks_about(service: Connection, people: tuple[int, int, int]) -> None:
    for table in ("core.organizations", "core.users", "auth.signing_keys", "auth.logins"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), service.transaction():
            service.execute(f"select from {table}".encode())


@pytest.mark.parametrize("role", ROLES)
def test_a_tenant_cannot_try_out_names(
    service: Connection, people: tuple[int, int, int], tokens: InternalTokens, role: Role
) -> None:
    claims = TenantClaims(role, people[0], people[2])

    with (
        pytest.raises(psycopg.errors.InsufficientPrivilege),
        as_tenant(service, claims, tokens, lambda: datetime.now(UTC)),
    ):
        service.execute("select * from auth.find_tenant('lakeside', null, null)")


def test_from_the_service_to_the_tenant(
    service: Connection, people: tuple[int, int, int], tokens: InternalTokens
) -> None:
    claims = resolve(service, access("learner", slug="harbor", user_id=people[2]))
    service.rollback()

    with as_tenant(service, claims, tokens, lambda: datetime.now(UTC)):
        row = service.execute("select auth.organization_id('learner'), auth.user_id('learner')").fetchone()

    assert row == (people[0], people[2])
