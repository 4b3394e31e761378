"""One request, one transaction: repeatable read, read only, as whoever asks, bounded in time.

What `lyceum.security.tokens.tenancy.as_tenant` does for a program, done for a server that waits for many databases at a time. A
connection may come from PgBouncer in transaction mode: everything is local to the transaction, the time zone included.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

from lyceum.security.tokens.claims import TenantClaims
from lyceum.security.tokens.errors import Refusal, TenancyError, TokenError
from lyceum.security.tokens.internal import Clock, InternalTokens
from lyceum.security.tokens.tenancy import BECOME
from lyceum.security.tokens.verification import AccessClaims

AsyncConnection: TypeAlias = psycopg.AsyncConnection[TupleRow]

_BEGIN = "begin isolation level repeatable read read only"
_BOUND = """
select
    set_config('TimeZone', 'UTC', true),
    set_config('statement_timeout', %(timeout)s, true),
    set_config('idle_in_transaction_session_timeout', '30s', true)
"""
_FIND = """
select organization_id, user_id
from auth.find_tenant(%(slug)s, %(organization_id)s, %(user_id)s)
"""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement that reads, with its parameters by name."""

    text: str
    parameters: Mapping[str, Any]

    async def run_on(self, connection: AsyncConnection) -> psycopg.AsyncCursor[TupleRow]:
        """Send it; in a pipeline the rows come when that is synchronized."""
        return await connection.execute(self.text.encode(), self.parameters)


_ROLLBACK = Statement("rollback", {})


@asynccontextmanager
async def reading(
    connection: AsyncConnection, *, statement_seconds: int, first: Sequence[Statement], is_all: bool = False
) -> AsyncIterator[list[TupleRow | None]]:
    """Run a block in a transaction that reads one snapshot, and hand it the first row of each of these statements.

    They are sent together with what begins the transaction, and with what ends it where they are all that is asked (`is_all`).
    Whatever happens in the block, nothing of it outlives it.
    """
    if not _is_idle(connection):
        raise TenancyError("The connection is in a transaction. Expected an idle one: take another.")
    try:
        # One round trip.
        async with connection.pipeline():
            await connection.execute(_BEGIN)
            await connection.execute(_BOUND, {"timeout": f"{statement_seconds}s"})
            answers = [await statement.run_on(connection) for statement in first]
            if is_all:
                await _ROLLBACK.run_on(connection)
        yield [await answer.fetchone() for answer in answers]
    finally:
        if not connection.closed and not _is_idle(connection):
            # Nothing was written. A connection that cannot even roll back is of no use to the next request.
            try:
                await connection.execute("rollback")
            except psycopg.Error:
                await connection.close()


async def ask_together(connection: AsyncConnection, statements: Sequence[Statement]) -> list[TupleRow | None]:
    """Return the first row of each statement, all of them sent in one round trip."""
    async with connection.pipeline():
        answers = [await statement.run_on(connection) for statement in statements]
    return [await answer.fetchone() for answer in answers]


def _is_idle(connection: AsyncConnection) -> bool:
    return connection.info.transaction_status == TransactionStatus.IDLE


def find_tenant(access: AccessClaims) -> Statement:
    """Return the statement that looks a verified token up, before the transaction becomes a tenant's."""
    return Statement(_FIND, {"slug": access.slug, "organization_id": access.organization_id, "user_id": access.user_id})


def tenant_of(access: AccessClaims, found: TupleRow | None, request_id: str) -> TenantClaims:
    """Return the claims of a verified token in ids of the warehouse, with the row of `find_tenant`.

    Raises `TokenError` (`organization`) as `lyceum.security.tokens.resolution.resolve` does.
    """
    if found is None:
        raise TokenError(
            Refusal.ORGANIZATION, "The token names an organization, or a user of it, that the warehouse does not know."
        )
    return TenantClaims(
        role=access.role,
        organization_id=found[0],
        user_id=found[1],
        scopes=access.scopes,
        request_id=request_id,
        token_id=access.token_id,
    )


def becoming(
    claims: TenantClaims, tokens: InternalTokens, clock: Clock, then: Statement
) -> tuple[Statement, Statement]:
    """Return the statement that turns the transaction into one of the tenant, and the first one that is asked as it.

    The first column of what `then` returns is `auth.claims() is not null`; `require_tenant` looks at both rows.
    """
    token = tokens.mint(claims, clock)
    return Statement(BECOME, {"token": token, "role": f"lyceum_{claims.role}"}), then


async def require_tenant(connection: AsyncConnection, became: TupleRow | None, told: TupleRow | None) -> TupleRow:
    """Return the row of the first statement asked as the tenant, without its first column.

    Raises `TenancyError` when somebody left a role or a token on the connection (it is closed then), `TokenError`
    (`not_accepted`) when the database does not accept the token.
    """
    if became is None or became[0] is not True:
        await connection.close()
        raise TenancyError(
            "The connection was left with a role or a token of somebody else, so it is closed. Take a new one, and look for a "
            "query that runs text from outside."
        )
    if told is None or told[0] is not True:
        raise TokenError(
            Refusal.NOT_ACCEPTED,
            "The warehouse does not accept the token: it has expired, or its key is unknown. Look at `lyceum token keys status`.",
        )
    return told[1:]
