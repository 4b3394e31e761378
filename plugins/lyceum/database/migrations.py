"""Bring a database to the state that the checkout describes.

Four kinds of SQL files, in this order:

- `sql/bootstrap/` makes what belongs to the whole server (roles). Idempotent, run every time.
- `sql/migrations/` is append-only and versioned: each file runs once, by dbmate. A file that changed after it was applied
  is refused, because the database would no longer be what the checkout says.
- `sql/repeatable/` is idempotent (functions, policies, views, grants): a file runs whenever its content changed.
- `sql/handover/` gives what was made to the roles that own it. Idempotent, run every time.

What was applied is in the schema `schema_history`. An advisory lock of the database puts concurrent callers in order.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import subprocess
import sysconfig
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg

from lyceum.database.connection import Connection, connect
from lyceum.database.connection_target import ConnectionTarget
from lyceum.database.logins import provision
from lyceum.errors import ConfigurationError
from lyceum.settings import Settings

_log = logging.getLogger(__name__)

_MIGRATION_NAME = re.compile(r"(\d{14})_[a-z0-9_]+\.sql")
# dbmate wants both; what follows the second is never run by us and may be nothing.
_BLOCKS = re.compile(r"^--\s*migrate:up\b.*^--\s*migrate:down\b", re.MULTILINE | re.DOTALL)
_BOOTSTRAP_ATTEMPTS = 10

# Parameters of a URL that dbmate's driver understands; it would send any other to the server as a setting.
_DBMATE_PARAMETERS = frozenset({"sslrootcert", "sslcert", "sslkey", "connect_timeout"})

_HISTORY = """
create schema if not exists schema_history;
comment on schema schema_history is 'Which SQL files of the checkout this database holds.';
create table if not exists schema_history.migrations (version varchar(128) primary key);
create table if not exists schema_history.files (
    kind text not null,
    name text not null,
    fingerprint text not null,
    applied_at timestamptz not null default clock_timestamp(),
    constraint files_pkey primary key (kind, name),
    constraint files_kind_check check (kind in ('migration', 'repeatable'))
);
"""

_REMEMBER = """
insert into schema_history.files (kind, name, fingerprint)
values (%s, %s, %s)
on conflict (kind, name) do update
set
    fingerprint = excluded.fingerprint,
    applied_at = excluded.applied_at
where files.fingerprint <> excluded.fingerprint
"""


@dataclass(frozen=True, slots=True)
class SqlFile:
    """One file: its name within its folder, its text, and the SHA-256 of the text."""

    name: str
    path: Path
    text: str
    fingerprint: str

    @property
    def version(self) -> str:
        """The fourteen digits that a migration's name begins with."""
        return self.name[:14]


@dataclass(frozen=True, slots=True)
class SqlSources:
    """The SQL files of a checkout, each kind in the order of its names."""

    bootstrap: tuple[SqlFile, ...]
    migrations: tuple[SqlFile, ...]
    repeatable: tuple[SqlFile, ...]
    handover: tuple[SqlFile, ...]


@dataclass(frozen=True, slots=True)
class SchemaHistory:
    """What a database remembers: versions that were applied, and fingerprints by the file's name."""

    versions: frozenset[str]
    migrations: Mapping[str, str]
    repeatable: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class MigrationPlan:
    """Which files are to run. Those of the bootstrap and the handover always are."""

    migrations: tuple[SqlFile, ...]
    repeatable: tuple[SqlFile, ...]

    @property
    def is_empty(self) -> bool:
        """Whether the database already is what the checkout describes."""
        return not self.migrations and not self.repeatable


@dataclass(frozen=True, slots=True)
class MigrationReport:
    """The names of the files that ran, by kind, and how long all of it took."""

    bootstrap: tuple[str, ...]
    migrations: tuple[str, ...]
    repeatable: tuple[str, ...]
    seconds: float


def migrate(target: ConnectionTarget, settings: Settings) -> MigrationReport:
    """Apply what is new in the checkout to the target's database, which exists, as an account that may make roles.

    A second call runs the files of the bootstrap and the handover only. On the embedded server the product's logins get their
    passwords.

    A migration and a repeatable file each are one transaction: after a failure everything before the failing file stays,
    nothing of it does, and the next call goes on there. Raises `ConfigurationError` when a file is wrong.
    """
    started = time.monotonic()
    sources = read_sources(settings)
    with connect(target, autocommit=True, application_name="lyceum migrate") as connection:
        connection.execute("select pg_advisory_lock(hashtextextended('lyceum.migrate', 0))")
        for file in sources.bootstrap:
            _run_shared(connection, file)
        connection.execute(_HISTORY.encode())
        plan = plan_migrations(sources, _read_history(connection))
        if plan.migrations:
            _run_dbmate(target, settings, encrypted=connection.pgconn.ssl_in_use)
        for file in plan.migrations:
            _log.info("Applied migration %s", file.name)
        _remember_migrations(connection, sources.migrations)
        for file in plan.repeatable:
            _run_repeatable(connection, file)
            _log.info("Applied %s", file.name)
        for file in sources.handover:
            _run_shared(connection, file)
    if settings.database_url is None:
        provision(target, settings)
    return MigrationReport(
        bootstrap=tuple(file.name for file in sources.bootstrap),
        migrations=tuple(file.name for file in plan.migrations),
        repeatable=tuple(file.name for file in plan.repeatable),
        seconds=time.monotonic() - started,
    )


def pending_migrations(target: ConnectionTarget, settings: Settings) -> MigrationPlan:
    """Return what `migrate` would run, without changing anything."""
    sources = read_sources(settings)
    with connect(target, application_name="lyceum migrate") as connection:
        return plan_migrations(sources, _read_history(connection))


def read_sources(settings: Settings) -> SqlSources:
    """Read the checkout's SQL files. Raises `ConfigurationError` when a migration's name, version or blocks are wrong."""
    migrations = _read_folder(settings.migrations)
    versions: dict[str, str] = {}
    for file in migrations:
        if not _MIGRATION_NAME.fullmatch(file.name):
            raise ConfigurationError(
                f"{file.path} is no migration's name. Expected fourteen digits (YYYYMMDDHHMMSS), an underscore and "
                "lower-case words, such as 20260301120000_add_badges.sql."
            )
        if file.version in versions:
            raise ConfigurationError(
                f"Two migrations have the version {file.version}: {versions[file.version]} and {file.name}. Give the newer "
                "one a version of its own."
            )
        if not _BLOCKS.search(file.text):
            raise ConfigurationError(
                f"{file.path} lacks a line '-- migrate:up' or, after it, '-- migrate:down'. Put the first before the "
                "statements to apply and the second after them; nothing needs to follow it."
            )
        versions[file.version] = file.name
    return SqlSources(
        _read_folder(settings.bootstrap),
        migrations,
        _read_folder(settings.repeatable),
        _read_folder(settings.handover),
    )


def plan_migrations(sources: SqlSources, history: SchemaHistory) -> MigrationPlan:
    """Decide what is to run on a database with this history.

    Raises `ConfigurationError` when the database has a migration that the checkout lacks, or holds with other content.
    """
    unknown = history.versions - {file.version for file in sources.migrations}
    if unknown:
        raise ConfigurationError(
            f"The database holds migrations that this checkout does not have: {', '.join(sorted(unknown))}. "
            "It was migrated by a newer version of Lyceum: use that version, or another LYCEUM_HOME."
        )
    for file in sources.migrations:
        remembered = history.migrations.get(file.name, file.fingerprint)
        if file.version in history.versions and remembered != file.fingerprint:
            raise ConfigurationError(
                f"{file.path} was changed after it was applied to this database. Migrations are append-only: bring the "
                "file back and put the change into a new one; on a machine for development, begin with a new LYCEUM_HOME."
            )
    return MigrationPlan(
        migrations=tuple(file for file in sources.migrations if file.version not in history.versions),
        repeatable=tuple(file for file in sources.repeatable if history.repeatable.get(file.name) != file.fingerprint),
    )


def _read_folder(folder: Path) -> tuple[SqlFile, ...]:
    return tuple(_read_file(path, folder) for path in sorted(folder.rglob("*.sql")))


def _read_file(path: Path, folder: Path) -> SqlFile:
    content = path.read_bytes()
    return SqlFile(
        name=path.relative_to(folder).as_posix(),
        path=path,
        text=content.decode("utf-8"),
        fingerprint=hashlib.sha256(content).hexdigest(),
    )


def _read_history(connection: Connection) -> SchemaHistory:
    if connection.execute("select to_regclass('schema_history.files')").fetchone() == (None,):
        return SchemaHistory(frozenset(), {}, {})
    versions = connection.execute("select version from schema_history.migrations").fetchall()
    files = connection.execute("select kind, name, fingerprint from schema_history.files").fetchall()
    return SchemaHistory(
        versions=frozenset(version for (version,) in versions),
        migrations={name: fingerprint for kind, name, fingerprint in files if kind == "migration"},
        repeatable={name: fingerprint for kind, name, fingerprint in files if kind == "repeatable"},
    )


def _run_shared(connection: Connection, file: SqlFile) -> None:
    """Run a file that changes what all databases of the server share, which no lock of one database protects."""
    for attempt in range(_BOOTSTRAP_ATTEMPTS):
        try:
            with connection.transaction():
                connection.execute(file.text.encode())
            return
        except (psycopg.errors.InternalError_, psycopg.errors.UniqueViolation, psycopg.errors.DuplicateObject) as error:
            # Another database's migration changed the same role: "tuple concurrently updated", or made it first.
            if attempt + 1 == _BOOTSTRAP_ATTEMPTS:
                raise _failed(file, error) from None
            time.sleep(0.05 * (attempt + 1))
        except psycopg.Error as error:
            raise _failed(file, error) from None


def _run_repeatable(connection: Connection, file: SqlFile) -> None:
    try:
        with connection.transaction():
            connection.execute(file.text.encode())
            connection.execute(_REMEMBER, ["repeatable", file.name, file.fingerprint])
    except psycopg.Error as error:
        raise _failed(file, error) from None


def _remember_migrations(connection: Connection, files: tuple[SqlFile, ...]) -> None:
    # Also those that an interrupted call applied and had no time to remember.
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(_REMEMBER, [("migration", file.name, file.fingerprint) for file in files])


def _run_dbmate(target: ConnectionTarget, settings: Settings, *, encrypted: bool) -> None:
    parameters = {name: value for name, value in target.parameters if name in _DBMATE_PARAMETERS}
    parameters |= {
        "sslmode": dict(target.parameters).get("sslmode", "require") if encrypted else "disable",
        "TimeZone": "UTC",
    }
    if target.options:
        parameters["options"] = target.options
    outcome = subprocess.run(
        [
            str(Path(sysconfig.get_path("scripts")) / "dbmate"),
            f"--env-file={os.devnull}",
            f"--migrations-dir={settings.migrations}",
            "--migrations-table=schema_history.migrations",
            "--no-dump-schema",
            "--migration-lock",
            "migrate",
        ],
        # The URL holds the password, so it is neither an argument nor printed.
        env={"PATH": os.defpath, "DATABASE_URL": target.bare_url(parameters)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if outcome.returncode != 0:
        lines = [line for line in outcome.stdout.splitlines() if line.strip() and not line.startswith("Applied: ")]
        raise ConfigurationError(
            f"A migration failed, and nothing of it was kept: {' / '.join(lines)} "
            f"Mend the file in {settings.migrations} and migrate again."
        )


def _failed(file: SqlFile, error: psycopg.Error) -> ConfigurationError:
    """Say where a file failed. The server's detail is left out: it may quote rows."""
    position = error.diag.statement_position
    line = file.text.count("\n", 0, int(position) - 1) + 1 if position else None
    place = f"{file.path}:{line}" if line else str(file.path)
    return ConfigurationError(
        f"{place} failed, and nothing of it was kept: {error.diag.message_primary or type(error).__name__}. "
        "Mend the file and migrate again."
    )
