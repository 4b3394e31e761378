"""A transaction as a tenant: on a connection that is used again and again, nothing of one tenant is left for the next."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from lyceum.database import Connection
from lyceum.security.tokens.claims import TenantClaims
from lyceum.security.tokens.errors import Refusal, TenancyError, TokenError
from lyceum.security.tokens.internal import InternalTokens
from lyceum.security.tokens.tenancy import as_tenant
from warehouse import Warehouse

LEARNER = TenantClaims("learner", 41, 7)
ADMIN = TenantClaims("org_admin", 42)
_STATE = (
    "select current_user = session_user, coalesce(current_setting('lyceum.token', true), ''), "
    "current_setting('statement_timeout')"
)


def now() -> datetime:
    return datetime.now(UTC)


def value(connection: Connection, expression: str) -> Any:
    row = connection.execute(f"select {expression}".encode()).fetchone()
    assert row is not None
    return row[0]


def is_clean(connection: Connection) -> bool:
    state = connection.execute(_STATE.encode()).fetchone()
    connection.rollback()
    return state == (True, "", "0")


@pytest.fixture(params=[False, True], ids=["transactions", "autocommit"])
def pooled(
    request: pytest.FixtureRequest, login: Callable[[], tuple[str, Connection]], tokens: InternalTokens
) -> Connection:
    """A connection as a pool lends it: of a login that is a member of the tenant roles and may do nothing itself."""
    _, connection = login()
    connection.autocommit = request.param
    return connection


def test_a_block_runs_as_the_tenant_and_leaves_nothing(pooled: Connection, tokens: InternalTokens) -> None:
    for claims in (LEARNER, ADMIN, LEARNER):
        with as_tenant(pooled, claims, tokens, now):
            assert value(pooled, "current_user") == f"lyceum_{claims.role}"
            assert value(pooled, f"auth.organization_id('{claims.role}')") == claims.organization_id
        assert is_clean(pooled)


def test_an_error_in_a_block_leaves_nothing(pooled: Connection, tokens: InternalTokens) -> None:
    with pytest.raises(psycopg.errors.DivisionByZero), as_tenant(pooled, LEARNER, tokens, now):
        pooled.execute("select 1 / 0")
    assert is_clean(pooled)
    with pytest.raises(RuntimeError), as_tenant(pooled, LEARNER, tokens, now):
        raise RuntimeError
    assert is_clean(pooled)
    with as_tenant(pooled, ADMIN, tokens, now):
        assert value(pooled, "auth.organization_id('learner')") is None
        assert value(pooled, "auth.organization_id('org_admin')") == 42


def test_savepoints_give_no_role_back(pooled: Connection, tokens: InternalTokens) -> None:
    with as_tenant(pooled, LEARNER, tokens, now):
        with pooled.transaction() as savepoint:
            pooled.execute("select set_config('lyceum.token', 'x', true), set_config('role', 'lyceum_org_admin', true)")
            assert value(pooled, "auth.organization_id('learner')") is None
            raise psycopg.Rollback(savepoint)
        assert value(pooled, "current_user") == "lyceum_learner"
        assert value(pooled, "auth.organization_id('learner')") == 41
        with pooled.transaction():
            pooled.execute("set local role lyceum_org_admin")
        assert value(pooled, "auth.organization_id('org_admin')") is None
    assert is_clean(pooled)


def test_another_role_within_a_block_has_no_claims(pooled: Connection, tokens: InternalTokens) -> None:
    with as_tenant(pooled, LEARNER, tokens, now):
        for role in ("org_admin", "service", "analyst", "auditor", "trainer"):
            pooled.execute(f"reset role; set local role lyceum_{role}".encode())
            assert value(pooled, f"auth.organization_id('{role}')") is None


def test_a_block_never_joins_a_transaction_that_is_open(pooled: Connection, tokens: InternalTokens) -> None:
    pooled.execute("begin" if pooled.autocommit else "select 1")

    with pytest.raises(TenancyError, match="in a transaction"), as_tenant(pooled, LEARNER, tokens, now):
        pytest.fail("the block ran")

    pooled.rollback()
    assert is_clean(pooled)


@pytest.mark.parametrize(
    "left", ["set role lyceum_org_admin", "select set_config('lyceum.token', 'v1.of.somebody.else', false)"]
)
def test_a_connection_that_somebody_left_changed_is_closed(
    pooled: Connection, tokens: InternalTokens, left: str
) -> None:
    # As an injected statement may: it ends the block's transaction and leaves something in the session.
    with as_tenant(pooled, LEARNER, tokens, now):
        pooled.execute(b"commit; begin; " + left.encode() + b"; commit; begin")

    with pytest.raises(TenancyError, match="left with a role or a token"), as_tenant(pooled, ADMIN, tokens, now):
        pytest.fail("the block ran")

    assert pooled.closed


def test_a_token_that_the_warehouse_does_not_know_is_an_error_and_no_empty_answer(
    pooled: Connection, knowing_warehouse: Warehouse
) -> None:
    key = knowing_warehouse.settings.keys / "stranger.key"
    key.write_bytes(bytes(32))
    key.chmod(0o600)

    with pytest.raises(TokenError) as refusal, as_tenant(pooled, LEARNER, InternalTokens(key), now):
        pytest.fail("the block ran")

    assert refusal.value.reason is Refusal.NOT_ACCEPTED
    assert is_clean(pooled)


def test_a_block_that_outlasts_its_token_is_rolled_back(pooled: Connection, tokens: InternalTokens) -> None:
    clock = [now()]

    def outlast() -> None:
        with as_tenant(pooled, LEARNER, tokens, lambda: clock[0]):
            clock[0] += timedelta(seconds=31)
            # As if it had expired: the database accepts it no longer.
            pooled.execute("select set_config('lyceum.token', '', true)")

    with pytest.raises(TokenError) as refusal:
        outlast()

    assert refusal.value.reason is Refusal.NOT_ACCEPTED
    assert is_clean(pooled)


@pytest.mark.parametrize(("before", "within"), [("0", "1min"), ("250ms", "250ms"), ("5min", "1min"), ("1min", "1min")])
def test_no_statement_of_a_block_may_outlive_the_token_by_more_than_a_minute(
    pooled: Connection, tokens: InternalTokens, before: str, within: str
) -> None:
    pooled.execute(f"set statement_timeout = '{before}'".encode())
    pooled.commit()

    with as_tenant(pooled, LEARNER, tokens, now):
        assert value(pooled, "current_setting('statement_timeout')") == within
    assert value(pooled, "current_setting('statement_timeout')") == before
