"""Airflow's secrets are made once, belong to the owner of the home alone, and are never shown by accident."""

from __future__ import annotations

import base64
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from lyceum.database import ConnectionTarget
from lyceum.errors import ConfigurationError
from lyceum.settings import Settings
from lyceum.supervisor.credentials import AirflowCredentials, administrator_password, ensure_credentials

TARGET = ConnectionTarget(host="127.0.0.1", port=5432, user="lyceum", dbname="lyceum", password="p%40ss")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = Settings(home=tmp_path)
    made.create_directories()
    return made


def contents(credentials: AirflowCredentials) -> dict[str, str]:
    paths = (
        credentials.passwords,
        credentials.fernet_key,
        credentials.jwt_secret,
        credentials.session_secret,
        credentials.database_url,
    )
    return {path.name: path.read_text() for path in paths}


def test_secrets_are_made_once(settings: Settings) -> None:
    first = contents(ensure_credentials(settings, TARGET))

    assert contents(ensure_credentials(settings, TARGET)) == first
    assert len(set(first.values())) == 5


def test_every_secret_is_readable_by_its_owner_alone(settings: Settings) -> None:
    ensure_credentials(settings, TARGET)

    assert {stat.S_IMODE(path.stat().st_mode) for path in settings.secrets.iterdir()} == {0o600}


def test_the_keys_have_the_sizes_that_airflow_asks_for(settings: Settings) -> None:
    credentials = ensure_credentials(settings, TARGET)

    assert len(base64.urlsafe_b64decode(credentials.fernet_key.read_text())) == 32
    assert len(bytes.fromhex(credentials.jwt_secret.read_text())) == 64


def test_the_database_url_follows_the_server(settings: Settings) -> None:
    ensure_credentials(settings, TARGET)

    moved = ensure_credentials(settings, replace(TARGET, port=6543))

    assert moved.database_url.read_text() == "postgresql+psycopg://lyceum:p%2540ss@127.0.0.1:6543/airflow"


def test_printing_the_credentials_shows_no_password(settings: Settings) -> None:
    credentials = ensure_credentials(settings, TARGET)

    assert credentials.administrator_password not in repr(credentials)


def test_a_damaged_password_file_says_what_to_do(settings: Settings) -> None:
    ensure_credentials(settings, TARGET).passwords.write_text('{"admin": ')

    with pytest.raises(ConfigurationError, match="Delete it and run"):
        administrator_password(settings)
