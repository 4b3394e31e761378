"""Whose tokens are accepted: the part of the settings that is about the issuer of JSON Web Tokens."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal, TypeAlias, get_args
from urllib.parse import urlsplit

from lyceum.errors import ConfigurationError

Algorithm: TypeAlias = Literal["RS256", "PS256", "ES256", "EdDSA"]
ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)
"""Asymmetric algorithms alone: whoever verifies a token must not be able to make one."""

_ALGORITHMS_BY_NAME: dict[str, Algorithm] = {name: name for name in ALGORITHMS}
_VARIABLES = ("LYCEUM_JWT_ISSUER", "LYCEUM_JWT_AUDIENCE", "LYCEUM_JWKS")
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_CLAIM_NAME = re.compile(r"[!-~]{1,200}", re.ASCII)
_RESERVED = frozenset({"iss", "aud", "exp", "nbf", "iat", "jti"})
_SHORTEST, _LONGEST = timedelta(minutes=1), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ClaimNames:
    """In which claims an issuer says who somebody is. The organization is named by its slug, or by its id if so declared."""

    role: str = "role"
    organization: str = "organization"
    user: str = "user"
    scopes: str = "scope"
    organization_is_id: bool = False


@dataclass(frozen=True, slots=True)
class IssuerSettings:
    """An issuer of tokens. `jwks` is the address (https, or http on loopback) or the path of its key set.

    `required_times` are claims that a token must have beside `exp`: `iat`, `nbf` or both. A token may be valid for
    `longest_lifetime`, and clocks may differ by `leeway`.
    """

    issuer: str
    audience: str
    jwks: str
    algorithms: tuple[Algorithm, ...] = ALGORITHMS
    claims: ClaimNames = ClaimNames()
    required_times: tuple[str, ...] = ("iat",)
    longest_lifetime: timedelta = timedelta(hours=1)
    leeway: timedelta = timedelta(seconds=10)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], cwd: Path) -> IssuerSettings | None:
        """Read the settings from variables; an empty variable counts as unset. Return None when no issuer is named.

        LYCEUM_JWT_ISSUER, LYCEUM_JWT_AUDIENCE: what `iss` and `aud` must say, to the letter.
        LYCEUM_JWKS: the issuer's key set, as https://… (http:// on loopback alone) or as a path.
        LYCEUM_JWT_ALGORITHMS: names separated by spaces, default all of `ALGORITHMS`.
        LYCEUM_JWT_CLAIMS: `field=claim` separated by spaces; the fields are role, organization (a slug) or organization_id,
        user and scopes. LYCEUM_JWT_TIMES: `iat` (default), `nbf`, or both.
        LYCEUM_JWT_LONGEST_LIFETIME: seconds, default 3600, at most a day.

        Raises `ConfigurationError` when a value cannot be used, or when only some of the first three are set.
        """
        present = [variable for variable in _VARIABLES if environ.get(variable)]
        if not present:
            return None
        absent = [variable for variable in _VARIABLES if variable not in present]
        if absent:
            raise ConfigurationError(
                f"{' and '.join(absent)} must be set where {present[0]} is: a token is accepted by issuer, audience and key "
                "together. Set all three, or none to accept development tokens."
            )
        return cls(
            issuer=_text(environ, "LYCEUM_JWT_ISSUER"),
            audience=_text(environ, "LYCEUM_JWT_AUDIENCE"),
            jwks=_key_set(environ["LYCEUM_JWKS"], cwd),
            algorithms=_algorithms(environ.get("LYCEUM_JWT_ALGORITHMS", "")),
            claims=_claim_names(environ.get("LYCEUM_JWT_CLAIMS", "")),
            required_times=_times(environ.get("LYCEUM_JWT_TIMES", "")),
            longest_lifetime=_lifetime(environ.get("LYCEUM_JWT_LONGEST_LIFETIME", "")),
        )

    def environment(self) -> dict[str, str]:
        """Return the variables from which a child process reads these same settings."""
        names = self.claims
        organization = "organization_id" if names.organization_is_id else "organization"
        return {
            "LYCEUM_JWT_ISSUER": self.issuer,
            "LYCEUM_JWT_AUDIENCE": self.audience,
            "LYCEUM_JWKS": self.jwks,
            "LYCEUM_JWT_ALGORITHMS": " ".join(self.algorithms),
            "LYCEUM_JWT_CLAIMS": (
                f"role={names.role} {organization}={names.organization} user={names.user} scopes={names.scopes}"
            ),
            "LYCEUM_JWT_TIMES": " ".join(self.required_times),
            "LYCEUM_JWT_LONGEST_LIFETIME": str(int(self.longest_lifetime.total_seconds())),
        }


def is_address(jwks: str) -> bool:
    """Return whether a key set is fetched rather than read."""
    return "://" in jwks


def _text(environ: Mapping[str, str], variable: str) -> str:
    value = environ[variable]
    if len(value) > 500 or not value.isascii() or not value.isprintable() or value != value.strip():
        raise ConfigurationError(
            f"{variable} is no name that a token could hold. Expected at most 500 ASCII characters."
        )
    return value


def _key_set(value: str, cwd: Path) -> str:
    if not is_address(value):
        return str((cwd / Path(value).expanduser()).absolute())
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        parts, host = urlsplit(""), ""
    if parts.scheme not in ("https", "http") or not host or parts.username or parts.password or parts.fragment:
        raise ConfigurationError(
            "LYCEUM_JWKS is no address of a key set. Expected one such as https://login.example/.well-known/jwks.json, "
            "without an account in it, or a path."
        )
    if parts.scheme == "http" and host not in _LOOPBACK:
        raise ConfigurationError(
            "LYCEUM_JWKS is not encrypted: whoever sits in between could put in a key. Expected https:// for every host but "
            "loopback."
        )
    return value


def _algorithms(value: str) -> tuple[Algorithm, ...]:
    names = list(dict.fromkeys(value.split()))
    if any(name not in _ALGORITHMS_BY_NAME for name in names):
        raise ConfigurationError(
            f"LYCEUM_JWT_ALGORITHMS is {value!r}. Expected some of {' '.join(ALGORITHMS)}: nothing symmetric, and no none."
        )
    return tuple(_ALGORITHMS_BY_NAME[name] for name in names) or ALGORITHMS


def _claim_names(value: str) -> ClaimNames:
    fields = ("role", "organization", "organization_id", "user", "scopes")
    found: dict[str, str] = {}
    for word in value.split():
        field, _, claim = word.partition("=")
        if field not in fields or field in found or not _CLAIM_NAME.fullmatch(claim) or claim in _RESERVED:
            raise ConfigurationError(
                f"LYCEUM_JWT_CLAIMS holds {word!r}. Expected field=claim, each field once, with one of {', '.join(fields)}, and "
                "a claim that has no meaning of its own."
            )
        found[field] = claim
    if "organization" in found and "organization_id" in found:
        raise ConfigurationError(
            "LYCEUM_JWT_CLAIMS names both organization and organization_id. Name the one that the issuer's tokens hold."
        )
    defaults = ClaimNames()
    return ClaimNames(
        role=found.get("role", defaults.role),
        organization=found.get("organization_id", found.get("organization", defaults.organization)),
        user=found.get("user", defaults.user),
        scopes=found.get("scopes", defaults.scopes),
        organization_is_id="organization_id" in found,
    )


def _times(value: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(value.split())) or ("iat",)
    if any(name not in ("iat", "nbf") for name in names):
        raise ConfigurationError(f"LYCEUM_JWT_TIMES is {value!r}. Expected iat, nbf, or both.")
    return names


def _lifetime(value: str) -> timedelta:
    if not value:
        return timedelta(hours=1)
    seconds = int(value) if re.fullmatch("[0-9]{1,6}", value, re.ASCII) else 0
    if not _SHORTEST <= timedelta(seconds=seconds) <= _LONGEST:
        raise ConfigurationError(
            f"LYCEUM_JWT_LONGEST_LIFETIME is {value!r}. Expected seconds, from {_SHORTEST.total_seconds():.0f} to "
            f"{_LONGEST.total_seconds():.0f}."
        )
    return timedelta(seconds=seconds)
