"""Finding the server that the settings mean, connecting to it, and creating the two databases on it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias, TypeVar

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from lyceum.database.connection_target import (
    ConnectionTarget,
    external_monitor_target,
    external_pipeline_target,
    external_target,
)
from lyceum.database.logins import Login, login_target, provision_airflow
from lyceum.database.server import EmbeddedServer
from lyceum.errors import ConfigurationError, RetryableError
from lyceum.settings import Settings

Connection: TypeAlias = psycopg.Connection[TupleRow]

_Kind = TypeVar("_Kind", bound=Connection)

_OLDEST_SERVER = 150_000
_CONNECT_SECONDS = "10"

# What a server says when trying again does not help.
_PERMANENT = (
    "authentication",
    "pg_hba.conf",
    "does not exist",
    "is not permitted to log in",
    "permission denied",
    "certificate",
)


def target(settings: Settings) -> ConnectionTarget:
    """Return the warehouse that the settings mean, for the login that collects, builds and audits. Starts nothing.

    Raises `ConfigurationError` when the embedded server is not running or was never migrated, or when the external URL cannot
    be read.
    """
    if settings.database_url is not None:
        return external_pipeline_target(settings)
    return login_target(EmbeddedServer(settings).target(), settings, Login.PIPELINE)


def administrator_target(settings: Settings) -> ConnectionTarget:
    """Return the warehouse that the settings mean, for the account that migrates it. Raises as `target` does."""
    if settings.database_url is not None:
        return external_target(settings)
    return EmbeddedServer(settings).target()


def monitor_target(settings: Settings) -> ConnectionTarget:
    """Return the warehouse that the settings mean, for the login that reads the server's statistics. Raises as `target` does."""
    if settings.database_url is not None:
        return external_monitor_target(settings)
    return login_target(EmbeddedServer(settings).target(), settings, Login.MONITOR)


def ensure_available(settings: Settings) -> ConnectionTarget:
    """Start the embedded server where one is meant, create the two databases where absent; return the administrator's target."""
    is_external = settings.database_url is not None
    found = external_target(settings) if is_external else EmbeddedServer(settings).ensure_started()
    ensure_databases(found, [settings.warehouse_database, settings.airflow_database])
    if not is_external:
        provision_airflow(found, settings)
    return found


def airflow_target(settings: Settings) -> ConnectionTarget:
    """Return the server for Airflow's own login, which owns the database of its metadata and sees no other."""
    if settings.database_url is not None:
        return external_target(settings)
    return login_target(EmbeddedServer(settings).target(), settings, Login.AIRFLOW)


def connect(target: ConnectionTarget, *, autocommit: bool = False, application_name: str = "lyceum") -> Connection:
    """Connect to the target's database with the session's time zone pinned to UTC.

    Raises `ConfigurationError` when the server is older than PostgreSQL 15 or refuses the account or the database,
    `RetryableError` when it cannot be reached.
    """
    return connect_as(psycopg.Connection, target, autocommit=autocommit, application_name=application_name)


def connect_as(
    kind: type[_Kind], target: ConnectionTarget, *, autocommit: bool = False, application_name: str = "lyceum"
) -> _Kind:
    """Connect as `connect` does, with a connection of this class."""
    place = f"{target.user}@{target.host}:{target.port}/{target.dbname}"
    patience = {} if "connect_timeout" in dict(target.parameters) else {"connect_timeout": _CONNECT_SECONDS}
    try:
        connection = kind.connect(
            target.conninfo(application_name=application_name),
            autocommit=autocommit,
            **patience,  # type: ignore[arg-type]
        )
    except psycopg.OperationalError as error:
        message = f"Cannot connect to PostgreSQL as {place}: {str(error).strip()}"
        if any(words in message for words in _PERMANENT):
            raise ConfigurationError(
                f"{message} Check the address, the account and the database, then try again."
            ) from None
        raise RetryableError(f"{message} Check that the server runs ('lyceum status') and try again.") from None
    version = connection.info.server_version
    if version < _OLDEST_SERVER:
        connection.close()
        raise ConfigurationError(
            f"{place} is PostgreSQL {version // 10_000}. Lyceum needs PostgreSQL 15 or later: "
            "upgrade that server, or unset LYCEUM_DATABASE_URL to use the embedded one."
        )
    return connection


def ensure_databases(target: ConnectionTarget, names: Iterable[str]) -> list[str]:
    """Create the databases that are absent, in UTF-8 and with a collation that no operating system changes; return their names.

    Raises `ConfigurationError` when the account may not create a database.
    """
    wanted = list(dict.fromkeys(names))
    with _maintenance(target) as connection:
        # Two callers at once would both find a database absent. The number only has to be ours.
        connection.execute("select pg_advisory_lock(hashtextextended('lyceum.ensure_databases', 0))")
        rows = connection.execute("select datname from pg_database where datname = any(%s)", [wanted]).fetchall()
        existing = {name for (name,) in rows}
        created = [name for name in wanted if name not in existing]
        for name in created:
            _create_database(connection, name, target)
    return created


def _create_database(connection: Connection, name: str, target: ConnectionTarget) -> None:
    statement = sql.SQL("create database {} template template0 encoding 'UTF8'").format(sql.Identifier(name))
    try:
        connection.execute(statement + _collation(connection))
        connection.execute(sql.SQL("alter database {} set timezone to 'UTC'").format(sql.Identifier(name)))
    except psycopg.errors.InsufficientPrivilege:
        raise ConfigurationError(
            f"The database {name!r} does not exist on {target.host}:{target.port}, and {target.user!r} may not create it. "
            f"Have it created: create database {name} owner {target.user} template template0 encoding 'UTF8';"
        ) from None


def _collation(connection: Connection) -> sql.SQL:
    """Return the clause for code-point order: from PostgreSQL itself since 17, before that from the system where it has it."""
    if connection.info.server_version >= 170_000:
        return sql.SQL(" locale_provider builtin builtin_locale 'C.UTF-8' locale 'C'")
    row = connection.execute("select 1 from pg_collation where collname in ('C.UTF-8', 'C.utf8')").fetchone()
    return sql.SQL(" locale_provider libc locale 'C.UTF-8'" if row else "")


def _maintenance(target: ConnectionTarget) -> Connection:
    """Connect to a database that exists before ours do; failing that, to the warehouse itself."""
    try:
        return connect(target.with_database("postgres"), autocommit=True)
    except ConfigurationError:
        return connect(target, autocommit=True)
