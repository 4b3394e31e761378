"""A transaction as a tenant: the role and the token are set for it alone and are gone with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from psycopg.pq import TransactionStatus

from lyceum.database import Connection
from lyceum.security.tokens.claims import TenantClaims
from lyceum.security.tokens.errors import Refusal, TenancyError, TokenError
from lyceum.security.tokens.internal import LONGEST_LIFETIME, Clock, InternalTokens

# Whether the session is as its pool got it; then who asks. The parts of a select list are evaluated in their order. No
# statement may outlive a token by more than the minute that auth.token_claims grants it.
BECOME = """
select
    current_setting('role') = 'none' and coalesce(current_setting('lyceum.token', true), '') = '',
    set_config('lyceum.token', %(token)s, true) is not null,
    set_config(
        'statement_timeout',
        case
            when current_setting('statement_timeout')::interval between interval '1 millisecond' and interval '60 seconds'
                then current_setting('statement_timeout')
            else '60s'
        end,
        true
    ) is not null,
    set_config('role', %(role)s, true) is not null
"""


@contextmanager
def as_tenant(
    connection: Connection,
    claims: TenantClaims,
    tokens: InternalTokens,
    clock: Clock,
    lifetime: timedelta = LONGEST_LIFETIME,
) -> Iterator[None]:
    """Run a block in one transaction as `lyceum_<role>` with a token of these claims; commit, or roll back on an error.

    The connection is idle and logged in as `lyceum_authenticator` or another member of the tenant roles. Whatever happens
    in the block, savepoints and errors included, role and token end with the transaction. Statements must begin before the
    token expires: a block that took longer is rolled back, because it may have read too little.

    Raises `TenancyError` when the connection is in a transaction, or was left as another role or with a token (it is closed
    then); `TokenError` (`not_accepted`) when the warehouse does not accept the token.
    """
    if connection.info.transaction_status != TransactionStatus.IDLE:
        raise TenancyError(
            "The connection is in a transaction, so role and token would outlast the block. Commit or roll back first."
        )
    began_at = clock()
    token = tokens.mint(claims, lambda: began_at, lifetime)
    with connection.transaction():
        row = connection.execute(BECOME, {"token": token, "role": f"lyceum_{claims.role}"}).fetchone()
        if row is None or row[0] is not True:
            connection.close()
            raise TenancyError(
                "The connection was left with a role or a token of somebody else, so it is closed. Take a new one, and look "
                "for a query that runs text from outside."
            )
        _require_accepted(connection)
        yield
        if clock() - began_at > lifetime / 2:
            # The two clocks may differ: the database's decides.
            _require_accepted(connection)


def _require_accepted(connection: Connection) -> None:
    if connection.execute("select auth.claims() is not null").fetchone() != (True,):
        raise TokenError(
            Refusal.NOT_ACCEPTED,
            "The warehouse does not accept the token: it has expired, or its key is unknown. Look at `lyceum token keys "
            "status`; `lyceum token keys rotate` makes a key that the warehouse knows.",
        )
