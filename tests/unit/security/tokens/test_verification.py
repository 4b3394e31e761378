"""Good tokens: what is read from them, in the types and under the names that the issuer was declared with."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from lyceum.security.tokens.verification import AccessClaims, verify
from lyceum.token_settings import ClaimNames
from token_issuer import EPOCH, NOW, SETTINGS, content, header, issuer_keys, pairs, token


def read(text: str, at: datetime = NOW) -> AccessClaims:
    return verify(text, SETTINGS, issuer_keys(), lambda: at)


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
def test_a_token_says_who_asks(algorithm: str) -> None:
    pair = pairs()[algorithm]

    access = read(token(head=header(alg=algorithm, kid=pair.key_id), pair=pair))

    assert access == AccessClaims(
        subject="somebody",
        role="learner",
        slug="harbor-college",
        organization_id=None,
        user_id=7,
        scopes=("read", "reports:read"),
        token_id="token-1",
        expires_at=datetime.fromtimestamp(EPOCH + 600, UTC),
    )


def test_printing_what_a_token_says_shows_no_subject() -> None:
    assert "somebody" not in repr(read(token()))


@pytest.mark.parametrize("seconds", [-10, 0, 599, 609.999])
def test_a_token_counts_from_when_it_was_issued_until_it_expires_give_or_take_ten_seconds(seconds: float) -> None:
    assert read(token(), NOW + timedelta(seconds=seconds)).user_id == 7


def test_one_audience_of_several_is_ours() -> None:
    assert read(token(content(aud=["mail", "lyceum"]))).user_id == 7


def test_claims_have_the_names_that_the_issuer_was_declared_with() -> None:
    names = ClaimNames("https://x.example/role", "tenant", "sub", "permissions", organization_is_id=True)
    text = token(
        content(role=..., organization=..., user=..., scope=..., sub="12", tenant="9", permissions=["read", "read"])
        | {"https://x.example/role": "service"}
    )

    access = verify(text, replace(SETTINGS, claims=names), issuer_keys(), lambda: NOW)

    assert (access.role, access.slug, access.organization_id, access.user_id) == ("service", None, 9, 12)
    assert access.scopes == ("read",)


def test_nbf_may_be_required_in_place_of_iat() -> None:
    settings = replace(SETTINGS, required_times=("nbf",))

    assert verify(token(content(iat=..., nbf=EPOCH)), settings, issuer_keys(), lambda: NOW).user_id == 7


def test_a_token_without_a_plain_id_is_known_by_a_hash() -> None:
    first, second = read(token(content(jti=...))).token_id, read(token(content(jti="onrtac:a b", user="8"))).token_id

    assert len(first) == len(second) == 32
    assert first != second


def test_a_thumbprint_of_a_certificate_does_no_harm() -> None:
    assert read(token(head=header(x5t="abc", typ="at+JWT"))).role == "learner"
