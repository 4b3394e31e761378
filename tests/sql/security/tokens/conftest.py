"""A warehouse that knows the key of its home, its minter of tokens, and logins like those that services and people have."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from lyceum.database import Connection, ConnectionTarget
from lyceum.security.tokens.claims import ROLES
from lyceum.security.tokens.internal import InternalTokens
from lyceum.security.tokens.signing_keys import register
from warehouse import SharedServer, Warehouse


@pytest.fixture(scope="module")
def knowing_warehouse(
    shared_server: SharedServer, template: ConnectionTarget, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Warehouse]:
    """One warehouse for all tests here, which knows the key of its home: nobody commits but for names of their own."""
    with shared_server.database(tmp_path_factory.mktemp("claims") / "home", template) as lent:
        with lent.connect(autocommit=True) as connection:
            register(connection, lent.settings, datetime.now(UTC))
        yield lent


@pytest.fixture(scope="module")
def tokens(knowing_warehouse: Warehouse) -> InternalTokens:
    return InternalTokens.of_home(knowing_warehouse.settings)


@pytest.fixture
def connection(knowing_warehouse: Warehouse) -> Iterator[Connection]:
    with knowing_warehouse.connect() as opened:
        yield opened
        opened.rollback()


@pytest.fixture
def login(knowing_warehouse: Warehouse) -> Iterator[Callable[[], tuple[str, Connection]]]:
    """Logins of this test that may become any of the tenant roles; they are dropped afterwards."""
    made: list[str] = []
    opened: list[Connection] = []

    def log_in() -> tuple[str, Connection]:
        name = f"ada_{uuid4().hex[:12]}"
        with knowing_warehouse.connect() as owner:
            owner.execute(sql.SQL("create role {} login password 'x'").format(sql.Identifier(name)))
            made.append(name)
            for granted in ROLES:
                owner.execute(
                    sql.SQL("grant {} to {}").format(sql.Identifier(f"lyceum_{granted}"), sql.Identifier(name))
                )
        parameters = psycopg.conninfo.conninfo_to_dict(
            knowing_warehouse.target.conninfo(application_name="lyceum test")
        )
        parameters |= {"user": name, "password": "x"}
        connection = psycopg.connect(**parameters)  # type: ignore[arg-type]
        opened.append(connection)
        return name, connection

    yield log_in
    for connection in opened:
        connection.close()
    with knowing_warehouse.connect() as owner:
        for name in made:
            owner.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))
