"""Minting internal tokens: with which key, for how long, of what size."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lyceum.errors import ConfigurationError
from lyceum.security.tokens.claims import TenantClaims
from lyceum.security.tokens.errors import Refusal, TokenError, TokenKeyError
from lyceum.security.tokens.internal import MAXIMUM_BYTES, InternalTokens, SigningKey
from lyceum.settings import Settings

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ADMIN = TenantClaims("org_admin", 1)


def test_the_pads_are_those_of_hmac() -> None:
    key = SigningKey(bytes(range(32)))
    inner, outer = key.pads

    mac = hashlib.sha256(outer + hashlib.sha256(inner + b"message").digest()).digest()

    assert mac == hmac.digest(key.secret, b"message", "sha256")


def test_printing_a_key_shows_nothing_of_it() -> None:
    assert repr(SigningKey(b"s" * 32)) == "SigningKey()"


def test_the_key_is_made_once_and_closed_to_others(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)

    first, second = InternalTokens.of_home(settings), InternalTokens.of_home(settings)

    assert first.key == second.key
    assert [path.name for path in settings.keys.iterdir()] == ["internal_token.key"]
    assert (settings.keys / "internal_token.key").stat().st_mode & 0o777 == 0o600


def test_a_key_that_others_can_read_signs_nothing(tmp_path: Path) -> None:
    tokens = InternalTokens.of_home(Settings(home=tmp_path))
    tokens.mint(ADMIN, lambda: NOW)
    (tmp_path / "keys" / "internal_token.key").chmod(0o644)

    with pytest.raises(ConfigurationError, match="chmod 600"):
        tokens.mint(ADMIN, lambda: NOW)


def test_a_minter_notices_a_new_key_and_a_lost_one(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "internal_token.key"
    tokens = InternalTokens.of_home(Settings(home=tmp_path))
    before = tokens.key
    following = path.with_name("following")
    following.write_bytes(b"n" * 32)
    following.chmod(0o600)
    following.replace(path)

    assert tokens.key == SigningKey(b"n" * 32) != before
    path.unlink()
    with pytest.raises(TokenKeyError, match="keys rotate"):
        tokens.mint(ADMIN, lambda: NOW)


@pytest.mark.parametrize("seconds", [-1, 0, 60.001, 3600])
def test_no_token_lives_longer_than_a_minute(tmp_path: Path, seconds: float) -> None:
    tokens = InternalTokens.of_home(Settings(home=tmp_path))

    with pytest.raises(TokenError) as refusal:
        tokens.mint(ADMIN, lambda: NOW, timedelta(seconds=seconds))

    assert refusal.value.reason is Refusal.LIFETIME


def test_the_longest_claims_are_within_what_the_database_hashes(tmp_path: Path) -> None:
    tokens = InternalTokens.of_home(Settings(home=tmp_path))
    largest = TenantClaims(
        "org_admin",
        2**63 - 1,
        2**63 - 1,
        scopes=tuple(f"{number:s>64}" for number in range(32)),
        request_id="r" * 64,
        token_id="t" * 64,
    )

    assert 3000 < len(tokens.mint(largest, lambda: NOW)) <= MAXIMUM_BYTES
