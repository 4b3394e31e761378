"""Development tokens: a home accepts its own as long as no issuer is configured."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lyceum.security.tokens.claims import Role
from lyceum.security.tokens.development import accepted_issuer, development_issuer
from lyceum.security.tokens.errors import Refusal, TokenError
from lyceum.security.tokens.issuer_keys import IssuerKeys
from lyceum.security.tokens.verification import verify
from lyceum.settings import Settings
from token_issuer import SETTINGS

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_home_accepts_the_tokens_that_it_minted(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    text = development_issuer(settings).mint("trainer", "harbor-college", NOW, user_id=7, scopes=("read", "write"))
    issuer = accepted_issuer(settings)

    access = verify(text, issuer, IssuerKeys.of(issuer.jwks), lambda: NOW)

    assert (access.role, access.slug, access.user_id, access.scopes) == (
        "trainer",
        "harbor-college",
        7,
        ("read", "write"),
    )
    assert access.subject == "development:trainer:7"
    assert access.expires_at == NOW + timedelta(hours=1)


def test_another_home_does_not(tmp_path: Path) -> None:
    text = development_issuer(Settings(home=tmp_path / "one")).mint("org_admin", "harbor-college", NOW)
    issuer = accepted_issuer(Settings(home=tmp_path / "two"))

    with pytest.raises(TokenError) as refusal:
        verify(text, issuer, IssuerKeys.of(issuer.jwks), lambda: NOW)

    assert refusal.value.reason is Refusal.UNKNOWN_KEY


def test_where_an_issuer_is_configured_development_tokens_count_for_nothing(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    development = development_issuer(settings)
    # Even were the issuer's key set the home's own by mistake.
    configured = replace(settings, token_issuer=replace(SETTINGS, jwks=development.settings.jwks))
    issuer = accepted_issuer(configured)

    assert issuer == configured.token_issuer
    with pytest.raises(TokenError) as refusal:
        verify(development.mint("org_admin", "x", NOW), issuer, IssuerKeys.of(issuer.jwks), lambda: NOW)
    assert refusal.value.reason is Refusal.ISSUER


def test_the_key_is_closed_to_others_and_the_key_set_holds_nothing_of_it(tmp_path: Path) -> None:
    development = development_issuer(Settings(home=tmp_path))

    assert development.key_file.stat().st_mode & 0o777 == 0o600
    assert '"d"' not in Path(development.settings.jwks).read_text()
    assert development_issuer(Settings(home=tmp_path)) == development


@pytest.mark.parametrize(
    ("role", "user_id", "lifetime", "reason"),
    [
        ("learner", None, 60, Refusal.USER),
        ("owner", 1, 60, Refusal.ROLE),
        ("org_admin", None, 3601, Refusal.LIFETIME),
        ("org_admin", None, 0, Refusal.LIFETIME),
    ],
)
def test_what_no_service_would_accept_is_not_minted(
    tmp_path: Path, role: Role, user_id: int | None, lifetime: int, reason: Refusal
) -> None:
    with pytest.raises(TokenError) as refusal:
        development_issuer(Settings(home=tmp_path)).mint(
            role, "x", NOW, user_id=user_id, lifetime=timedelta(seconds=lifetime)
        )

    assert refusal.value.reason is reason
