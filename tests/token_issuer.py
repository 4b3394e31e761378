"""An issuer of the tests: its keys, its key set, and a hand that signs anything."""

from __future__ import annotations

import base64
import functools
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

from lyceum.security.tokens.issuer_keys import IssuerKeys
from lyceum.token_settings import IssuerSettings

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
EPOCH = int(NOW.timestamp())
SETTINGS = IssuerSettings(issuer="https://login.example", audience="lyceum", jwks="/nowhere/jwks.json")


@dataclass(frozen=True, slots=True)
class Pair:
    """A private key, its id and its public half as a JSON Web Key."""

    key_id: str
    algorithm: str
    private: Any

    @property
    def public(self) -> dict[str, Any]:
        text = get_default_algorithms()[self.algorithm].to_jwk(self.private.public_key())
        content: dict[str, Any] = json.loads(text)
        content.pop("key_ops", None)
        return content | {"kid": self.key_id, "use": "sig", "alg": self.algorithm}

    def sign(self, signed: bytes, algorithm: str | None = None) -> bytes:
        method = get_default_algorithms()[algorithm or self.algorithm]
        return method.sign(signed, self.private)


@functools.cache
def pairs() -> dict[str, Pair]:
    """The issuer's keys by algorithm; made once, because RSA takes a while."""
    return {
        "RS256": Pair("rsa-1", "RS256", rsa.generate_private_key(65537, 2048)),
        "PS256": Pair("pss-1", "PS256", rsa.generate_private_key(65537, 2048)),
        "ES256": Pair("ec-1", "ES256", ec.generate_private_key(ec.SECP256R1())),
        "EdDSA": Pair("ed-1", "EdDSA", ed25519.Ed25519PrivateKey.generate()),
    }


@functools.cache
def stranger() -> Pair:
    """A key that is not the issuer's, under an id that is."""
    return Pair("ed-1", "EdDSA", ed25519.Ed25519PrivateKey.generate())


def key_set(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": list(keys) or [pair.public for pair in pairs().values()]}).encode()


def issuer_keys() -> IssuerKeys:
    return IssuerKeys(key_set)


def header(**changes: Any) -> dict[str, Any]:
    return _changed({"alg": "EdDSA", "kid": "ed-1", "typ": "JWT"}, changes)


def content(**changes: Any) -> dict[str, Any]:
    """Return the claims of a good token, changed; a claim of `...` is left out."""
    good = {
        "iss": "https://login.example",
        "aud": "lyceum",
        "sub": "somebody",
        "iat": EPOCH,
        "exp": EPOCH + 600,
        "role": "learner",
        "organization": "harbor-college",
        "user": "7",
        "scope": "read reports:read",
        "jti": "token-1",
    }
    return _changed(good, changes)


def token(
    claims: dict[str, Any] | bytes | None = None,
    head: dict[str, Any] | bytes | None = None,
    pair: Pair | None = None,
    algorithm: str | None = None,
) -> str:
    """Return a token of any header and any content, signed all the same."""
    signed = b".".join(
        (encoded(head if head is not None else header()), encoded(claims if claims is not None else content()))
    )
    signature = (pair or pairs()["EdDSA"]).sign(signed, algorithm)
    return f"{signed.decode()}.{encoded(signature).decode()}"


def encoded(value: dict[str, Any] | bytes) -> bytes:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def symmetric(claims: dict[str, Any], secret: bytes, key_id: str) -> str:
    """Return a token whose MAC is made with what the verifier knows: the public key."""
    signed = b".".join((encoded({"alg": "HS256", "kid": key_id, "typ": "JWT"}), encoded(claims)))
    mac = get_default_algorithms()["HS256"].sign(signed, secret)
    return f"{signed.decode()}.{encoded(mac).decode()}"


def _changed(good: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (good | changes).items() if value is not ...}
