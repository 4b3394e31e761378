"""The public keys of an issuer, from a JSON Web Key Set (RFC 7517): which of them may verify what."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeGuard

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from lyceum.security.tokens.errors import Refusal, TokenError, TokenKeyError
from lyceum.security.tokens.strict_json import parse_object
from lyceum.token_settings import ALGORITHMS, Algorithm

MAXIMUM_BYTES = 256 * 1024
MAXIMUM_KEYS = 100
_KEY_ID = re.compile(r"[A-Za-z0-9_-](?:\.?[A-Za-z0-9_:=+-]){0,127}", re.ASCII)
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_RSA_BITS = range(2048, 8193)


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key and the algorithms that it verifies, each bound to the key when the set was read."""

    key_id: str
    by_algorithm: Mapping[Algorithm, jwt.PyJWK]


def is_plain_key_id(value: object) -> TypeGuard[str]:
    """Return whether a key id is a mere name: no path, no address, nothing to be looked up by but equality."""
    return isinstance(value, str) and _KEY_ID.fullmatch(value) is not None


def read_key_set(data: bytes) -> dict[str, VerificationKey | None]:
    """Return the signature keys of a key set by their ids; None for an id that two different keys claim.

    Keys for other purposes and of other kinds are passed over, as are those without a plain id. Raises `TokenKeyError`
    when this is no key set, holds a private or symmetric key, or no key that could verify anything.
    """
    if len(data) > MAXIMUM_BYTES:
        raise TokenKeyError(f"The key set has {len(data)} bytes. Expected at most {MAXIMUM_BYTES}.")
    try:
        listed = parse_object(data, "The key set").get("keys")
    except TokenError as error:
        raise TokenKeyError(f"{error} Look at what LYCEUM_JWKS points to.") from None
    if not isinstance(listed, list) or len(listed) > MAXIMUM_KEYS:
        raise TokenKeyError(
            f"The key set has no list of at most {MAXIMUM_KEYS} keys. Look at what LYCEUM_JWKS points to."
        )
    found: dict[str, VerificationKey | None] = {}
    for entry in listed:
        key = _read_key(entry) if isinstance(entry, dict) else None
        if key is not None:
            found[key.key_id] = None if key.key_id in found else key
    if not any(found.values()):
        raise TokenKeyError(
            f"The key set holds no key that could verify a token. Expected a public key with a kid for one of "
            f"{', '.join(ALGORITHMS)}."
        )
    return found


def _read_key(entry: dict[str, object]) -> VerificationKey | None:
    if _PRIVATE_MEMBERS & entry.keys() or entry.get("kty") == "oct":
        # Whoever reads such a set can make tokens, so none of its keys proves anything.
        raise TokenKeyError(
            "The key set holds a private or a symmetric key. Expected public keys alone: replace that key at the issuer, "
            "because everybody may have read it."
        )
    key_id, uses = entry.get("kid"), entry.get("key_ops", ["verify"])
    if not is_plain_key_id(key_id) or entry.get("use", "sig") != "sig":
        return None
    if not isinstance(uses, list) or "verify" not in uses:
        return None
    usable = {name: key for name in _algorithms_of(entry) if (key := _bind(entry, name)) is not None}
    return VerificationKey(key_id, usable) if usable else None


def _algorithms_of(entry: dict[str, object]) -> tuple[Algorithm, ...]:
    kinds: dict[tuple[object, object], tuple[Algorithm, ...]] = {
        ("RSA", None): ("RS256", "PS256"),
        ("EC", "P-256"): ("ES256",),
        ("OKP", "Ed25519"): ("EdDSA",),
    }
    kind, curve = entry.get("kty"), entry.get("crv")
    if not isinstance(kind, str) or not isinstance(curve, str | None):
        return ()
    declared = entry.get("alg")
    return tuple(name for name in kinds.get((kind, curve), ()) if declared is None or declared == name)


def _bind(entry: dict[str, object], algorithm: Algorithm) -> jwt.PyJWK | None:
    try:
        key = jwt.PyJWK(entry, algorithm)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    if isinstance(key.key, RSAPublicKey) and (key.key.key_size not in _RSA_BITS or key.key.public_numbers().e < 65537):
        return None
    return key


def key_for(key: VerificationKey | None, algorithm: Algorithm) -> jwt.PyJWK:
    """Return the key bound to an algorithm. Raises `TokenError` (`unusable_key`) when it is not for that one."""
    bound = key.by_algorithm.get(algorithm) if key is not None else None
    if bound is None:
        raise TokenError(
            Refusal.UNUSABLE_KEY, "The token's key is not for the token's algorithm, or its id stands for two keys."
        )
    return bound
