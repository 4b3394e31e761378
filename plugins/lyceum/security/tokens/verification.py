"""Verifying the JSON Web Tokens (RFC 7519) that people and systems present: best current practice (RFC 8725) without options.

PyJWT verifies the signature with a key that was bound to its algorithm when the key set was read; what the token says is
believed after that, and only in exactly the types that are expected.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import jwt

from lyceum.security.tokens.claims import MAXIMUM_SCOPES, ROLES, ROLES_OF_PEOPLE, SCOPE, Role, is_mark
from lyceum.security.tokens.errors import Refusal, TokenError
from lyceum.security.tokens.internal import Clock
from lyceum.security.tokens.issuer_keys import IssuerKeys
from lyceum.security.tokens.key_set import is_plain_key_id, key_for
from lyceum.security.tokens.strict_json import parse_object
from lyceum.token_settings import ALGORITHMS, Algorithm, IssuerSettings

MAXIMUM_CHARACTERS = 8192
_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]*)", re.ASCII)
_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}", re.ASCII)
_ID = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
_LARGEST_ID = 2**63 - 1
_KEYS_IN_HEADERS = frozenset({"jku", "jwk", "x5u", "x5c"})
_TYPES = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})
# The last second of the year 9999: later ones are no dates.
_LATEST = 253_402_300_799
_MAXIMUM_AUDIENCES = 16
_MAXIMUM_SUBJECT = 255


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """What a verified token says, not yet looked up in a warehouse. Exactly one of `slug` and `organization_id` is set.

    `token_id` is the token's `jti` where that is plain, else the beginning of a hash of the token.
    """

    subject: str = field(repr=False)
    role: Role
    slug: str | None
    organization_id: int | None
    user_id: int | None
    scopes: tuple[str, ...]
    token_id: str
    expires_at: datetime


def verify(token: str, issuer: IssuerSettings, keys: IssuerKeys, clock: Clock) -> AccessClaims:
    """Return what a token says, if the issuer signed it for us and it is valid now.

    Raises `TokenError` with the reason; `IssuerUnavailableError` when the keys cannot be had, so nothing can be said.
    """
    at = clock()
    header, algorithm = _read_header(token, issuer)
    key_id = header.get("kid")
    if not is_plain_key_id(key_id):
        raise TokenError(
            Refusal.KEY_ID, "The token names no key, or not by a plain name. Expected a kid of the issuer."
        )
    key = key_for(keys.find(key_id, at), algorithm)
    try:
        payload = jwt.PyJWS(algorithms=[algorithm]).decode(token, key, [algorithm])
    except jwt.InvalidAlgorithmError:
        raise TokenError(Refusal.ALGORITHM, "The token's algorithm is not its key's.") from None
    except jwt.PyJWTError:
        raise TokenError(Refusal.SIGNATURE, "The token's signature is not its issuer's.") from None
    claims = parse_object(payload, "The token's content")
    _require_for_us(claims, issuer)
    expires_at = _require_now(claims, issuer, at)
    return _who(claims, issuer, token, expires_at)


def _read_header(token: str, issuer: IssuerSettings) -> tuple[dict[str, object], Algorithm]:
    if not isinstance(token, str) or len(token) > MAXIMUM_CHARACTERS:
        raise TokenError(Refusal.TOO_LONG, f"The token is too long. Expected at most {MAXIMUM_CHARACTERS} characters.")
    match = _COMPACT.fullmatch(token)
    if match is None:
        raise TokenError(Refusal.MALFORMED, "This is no token. Expected three parts in base64url, separated by dots.")
    try:
        header = parse_object(base64.urlsafe_b64decode(match[1] + "=" * (-len(match[1]) % 4)), "The token's header")
    except binascii.Error:
        raise TokenError(Refusal.MALFORMED, "The token's header is no base64url.") from None
    algorithm = next((name for name in issuer.algorithms if name == header.get("alg")), None)
    if algorithm is None or algorithm not in ALGORITHMS:
        raise TokenError(
            Refusal.ALGORITHM, f"The token's algorithm is not accepted. Expected one of {', '.join(issuer.algorithms)}."
        )
    if "crit" in header or "b64" in header:
        raise TokenError(Refusal.CRITICAL_HEADER, "The token demands an extension. Expected none.")
    if _KEYS_IN_HEADERS & header.keys():
        raise TokenError(
            Refusal.KEY_IN_HEADER, "The token brings a key along or says where one is. Expected a kid alone."
        )
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower() not in _TYPES or "cty" in header:
        raise TokenError(Refusal.TOKEN_TYPE, "The token is of another type. Expected JWT or at+jwt, not nested.")
    return header, algorithm


def _require_for_us(claims: dict[str, object], issuer: IssuerSettings) -> None:
    for name in ("iss", "aud", "exp", "sub", *issuer.required_times):
        if name not in claims:
            raise TokenError(Refusal.MISSING_CLAIM, f"The token has no {name}. Expected iss, aud, exp, sub and a time.")
    if not isinstance(claims["iss"], str):
        raise TokenError(Refusal.CLAIM_TYPE, "The token's iss is no text.")
    if claims["iss"] != issuer.issuer:
        raise TokenError(Refusal.ISSUER, "The token is another issuer's.")
    audience = claims["aud"]
    listed = [audience] if isinstance(audience, str) else audience
    if (
        not isinstance(listed, list)
        or len(listed) > _MAXIMUM_AUDIENCES
        or not all(isinstance(one, str) for one in listed)
    ):
        raise TokenError(Refusal.CLAIM_TYPE, f"The token's aud is no text and no list of at most {_MAXIMUM_AUDIENCES}.")
    if issuer.audience not in listed:
        raise TokenError(Refusal.AUDIENCE, "The token is for another audience.")


def _require_now(claims: dict[str, object], issuer: IssuerSettings, at: datetime) -> datetime:
    """Return when the token expires."""
    times = {name: _time(claims[name], name) for name in ("exp", "nbf", "iat") if name in claims}
    expires_at = times.pop("exp")
    if expires_at <= at - issuer.leeway:
        raise TokenError(Refusal.EXPIRED, "The token has expired. Ask for a new one.")
    if any(begins_at > at + issuer.leeway for begins_at in times.values()):
        raise TokenError(
            Refusal.NOT_YET_VALID, "The token is not valid yet. Look at the clocks of issuer and warehouse."
        )
    if not timedelta(0) < expires_at - min(times.values()) <= issuer.longest_lifetime:
        raise TokenError(
            Refusal.LIFETIME,
            f"The token is valid for longer than {issuer.longest_lifetime.total_seconds():.0f} seconds, or not at all. "
            "Have the issuer make shorter ones, or set LYCEUM_JWT_LONGEST_LIFETIME.",
        )
    return expires_at


def _time(value: object, name: str) -> datetime:
    if type(value) is not int or not 0 < value <= _LATEST:
        raise TokenError(Refusal.CLAIM_TYPE, f"The token's {name} is no time. Expected whole seconds since 1970.")
    return datetime.fromtimestamp(value, UTC)


def _who(claims: dict[str, object], issuer: IssuerSettings, token: str, expires_at: datetime) -> AccessClaims:
    names = issuer.claims
    subject = claims["sub"]
    if not isinstance(subject, str) or not 0 < len(subject) <= _MAXIMUM_SUBJECT or not subject.isprintable():
        raise TokenError(
            Refusal.CLAIM_TYPE, f"The token's sub is no text of 1 to {_MAXIMUM_SUBJECT} printable characters."
        )
    role = next((known for known in ROLES if known == claims.get(names.role)), None)
    if role is None:
        raise TokenError(Refusal.ROLE, f"The token names no role of the warehouse. Expected one of {', '.join(ROLES)}.")
    slug, organization_id = _organization(claims.get(names.organization), is_id=names.organization_is_id)
    user_id = None
    if names.user in claims:
        user_id = _id(claims[names.user])
        if user_id is None:
            raise TokenError(Refusal.USER, "The token's user is no id. Expected a text of digits.")
    elif role in ROLES_OF_PEOPLE:
        raise TokenError(Refusal.USER, f"The token of role {role} names no user. Expected the user's id as a text.")
    token_id = claims.get("jti")
    if not isinstance(token_id, str | None):
        raise TokenError(Refusal.CLAIM_TYPE, "The token's jti is no text.")
    return AccessClaims(
        subject=subject,
        role=role,
        slug=slug,
        organization_id=organization_id,
        user_id=user_id,
        scopes=_scopes(claims.get(names.scopes, "")),
        token_id=token_id if is_mark(token_id) else hashlib.sha256(token.encode()).hexdigest()[:32],
        expires_at=expires_at,
    )


def _organization(value: object, *, is_id: bool) -> tuple[str | None, int | None]:
    if is_id and (organization_id := _id(value)) is not None:
        return None, organization_id
    if not is_id and isinstance(value, str) and _SLUG.fullmatch(value):
        return value, None
    raise TokenError(
        Refusal.ORGANIZATION,
        f"The token names no organization. Expected its {'id as a text of digits' if is_id else 'slug'}, as one text.",
    )


def _id(value: object) -> int | None:
    if isinstance(value, str) and _ID.fullmatch(value) and int(value) <= _LARGEST_ID:
        return int(value)
    return None


def _scopes(value: object) -> tuple[str, ...]:
    listed: object = value
    if isinstance(value, str):
        listed = value.split(" ") if value else []
    if not isinstance(listed, list) or len(listed) > MAXIMUM_SCOPES:
        raise TokenError(Refusal.SCOPE, f"The token's scopes are no text and no list of at most {MAXIMUM_SCOPES}.")
    if not all(isinstance(scope, str) and SCOPE.fullmatch(scope) for scope in listed):
        raise TokenError(
            Refusal.SCOPE,
            "A scope of the token is no name. Expected at most 64 lower-case letters, digits and _ . : - that begin with a "
            "letter.",
        )
    return tuple(dict.fromkeys(listed))
