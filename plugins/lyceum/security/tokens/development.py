"""Tokens for development: signed by a key that the home makes for itself, accepted while no issuer is configured.

Whoever reads the home's keys can be anybody. That is right on one's own machine, and nowhere else.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lyceum.key_files import make_key, read_key
from lyceum.security.tokens.claims import ROLES, ROLES_OF_PEOPLE, Role
from lyceum.security.tokens.errors import Refusal, TokenError
from lyceum.settings import Settings
from lyceum.token_settings import IssuerSettings

ISSUER = "urn:lyceum:development"
AUDIENCE = "lyceum"
KEY_FILE = "development_token.key"
KEY_SET_FILE = "development_jwks.json"


@dataclass(frozen=True, slots=True)
class DevelopmentIssuer:
    """The issuer of a home: its settings, as verification wants them, and the path of its private key."""

    settings: IssuerSettings
    key_file: Path

    def mint(
        self,
        role: Role,
        slug: str,
        at: datetime,
        *,
        user_id: int | None = None,
        scopes: tuple[str, ...] = (),
        lifetime: timedelta = timedelta(hours=1),
    ) -> str:
        """Return a token that a service accepts from `at` on. Raises `TokenError` for a lifetime that none would accept."""
        longest = self.settings.longest_lifetime
        if not timedelta(seconds=1) <= lifetime <= longest:
            raise TokenError(
                Refusal.LIFETIME,
                f"The token was to live {lifetime.total_seconds():.0f} seconds. Expected 1 to {longest.total_seconds():.0f}.",
            )
        if role not in ROLES:
            raise TokenError(Refusal.ROLE, f"There is no such role. Expected one of {', '.join(ROLES)}.")
        if role in ROLES_OF_PEOPLE and user_id is None:
            raise TokenError(Refusal.USER, f"A {role} is somebody: name the user's id.")
        private = Ed25519PrivateKey.from_private_bytes(read_key(self.key_file))
        issued_at = int(at.timestamp())
        names = self.settings.claims
        content: dict[str, object] = {
            "iss": self.settings.issuer,
            "aud": self.settings.audience,
            "sub": f"development:{role}" + (f":{user_id}" if user_id is not None else ""),
            "iat": issued_at,
            "exp": issued_at + int(lifetime.total_seconds()),
            "jti": secrets.token_hex(16),
            names.role: role,
            names.organization: slug,
        }
        if user_id is not None:
            content[names.user] = str(user_id)
        if scopes:
            content[names.scopes] = " ".join(scopes)
        return jwt.encode(content, private, "EdDSA", headers={"kid": _public(private)["kid"], "typ": "at+jwt"})


def development_issuer(settings: Settings) -> DevelopmentIssuer:
    """Return the issuer of a home, whose key and key set are made where absent.

    Raises `ConfigurationError` when the key is unusable.
    """
    key_file = settings.keys / KEY_FILE
    if not key_file.exists():
        make_key(key_file)
    key_set = key_set_text(key_file)
    path = settings.keys / KEY_SET_FILE
    if not path.exists() or path.read_text() != key_set:
        _replace(path, key_set)
    return DevelopmentIssuer(
        IssuerSettings(issuer=ISSUER, audience=AUDIENCE, jwks=str(path), algorithms=("EdDSA",)), key_file
    )


def accepted_issuer(settings: Settings) -> IssuerSettings:
    """Return whose tokens the services of a home accept: the configured issuer's, else those of the home itself."""
    return settings.token_issuer or development_issuer(settings).settings


def key_set_text(key_file: Path) -> str:
    """Return the key set (RFC 7517) with the public half of a development key."""
    private = Ed25519PrivateKey.from_private_bytes(read_key(key_file))
    return json.dumps({"keys": [_public(private)]}, indent=2) + "\n"


def _public(private: Ed25519PrivateKey) -> dict[str, str]:
    raw = private.public_key().public_bytes_raw()
    return {
        "kty": "OKP",
        "crv": "Ed25519",
        "alg": "EdDSA",
        "use": "sig",
        "kid": f"development-{hashlib.sha256(raw).hexdigest()[:16]}",
        "x": base64.urlsafe_b64encode(raw).rstrip(b"=").decode(),
    }


def _replace(path: Path, text: str) -> None:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    unfinished.write_text(text)
    unfinished.replace(path)
