"""Real databases for tests: one server a test run, one fresh database a test.

The first test that wants a database starts an embedded server in a temporary home and migrates a template; every test gets
a copy of it. Workers of pytest-xdist share both. `server_guard.py` stops the server and removes the home as soon as the
process that began the run is gone, however it ended.

LYCEUM_TEST_DATABASE_URL runs the tests on a PostgreSQL of one's own instead, whose account may create databases and roles.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

from psycopg import sql

from lyceum import database
from lyceum.analytics.models import ensure_models_prepared
from lyceum.database import Connection, ConnectionTarget
from lyceum.settings import Settings

# Nothing of a test run has to survive a crash of the machine. Without autovacuum no process but ours ever uses a template.
SERVER_OPTIONS = (
    ("fsync", "off"),
    ("full_page_writes", "off"),
    ("synchronous_commit", "off"),
    ("autovacuum", "off"),
    ("shared_buffers", "128MB"),
)


@dataclass(frozen=True, slots=True)
class Warehouse:
    """A database of one test, its home included: nothing that the test writes is seen by another.

    `settings` name the shared server as an external one, so `database.target(settings)` and child processes that get
    `settings.environment()` find it. `target` is that of the pipeline's login, with which all that collects and builds is
    tested; `administrator` may do everything.
    """

    settings: Settings
    target: ConnectionTarget
    administrator: ConnectionTarget

    def connect(self, *, autocommit: bool = False) -> Connection:
        """Connect as the administrator."""
        return database.connect(self.administrator, autocommit=autocommit, application_name="lyceum test")


@dataclass(frozen=True, slots=True)
class SharedServer:
    """The server of a test run. `home` is known from the beginning; nothing runs in it before `start`."""

    home: Path
    database_url: str | None = None

    @property
    def settings(self) -> Settings:
        """Settings of the server itself, whose warehouse is the template."""
        return Settings(
            home=self.home,
            database_url=self.database_url,
            warehouse_database=f"{self._prefix}_template",
            airflow_database=f"{self._prefix}_airflow",
            server_options=SERVER_OPTIONS,
        )

    @property
    def _prefix(self) -> str:
        return self.home.name.replace("-", "_").lower()

    def new_home(self) -> Path:
        """Return the path of a further home, in which a test may start a server of its own: the guard looks there too."""
        return self.home / "homes" / uuid4().hex[:12] / "home"

    def start(self) -> ConnectionTarget:
        """Start the server unless another worker has; return it with the database that every server has."""
        settings = self.settings
        if settings.database_url is None:
            return database.EmbeddedServer(settings).ensure_started().with_database("postgres")
        return database.administrator_target(settings).with_database("postgres")

    def make_template(self) -> ConnectionTarget:
        """Migrate the template, models included, unless another worker has; return its target."""
        server = self.start()
        settings = self.settings
        unfinished = replace(settings, warehouse_database=f"{self._prefix}_unfinished")
        with (self.home / "template.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with database.connect(server, autocommit=True) as connection:
                if not _exists(connection, settings.warehouse_database):
                    target = database.ensure_available(unfinished)
                    database.migrate(target, unfinished)
                    ensure_models_prepared(self.pipeline(target), unfinished)
                    rename = sql.SQL("alter database {} rename to {}")
                    connection.execute(
                        rename.format(sql.Identifier(target.dbname), sql.Identifier(settings.warehouse_database))
                    )
        return server.with_database(settings.warehouse_database)

    def pipeline(self, administrator: ConnectionTarget) -> ConnectionTarget:
        """Return the target of the pipeline's login; on a server of one's own the administrator's, whose passwords are not ours."""
        if self.database_url is not None:
            return administrator
        return database.login_target(administrator, self.settings, database.Login.PIPELINE)

    @contextmanager
    def database(self, home: Path, template: ConnectionTarget, *, is_empty: bool = False) -> Iterator[Warehouse]:
        """Lend a fresh copy of the template, or a database with nothing in it, and drop it afterwards.

        For an empty one any target on the server will do.
        """
        name = f"{self._prefix}_{uuid4().hex[:12]}"
        administrator = self.start().with_database(name)
        target = administrator if is_empty else self.pipeline(administrator)
        source = sql.Identifier("template0" if is_empty else template.dbname)
        with database.connect(self.start(), autocommit=True) as connection:
            connection.execute(sql.SQL("create database {} template {}").format(sql.Identifier(name), source))
            try:
                yield Warehouse(
                    Settings(
                        home=home,
                        database_url=administrator.url(),
                        pipeline_database_url=None if is_empty else target.url(),
                        warehouse_database=name,
                        airflow_database=self.settings.airflow_database,
                    ),
                    target,
                    administrator,
                )
            finally:
                for database_name in (name, f"{name}_keys"):
                    connection.execute(
                        sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(database_name))
                    )


@dataclass(frozen=True, slots=True)
class TestRun:
    """The process that began a test run: it owns the shared home, and the guard watches over it."""

    __test__ = False

    server: SharedServer
    guard: subprocess.Popen[bytes]

    def end(self) -> None:
        """Let the guard clean up, and wait for it. Closing its input is all that happens when this process is killed, too."""
        assert self.guard.stdin is not None
        self.guard.stdin.close()
        self.guard.wait()


def begin_test_run(environ: Mapping[str, str]) -> TestRun:
    """Make the home of a test run and set the guard over it. Starts no server."""
    home = Path(tempfile.mkdtemp(prefix="lyceum-tests-"))
    # Under root the server is another account's, which may pass through here and read nothing.
    home.chmod(0o711)
    # The guard is a session of its own: an interrupt from the terminal ends the tests, never the guard.
    guard = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("server_guard.py")), str(home)],
        stdin=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, "LYCEUM_TEST_DATABASE_URL": environ.get("LYCEUM_TEST_DATABASE_URL", "")},
    )
    return TestRun(SharedServer(home, environ.get("LYCEUM_TEST_DATABASE_URL") or None), guard)


def _exists(connection: Connection, name: str) -> bool:
    return connection.execute("select 1 from pg_database where datname = %s", [name]).fetchone() is not None
