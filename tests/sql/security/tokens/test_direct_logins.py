"""Logins of people: what they may read is what somebody said, from the next statement on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from lyceum import organizations
from lyceum.cli import main
from lyceum.database import Connection
from lyceum.errors import ConfigurationError
from lyceum.security.direct_logins import DirectLogin, allow_login, forget_login, list_logins
from lyceum.security.tokens.claims import ROLES
from warehouse import Warehouse

AS_OF = datetime(2026, 3, 1, 12, tzinfo=UTC)
_MADE_BY_TEST = "logins_of_tests_"


@pytest.fixture
def name(warehouse: Warehouse) -> Iterator[str]:
    """The name of a login that does not exist; it is dropped from the server afterwards."""
    chosen = f"{_MADE_BY_TEST}{uuid4().hex[:12]}"
    yield chosen
    with warehouse.connect() as connection:
        connection.execute(sql.SQL("drop role if exists {}").format(sql.Identifier(chosen)))


@pytest.fixture
def owner(warehouse: Warehouse) -> Iterator[Connection]:
    with warehouse.connect() as connection:
        for slug in ("harbor", "lakeside"):
            organizations.add_organization(connection, slug, slug, "UTC", AS_OF)
        connection.execute(
            "insert into core.users (organization_id, user_id, created_at) overriding system value "
            "select organization_id, 700, now() from core.organizations where slug = 'harbor'"
        )
        connection.commit()
        yield connection


@pytest.fixture
def connect_as(warehouse: Warehouse, owner: Connection) -> Iterator[Callable[[str], Connection]]:
    opened: list[Connection] = []

    def connect(login: str) -> Connection:
        owner.execute(sql.SQL("alter role {} password 'x'").format(sql.Identifier(login)))
        owner.commit()
        parameters = psycopg.conninfo.conninfo_to_dict(warehouse.administrator.conninfo(application_name="lyceum test"))
        parameters |= {"user": login, "password": "x"}
        opened.append(psycopg.connect(**parameters, autocommit=True))  # type: ignore[arg-type]
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()


def slugs(connection: Connection) -> list[str]:
    return [slug for (slug,) in connection.execute("select slug from api.organizations order by slug").fetchall()]


def test_a_login_reads_its_organization_until_it_is_forgotten(
    owner: Connection, name: str, connect_as: Callable[[str], Connection]
) -> None:
    assert allow_login(owner, name, "analyst", "harbor") == DirectLogin(name, "analyst", "harbor", None, True)
    analyst = connect_as(name)
    assert slugs(analyst) == ["harbor"]

    allow_login(owner, name, "org_admin", "lakeside")
    assert slugs(analyst) == ["lakeside"]
    assert analyst.execute("select pg_has_role('lyceum_analyst', 'member')").fetchone() == (False,)

    forget_login(owner, name)
    assert slugs(analyst) == []
    assert list_logins(owner) == []
    with pytest.raises(ConfigurationError, match="knows no login"):
        forget_login(owner, name)


def test_a_login_without_a_row_reads_nothing_whatever_it_is_a_member_of(
    owner: Connection, name: str, connect_as: Callable[[str], Connection]
) -> None:
    allow_login(owner, name, "org_admin", "harbor")
    owner.execute("delete from auth.logins")
    connection = connect_as(name)

    assert slugs(connection) == []
    connection.execute("set role lyceum_org_admin")
    assert slugs(connection) == []


@pytest.mark.parametrize(
    ("role", "organization", "user_id", "message"),
    [
        ("analyst", None, None, "one organization"),
        ("auditor", None, 700, "one organization"),
        ("learner", "harbor", None, "user's id"),
        ("learner", "lakeside", 700, "no user 700"),
        ("owner", "harbor", None, "role"),
        ("analyst", "harbour", None, "harbor"),
    ],
)
def test_what_does_not_fit_is_refused_and_makes_no_login(
    owner: Connection, name: str, role: Any, organization: str | None, user_id: int | None, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        allow_login(owner, name, role, organization, user_id)

    owner.rollback()
    assert owner.execute("select from pg_roles where rolname = %s", [name]).fetchall() == []


@pytest.mark.parametrize(
    "login", ["lyceum_authenticator", "lyceum_pipeline", "pg_monitor", "postgres", "Ada", "a b", ""]
)
def test_a_login_that_could_do_more_than_read_is_refused(owner: Connection, login: str) -> None:
    with pytest.raises(ConfigurationError):
        allow_login(owner, login, "analyst", "harbor")


@pytest.mark.parametrize("attribute", ["superuser", "createrole", "bypassrls", "replication", "in role lyceum_owner"])
def test_no_row_is_written_for_a_login_that_it_would_not_bind(owner: Connection, name: str, attribute: str) -> None:
    owner.execute(sql.SQL("create role {} login " + attribute).format(sql.Identifier(name)))  # type: ignore[arg-type]
    owner.commit()

    with pytest.raises(ConfigurationError, match="another login"):
        allow_login(owner, name, "analyst", "harbor")

    assert list_logins(owner) == []


def test_an_account_that_is_no_superuser_lets_somebody_into_a_closed_database(
    warehouse: Warehouse, owner: Connection, name: str, connect_as: Callable[[str], Connection]
) -> None:
    migrator, database = sql.Identifier(f"{_MADE_BY_TEST}{uuid4().hex[:12]}"), sql.Identifier(owner.info.dbname)
    owner.execute(sql.SQL("create role {} createrole bypassrls").format(migrator))
    tenants = sql.SQL(", ").join(sql.Identifier(f"lyceum_{role}") for role in ROLES)
    owner.execute(sql.SQL("grant {} to {} with admin option").format(tenants, migrator))
    owner.execute(sql.SQL("grant lyceum_owner, lyceum_definer to {}").format(migrator))
    owner.execute(sql.SQL("revoke connect on database {} from public").format(database))
    owner.execute(sql.SQL("alter database {} owner to {}").format(database, migrator))
    owner.commit()
    try:
        owner.execute(sql.SQL("set role {}").format(migrator))
        owner.commit()
        allow_login(owner, name, "analyst", "harbor")
        owner.execute("reset role")

        assert slugs(connect_as(name)) == ["harbor"]
    finally:
        owner.rollback()
        owner.execute("reset role")
        owner.execute(sql.SQL("alter database {} owner to current_user").format(database))
        owner.execute(sql.SQL("revoke all on database {} from {}").format(database, sql.Identifier(name)))
        # Roles granted by the migrator go before it does.
        owner.execute(sql.SQL("drop owned by {0}; drop role {1}; drop role {0}").format(migrator, sql.Identifier(name)))
        owner.commit()


def test_the_commands_say_who_reads_what(
    warehouse: Warehouse,
    owner: Connection,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for variable, value in warehouse.settings.environment().items():
        monkeypatch.setenv(variable, value)

    def call(*arguments: str, code: int = 0) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["login", *arguments])
        said = capsys.readouterr()
        assert ended.value.code == code, said.err
        return said.out

    assert "password" in call("add", name, "--role", "learner", "--organization", "harbor", "--user", "700")
    assert "700" in call("list")
    call("add", name, "--role", "auditor")
    (listed,) = json.loads(call("list", "--json"))
    assert listed == {"name": name, "role": "auditor", "organization": None, "user_id": None, "may_log_in": True}
    assert "every one" in call("list")
    call("remove", name)
    assert "Nobody" in call("list")
    call("remove", name, code=2)
