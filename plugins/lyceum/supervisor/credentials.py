"""Secrets that Airflow needs, made once per home and readable by its owner alone."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from lyceum.database import ConnectionTarget
from lyceum.errors import ConfigurationError
from lyceum.settings import Settings

ADMINISTRATOR = "admin"


@dataclass(frozen=True, slots=True)
class AirflowCredentials:
    """The files that Airflow reads its secrets from, and the administrator's password."""

    passwords: Path
    fernet_key: Path
    jwt_secret: Path
    session_secret: Path
    database_url: Path
    administrator_password: str = field(repr=False)


def ensure_credentials(settings: Settings, target: ConnectionTarget) -> AirflowCredentials:
    """Make the secrets that are absent and return where they are. The database's URL is written anew when it changed."""
    passwords = _ensure(
        settings.secrets / "airflow_passwords.json",
        lambda: json.dumps({ADMINISTRATOR: secrets.token_urlsafe(15)}) + "\n",
    )
    database_url = settings.secrets / "airflow_database_url"
    url = target.sqlalchemy_url("psycopg", settings.airflow_database)
    if _ensure(database_url, lambda: url).read_text() != url:
        _write(database_url, url)
    return AirflowCredentials(
        passwords=passwords,
        fernet_key=_ensure(
            settings.secrets / "airflow_fernet_key", lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        ),
        jwt_secret=_ensure(settings.secrets / "airflow_jwt_secret", lambda: secrets.token_hex(64)),
        session_secret=_ensure(settings.secrets / "airflow_session_secret", lambda: secrets.token_hex(64)),
        database_url=database_url,
        administrator_password=administrator_password(settings),
    )


def administrator_password(settings: Settings) -> str:
    """Return the password of Airflow's administrator.

    Raises `ConfigurationError` when the home has none, or its file was damaged.
    """
    path = settings.secrets / "airflow_passwords.json"
    try:
        password = json.loads(path.read_text())[ADMINISTRATOR]
    except FileNotFoundError:
        raise ConfigurationError(
            f"{path} does not exist: Airflow was never started in this home. Run `lyceum up`."
        ) from None
    except (ValueError, KeyError, TypeError):
        password = None
    if not isinstance(password, str) or not password:
        raise ConfigurationError(
            f'{path} is not {{"{ADMINISTRATOR}": "<password>"}}. Delete it and run `lyceum down` and `lyceum up`: '
            "a new password is made."
        )
    return password


def _ensure(path: Path, make: Callable[[], str]) -> Path:
    if not path.exists():
        _write(path, make(), exclusive=True)
    return path


def _write(path: Path, content: str, *, exclusive: bool = False) -> None:
    """Write the file whole or not at all; mkstemp makes it 0600. With `exclusive` the first of two writers wins."""
    descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(content)
        if exclusive:
            with contextlib.suppress(FileExistsError):
                os.link(partial, path)
        else:
            Path(partial).replace(path)
    finally:
        Path(partial).unlink(missing_ok=True)
