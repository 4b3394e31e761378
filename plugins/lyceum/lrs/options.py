"""How a Learning Record Store is reached and pulled: the options of a source, read, checked and written."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, urlsplit

import msgspec
from msgspec import Meta

from lyceum.errors import ConfigurationError

Authentication = Literal["basic", "oauth2", "none"]

_SECRETS = ("password", "secret", "token", "key", "client_secret", "username", "user", "client_id")
_CREDENTIALS_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")


class LrsOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Options of one Learning Record Store. `read_options` makes them; what it made is valid.

    `endpoint` is the address before `/statements`, without a slash at the end. `credentials` is the name under which
    user and password (Basic) or client id and secret (OAuth 2) are found, never a secret itself. `since`: nothing that was
    stored before is asked for. `overlap_seconds` is how far behind its cursor a pull begins, `settle_seconds` how long
    a store that sends no Consistent-Through may take until a statement can be seen. `lateness_days` is the overlap where a
    store applies since and until to the statements' timestamps. `page_size` is a wish: a store may send fewer. With `history` all that is
    there when the source is first pulled is loaded as history.
    """

    endpoint: str
    authentication: Authentication = "basic"
    credentials: str | None = None
    token_endpoint: str | None = None
    scope: str | None = None
    since: Annotated[datetime, Meta(tz=True)] | None = None
    page_size: Annotated[int, Meta(ge=1, le=10_000)] = 500
    overlap_seconds: Annotated[int, Meta(ge=1, le=2_592_000)] = 60
    settle_seconds: Annotated[int, Meta(ge=0, le=86_400)] = 60
    lateness_days: Annotated[int, Meta(ge=1, le=366)] = 15
    timeout_seconds: Annotated[int, Meta(ge=1, le=600)] = 60
    maximum_page_bytes: Annotated[int, Meta(ge=65_536, le=1_073_741_824)] = 64 * 1024 * 1024
    allow_http: bool = False
    history: bool = False


def read_options(values: Mapping[str, object], place: str) -> LrsOptions:
    """Return the options that the values state. `place` says whose they are, such as `The source campus of harbor-college`.

    Raises `ConfigurationError` for a value that is missing, unknown or cannot be.
    """
    secrets = sorted(set(values) & set(_SECRETS))
    if secrets:
        raise ConfigurationError(
            f"{place} states {', '.join(secrets)}. Secrets are never part of a source: state credentials = NAME, and put "
            "them into the variable LYCEUM_CREDENTIALS_<NAME>, into a file that LYCEUM_CREDENTIALS_<NAME>_FILE names, or into an "
            "Airflow connection of that name."
        )
    try:
        options = msgspec.convert(values, LrsOptions)
    except msgspec.ValidationError as error:
        raise ConfigurationError(
            f"{place} cannot be used: {_lower_first(str(error))}. Expected {', '.join(LrsOptions.__struct_fields__)}, of which "
            "only endpoint is always needed; since is an instant with a zone such as 2026-09-01T00:00:00Z."
        ) from None
    endpoint = _address(options.endpoint, "endpoint", place).removesuffix("/").removesuffix("/statements")
    options = msgspec.structs.replace(options, endpoint=endpoint.rstrip("/"))
    _require_credentials(options, place)
    if options.token_endpoint is not None:
        _address(options.token_endpoint, "token_endpoint", place)
    if options.authentication != "none":
        for name, address in (("endpoint", options.endpoint), ("token_endpoint", options.token_endpoint)):
            _require_privacy(options, name, address, place)
    return options


def write_options(options: LrsOptions) -> dict[str, Any]:
    """Return the options as JSON has them, without those that are as they would be anyway."""
    values: dict[str, Any] = msgspec.to_builtins(options)
    return values


def is_loopback(host: str) -> bool:
    """Return whether the name or address is that of this machine itself."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _address(address: str, name: str, place: str) -> str:
    parts = _split(address)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(
            f"{place} has a {name} that is no address. Expected one such as https://lrs.example.edu/xapi, without /statements."
        )
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(
            f"{place} has a {name} that holds a user or a password. State the address alone, and credentials = NAME."
        )
    if parts.query or parts.fragment:
        raise ConfigurationError(f"{place} has a {name} with '?' or '#'. Expected an address that ends before them.")
    return address


def _split(address: str) -> SplitResult | None:
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _require_credentials(options: LrsOptions, place: str) -> None:
    if options.authentication == "none":
        if options.credentials or options.token_endpoint or options.scope:
            raise ConfigurationError(
                f"{place} states credentials, token_endpoint or scope, but authentication none. State basic or oauth2, or drop them."
            )
        return
    if options.credentials is None:
        raise ConfigurationError(
            f"{place} has authentication {options.authentication} but no credentials. State the name under which they are "
            "found, such as campus_lrs, or authentication none."
        )
    if not _CREDENTIALS_NAME.fullmatch(options.credentials):
        raise ConfigurationError(
            f"{place} names its credentials in a way that no variable can be named. Expected at most 63 letters, digits and "
            "underscores that start with a letter, such as campus_lrs. It is a name, never the secret itself."
        )
    if options.authentication == "oauth2" and options.token_endpoint is None:
        raise ConfigurationError(
            f"{place} has authentication oauth2 but no token_endpoint. State where tokens come from."
        )
    if options.authentication == "basic" and (options.token_endpoint or options.scope):
        raise ConfigurationError(f"{place} states token_endpoint or scope, but authentication basic. State oauth2.")


def _require_privacy(options: LrsOptions, name: str, address: str | None, place: str) -> None:
    if address is None or options.allow_http:
        return
    parts = urlsplit(address)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise ConfigurationError(
            f"{place} would send its credentials to {parts.hostname} unencrypted. Expected https in {name}; on a network that you "
            "trust, state allow_http = true (--allow-http)."
        )


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
