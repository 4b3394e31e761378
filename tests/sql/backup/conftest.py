"""A server of its own for backups: one a file, because it takes seconds to make; every test restores into a home of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg
import pytest

from lyceum import database
from lyceum.backup import BackupFolder, backup_folder
from lyceum.database import ConnectionTarget, EmbeddedServer
from lyceum.security.tokens.signing_keys import ensure_signing_key
from lyceum.settings import Settings
from lyceum.vault import ensure_key_database
from warehouse import SERVER_OPTIONS, SharedServer


@dataclass(frozen=True, slots=True)
class Home:
    """A migrated home with a server of its own. Rows of its tests are numbers in a table beside the warehouse."""

    settings: Settings
    shared: SharedServer

    @property
    def server(self) -> EmbeddedServer:
        return EmbeddedServer(self.settings)

    @property
    def folder(self) -> BackupFolder:
        return backup_folder(self.settings)

    def administrator(self) -> ConnectionTarget:
        return self.server.target()

    def connect(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self.administrator().conninfo("postgres"), autocommit=True)

    def insert(self, *numbers: int) -> datetime:
        """Commit each number, and return an instant after all of them and before whatever comes next."""
        with self.connect() as connection:
            connection.execute("create table if not exists numbers (number integer primary key)")
            for number in numbers:
                connection.execute("insert into numbers values (%s)", [number])
            row = connection.execute("select clock_timestamp()").fetchone()
        assert row is not None
        assert isinstance(row[0], datetime)
        return row[0]

    def new_home(self) -> Path:
        """Return where a restore may go: the guard of the test run looks there too."""
        return self.shared.new_home()


def numbers_in(settings: Settings) -> list[int]:
    """Start a restored home, read its numbers, and stop it."""
    server = EmbeddedServer(settings)
    target = server.ensure_started()
    try:
        with psycopg.connect(target.conninfo("postgres")) as connection:
            return [int(number) for (number,) in connection.execute("select number from numbers order by number")]
    finally:
        server.stop()


def restored_settings(home: Home, place: Path) -> Settings:
    return Settings(home=place, server_options=home.settings.server_options)


@pytest.fixture(scope="module")
def home(shared_server: SharedServer) -> Iterator[Home]:
    """A home with a migrated warehouse; what its tests write stays for the next one of the file."""
    options = tuple((name, "on" if name == "synchronous_commit" else value) for name, value in SERVER_OPTIONS)
    settings = Settings(home=shared_server.new_home(), server_options=options)
    administrator = database.ensure_available(settings)
    database.migrate(administrator, settings)
    ensure_key_database(settings)
    ensure_signing_key(administrator, settings)
    yield Home(settings, shared_server)
    EmbeddedServer(settings).stop(immediately=True)
    shutil.rmtree(settings.home, ignore_errors=True)
