"""What a token says of whoever asks: verified, resolved to ids of the warehouse, and checked field by field."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeGuard, get_args

from lyceum.security.tokens.errors import Refusal, TokenError

Role: TypeAlias = Literal["learner", "trainer", "org_admin", "service", "analyst", "auditor"]
ROLES: tuple[Role, ...] = get_args(Role)
"""The tenant roles; the database knows each as `lyceum_<role>`."""

ROLES_OF_PEOPLE: frozenset[Role] = frozenset({"learner", "trainer"})
"""Roles whose rows depend on the user, so that a token without one is refused."""

MAXIMUM_SCOPES = 32
SCOPE = re.compile(r"[a-z][a-z0-9_.:-]{0,63}", re.ASCII)
_MARK = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
_LARGEST_ID = 2**63 - 1


@dataclass(frozen=True, slots=True)
class TenantClaims:
    """Who asks, in the warehouse's own ids. An organization of None means every one, for an auditor of the operator alone.

    `request_id` and `token_id` (of the token that the caller presented) go into the audit log. Raises `TokenError` for
    anything that is not exactly as the database expects it.
    """

    role: Role
    organization_id: int | None
    user_id: int | None = None
    scopes: tuple[str, ...] = ()
    request_id: str | None = None
    token_id: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.role, str) or self.role not in ROLES:
            raise TokenError(
                Refusal.ROLE, f"The claims name no role of the warehouse. Expected one of {', '.join(ROLES)}."
            )
        if self.organization_id is None:
            if self.role != "auditor" or self.user_id is not None:
                raise TokenError(
                    Refusal.ORGANIZATION, f"The claims of role {self.role} name no organization. Expected its id."
                )
        elif not _is_id(self.organization_id):
            raise TokenError(Refusal.ORGANIZATION, "The organization is no id. Expected a positive integer of 64 bits.")
        if self.user_id is None:
            if self.role in ROLES_OF_PEOPLE:
                raise TokenError(Refusal.USER, f"The claims of role {self.role} name no user. Expected the user's id.")
        elif not _is_id(self.user_id):
            raise TokenError(Refusal.USER, "The user is no id. Expected a positive integer of 64 bits.")
        if not isinstance(self.scopes, tuple) or len(self.scopes) > MAXIMUM_SCOPES:
            raise TokenError(Refusal.SCOPE, f"The scopes are no tuple of at most {MAXIMUM_SCOPES} names.")
        if not all(isinstance(scope, str) and SCOPE.fullmatch(scope) for scope in self.scopes):
            raise TokenError(
                Refusal.SCOPE,
                "A scope is no name. Expected at most 64 lower-case letters, digits and _ . : - that begin with a letter.",
            )
        for mark in (self.request_id, self.token_id):
            if mark is not None and not is_mark(mark):
                raise TokenError(
                    Refusal.MALFORMED,
                    "The id of the request or of the token is no id. Expected at most 64 letters, digits and _ . -",
                )


def is_mark(value: object) -> TypeGuard[str]:
    """Return whether a value may stand for a request or a token in logs and rows."""
    return isinstance(value, str) and _MARK.fullmatch(value) is not None


def _is_id(value: object) -> bool:
    return type(value) is int and 0 < value <= _LARGEST_ID
