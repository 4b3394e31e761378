"""Credentials of a Learning Record Store: looked up by name when they are needed, kept nowhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from lyceum.errors import ConfigurationError

_VARIABLE = "LYCEUM_CREDENTIALS_"


@dataclass(frozen=True, slots=True)
class Credentials:
    """User and password (Basic), or client id and client secret (OAuth 2). Neither is ever shown."""

    name: str
    user: str = field(repr=False)
    secret: str = field(repr=False)


FindCredentials: TypeAlias = Callable[[str], Credentials]
"""Returns the credentials of this name; raises `ConfigurationError` when there are none."""


def credentials_from(environ: Mapping[str, str]) -> FindCredentials:
    """Return what finds credentials in variables: `LYCEUM_CREDENTIALS_<NAME>` holds `user:secret`,
    `LYCEUM_CREDENTIALS_<NAME>_FILE` the path of a file that does. The name is in capitals there.
    """

    def find(name: str) -> Credentials:
        variable = _VARIABLE + name.upper()
        stated, file = environ.get(variable), environ.get(f"{variable}_FILE")
        if stated:
            return _read(name, stated, f"The variable {variable}")
        if not file:
            raise ConfigurationError(
                f"There are no credentials {name!r}. Set {variable} to user:secret (OAuth 2: client id:client secret), or "
                f"{variable}_FILE to the path of a file that holds it; for tasks, an Airflow connection {name!r} will do."
            )
        try:
            text = Path(file).expanduser().read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise ConfigurationError(
                f"The file that {variable}_FILE names cannot be read: {why}. Expected one line, user:secret."
            ) from None
        return _read(name, text.rstrip("\r\n"), f"The file that {variable}_FILE names")

    return find


def _read(name: str, text: str, place: str) -> Credentials:
    user, colon, secret = text.partition(":")
    if not colon or not user or not secret or "\n" in text:
        raise ConfigurationError(f"{place} does not hold user:secret. Expected one line with a colon between the two.")
    return Credentials(name, user, secret)
