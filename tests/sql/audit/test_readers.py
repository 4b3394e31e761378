"""Who reads the trail: an auditor their organization's rows, the operator's auditor all, nobody else any."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import uuid4

import psycopg
import pytest

from lyceum.organizations import add_organization
from sql.audit.conftest import Trail  # type: ignore[import-not-found]

ROLES = ("learner", "trainer", "org_admin", "service", "analyst")


@pytest.fixture
def two(trail: Trail) -> Trail:
    """Rows of two organizations, ids 1 and 2, and one about the server."""
    for slug in ("harbor", "inland"):
        add_organization(trail.connection, slug, slug, "UTC", datetime.now(UTC))
    trail.record(2, organization_id=1)
    trail.record(3, organization_id=2)
    trail.record(1)
    return trail


@pytest.fixture
def login(trail: Trail) -> Iterator[str]:
    """Somebody who logs in directly, by a name that no other test knows."""
    name = f"test_{uuid4().hex[:12]}"
    trail.owner.execute(f"create role {name} login".encode())
    yield name
    trail.owner.execute(f"drop role {name}".encode())


def seen(trail: Trail, login: str, role: str, organization_id: int | None) -> list[int | None]:
    """Return the organizations of the rows that somebody sees who is mapped to the role."""
    trail.owner.execute(
        "insert into auth.logins (login_name, role, organization_id) values (%s, %s, %s)",
        [login, role, organization_id],
    )
    trail.owner.execute(f"grant lyceum_{role} to {login}".encode())
    with trail.owner.transaction(force_rollback=True):
        trail.owner.execute(f"set local session authorization {login}".encode())
        trail.owner.execute(f"set local role lyceum_{role}".encode())
        rows = trail.owner.execute("select organization_id from api.audit_logs order by audit_id").fetchall()
    return [organization for (organization,) in rows]


def test_an_auditor_reads_the_rows_of_their_organization(two: Trail, login: str) -> None:
    assert seen(two, login, "auditor", 1) == [1, 1]


def test_the_auditor_of_the_operator_reads_all(two: Trail, login: str) -> None:
    assert seen(two, login, "auditor", None) == [1, 1, 2, 2, 2, None]


def test_an_auditor_without_claims_reads_nothing(two: Trail) -> None:
    with two.owner.transaction(force_rollback=True):
        two.owner.execute("set local role lyceum_auditor")
        assert two.owner.execute("select count(*) from api.audit_logs").fetchone() == (0,)


@pytest.mark.parametrize("role", ROLES)
def test_no_other_role_may_even_ask(two: Trail, role: str) -> None:
    with two.owner.transaction(force_rollback=True):
        two.owner.execute(f"set local role lyceum_{role}".encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            two.owner.execute("select count(*) from api.audit_logs")


def test_a_partition_shows_nothing_to_anybody(two: Trail, login: str) -> None:
    row = two.owner.execute("select tableoid::regclass::text from audit.audit_logs limit 1").fetchone()
    assert row is not None

    with two.owner.transaction(force_rollback=True):
        two.owner.execute("set local role lyceum_auditor")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            two.owner.execute(f"select count(*) from {row[0]}".encode())
    assert two.owner.execute(
        "select relrowsecurity and relforcerowsecurity from pg_class where oid = %s::regclass", [row[0]]
    ).fetchone() == (True,)
