"""Where the keys of people are kept and what wraps them: the part of the settings that is about encryption at rest."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from lyceum.errors import ConfigurationError
from lyceum.key_files import KEY_BYTES

ProviderName = Literal["file", "environment", "transit"]

_PROVIDERS: dict[str, ProviderName] = {"file": "file", "environment": "environment", "transit": "transit"}
_VARIABLE = re.compile(r"LYCEUM_ENCRYPTION_KEY_([1-9][0-9]{0,8})")
_KEY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_DATABASE_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")


@dataclass(frozen=True, slots=True)
class TransitSettings:
    """A key service that speaks HashiCorp Vault's transit protocol: the engine's address, the key's name and the token."""

    address: str
    key_name: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeySettings:
    """Which provider wraps new data keys, and what the others need to unwrap old ones.

    `database_url` names another server for the key database than the warehouse's. `environment_keys` are
    (version, 32 bytes) in the order of their versions.
    """

    provider: ProviderName = "file"
    database_url: str | None = field(default=None, repr=False)
    environment_keys: tuple[tuple[int, bytes], ...] = field(default=(), repr=False)
    transit: TransitSettings | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> KeySettings:
        """Read the settings from variables; an empty variable counts as unset.

        LYCEUM_KEYS_DATABASE_URL: the key database on a server, or under an account, of its own.
        LYCEUM_KEY_PROVIDER: `file` (default), `environment` or `transit`.
        LYCEUM_ENCRYPTION_KEY_1, _2, …: 32 random bytes in base64; the highest number wraps new keys.
        LYCEUM_TRANSIT_URL: the address of a transit engine, such as https://vault.example:8200/v1/transit;
        LYCEUM_TRANSIT_KEY: the key's name there, default `lyceum`; LYCEUM_TRANSIT_TOKEN: the token.

        Raises `ConfigurationError` when a value cannot be used. No message quotes a key, a token or a URL.
        """
        name = environ.get("LYCEUM_KEY_PROVIDER") or "file"
        if name not in _PROVIDERS:
            raise ConfigurationError(
                f"LYCEUM_KEY_PROVIDER is {name!r}. Expected one of {', '.join(_PROVIDERS)}; unset it for keys in files."
            )
        settings = cls(
            provider=_PROVIDERS[name],
            database_url=_database_url(environ.get("LYCEUM_KEYS_DATABASE_URL")),
            environment_keys=_environment_keys(environ),
            transit=_transit(environ),
        )
        if settings.provider == "environment" and not settings.environment_keys:
            raise ConfigurationError(
                "LYCEUM_KEY_PROVIDER is environment, and there is no LYCEUM_ENCRYPTION_KEY_1. Set it to 32 random bytes "
                "in base64: openssl rand -base64 32"
            )
        if settings.provider == "transit" and settings.transit is None:
            raise ConfigurationError(
                "LYCEUM_KEY_PROVIDER is transit, and LYCEUM_TRANSIT_URL is not set. Set it to the engine's address, such as "
                "https://vault.example:8200/v1/transit, and LYCEUM_TRANSIT_TOKEN to its token."
            )
        return settings

    def environment(self) -> dict[str, str]:
        """Return the variables from which a child process reads these same settings. Holds secrets."""
        variables = {
            "LYCEUM_KEY_PROVIDER": self.provider if self.provider != "file" else "",
            "LYCEUM_KEYS_DATABASE_URL": self.database_url or "",
        }
        for version, key in self.environment_keys:
            variables[f"LYCEUM_ENCRYPTION_KEY_{version}"] = base64.b64encode(key).decode()
        if self.transit is not None:
            variables["LYCEUM_TRANSIT_URL"] = self.transit.address
            variables["LYCEUM_TRANSIT_KEY"] = self.transit.key_name
            variables["LYCEUM_TRANSIT_TOKEN"] = self.transit.token
        return variables


def _database_url(value: str | None) -> str | None:
    if not value:
        return None
    name = urlsplit(value).path.strip("/")
    if value.startswith(("postgresql://", "postgres://")) and _DATABASE_NAME.fullmatch(name):
        return value
    raise ConfigurationError(
        "LYCEUM_KEYS_DATABASE_URL names no database. Expected a URL such as "
        "postgresql://user:password@host:5432/lyceum_keys; unset it to keep the keys beside the warehouse."
    )


def _environment_keys(environ: Mapping[str, str]) -> tuple[tuple[int, bytes], ...]:
    found: dict[int, bytes] = {}
    for variable, value in environ.items():
        match = _VARIABLE.fullmatch(variable)
        if match is None or not value:
            continue
        try:
            key = base64.b64decode(value, validate=True)
        except binascii.Error:
            key = b""
        if len(key) != KEY_BYTES:
            raise ConfigurationError(
                f"{variable} is not {KEY_BYTES} bytes in base64. Make one: openssl rand -base64 {KEY_BYTES}"
            )
        found[int(match[1])] = key
    return tuple(sorted(found.items()))


def _transit(environ: Mapping[str, str]) -> TransitSettings | None:
    address = environ.get("LYCEUM_TRANSIT_URL")
    if not address:
        return None
    parts = urlsplit(address)
    host = parts.hostname or ""
    is_plain = parts.scheme == "http"
    if parts.scheme not in ("https", "http") or not host or parts.query or parts.fragment or parts.username:
        raise ConfigurationError(
            "LYCEUM_TRANSIT_URL is no address of a transit engine. Expected one such as https://vault.example:8200/v1/transit."
        )
    if is_plain and host not in _LOOPBACK:
        raise ConfigurationError(
            "LYCEUM_TRANSIT_URL is not encrypted: keys would travel in the clear. Expected https:// for every host but loopback."
        )
    name = environ.get("LYCEUM_TRANSIT_KEY") or "lyceum"
    if not _KEY_NAME.fullmatch(name):
        raise ConfigurationError(
            "LYCEUM_TRANSIT_KEY is no name of a key. Expected letters, digits, dots, dashes and underscores."
        )
    token = environ.get("LYCEUM_TRANSIT_TOKEN")
    if not token or not token.isascii() or not token.isprintable():
        raise ConfigurationError("LYCEUM_TRANSIT_TOKEN is unset or no token. Set it to the transit engine's token.")
    return TransitSettings(address.rstrip("/"), name, token)
