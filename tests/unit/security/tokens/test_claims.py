"""Claims are exactly what the database expects, or they are refused."""

from __future__ import annotations

from typing import Any

import pytest

from lyceum.security.tokens.claims import TenantClaims
from lyceum.security.tokens.errors import Refusal, TokenError


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"role": "superuser"}, Refusal.ROLE),
        ({"role": "Learner"}, Refusal.ROLE),
        ({"role": "lyceum_learner"}, Refusal.ROLE),
        ({"role": None}, Refusal.ROLE),
        ({"role": ["learner"]}, Refusal.ROLE),
        ({"organization_id": None}, Refusal.ORGANIZATION),
        ({"organization_id": 0}, Refusal.ORGANIZATION),
        ({"organization_id": -1}, Refusal.ORGANIZATION),
        ({"organization_id": True}, Refusal.ORGANIZATION),
        ({"organization_id": 1.0}, Refusal.ORGANIZATION),
        ({"organization_id": "1"}, Refusal.ORGANIZATION),
        ({"organization_id": 2**63}, Refusal.ORGANIZATION),
        ({"role": "auditor", "organization_id": None, "user_id": 1}, Refusal.ORGANIZATION),
        ({"user_id": None}, Refusal.USER),
        ({"role": "trainer", "user_id": None}, Refusal.USER),
        ({"user_id": 0}, Refusal.USER),
        ({"user_id": True}, Refusal.USER),
        ({"user_id": "1"}, Refusal.USER),
        ({"user_id": 2**63}, Refusal.USER),
        ({"scopes": ["read"]}, Refusal.SCOPE),
        ({"scopes": "read"}, Refusal.SCOPE),
        ({"scopes": ("",)}, Refusal.SCOPE),
        ({"scopes": ("Read",)}, Refusal.SCOPE),
        ({"scopes": ("re ad",)}, Refusal.SCOPE),
        ({"scopes": ("read\n",)}, Refusal.SCOPE),
        ({"scopes": ("réad",)}, Refusal.SCOPE),
        ({"scopes": (1,)}, Refusal.SCOPE),
        ({"scopes": ("a",) * 33}, Refusal.SCOPE),
        ({"request_id": ""}, Refusal.MALFORMED),
        ({"request_id": "a\nb"}, Refusal.MALFORMED),
        ({"request_id": "x" * 65}, Refusal.MALFORMED),
        ({"token_id": "a'b"}, Refusal.MALFORMED),
        ({"token_id": 7}, Refusal.MALFORMED),
    ],
)
def test_claims_that_are_not_exact_are_refused(arguments: dict[str, Any], reason: Refusal) -> None:
    valid: dict[str, Any] = {"role": "learner", "organization_id": 1, "user_id": 1}
    TenantClaims(**valid)

    with pytest.raises(TokenError) as refusal:
        TenantClaims(**(valid | arguments))

    assert refusal.value.reason is reason


def test_only_an_auditor_may_have_every_organization() -> None:
    assert TenantClaims("auditor", None).organization_id is None
    assert TenantClaims("org_admin", 2**63 - 1).user_id is None
