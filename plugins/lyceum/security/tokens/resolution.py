"""From what a token says to the warehouse's own ids."""

from __future__ import annotations

from lyceum.database import Connection
from lyceum.security.tokens.claims import TenantClaims
from lyceum.security.tokens.errors import Refusal, TokenError
from lyceum.security.tokens.verification import AccessClaims


def resolve(connection: Connection, access: AccessClaims, request_id: str | None = None) -> TenantClaims:
    """Return the claims of a verified token in ids of the warehouse, for `as_tenant`.

    The connection is the service's own, outside a tenant's block. Raises `TokenError` (`organization`) when there is no
    such organization, or no such user in it: which of the two is not said.
    """
    row = connection.execute(
        "select organization_id, user_id from auth.find_tenant(%s, %s, %s)",
        [access.slug, access.organization_id, access.user_id],
    ).fetchone()
    if row is None:
        raise TokenError(
            Refusal.ORGANIZATION, "The token names an organization, or a user of it, that the warehouse does not know."
        )
    organization_id, user_id = row
    return TenantClaims(
        role=access.role,
        organization_id=organization_id,
        user_id=user_id,
        scopes=access.scopes,
        request_id=request_id,
        token_id=access.token_id,
    )
