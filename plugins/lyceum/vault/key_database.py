"""The key database: where the wrapped data keys of people lie, apart from what they encrypt.

By default it stands beside the warehouse on the same server, named after it, and the login of the pipeline may use it, nobody
else. LYCEUM_KEYS_DATABASE_URL puts it elsewhere, under an account of its own. `lyceum up` and `lyceum migrate` make it and bring
it up to date; so does whoever opens it first, where the settings name an account that may.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from urllib.parse import unquote, urlsplit
from uuid import UUID

import psycopg
from psycopg import sql

from lyceum import database
from lyceum.database import Connection, ConnectionTarget
from lyceum.database.connection_target import external_target
from lyceum.database.server import EmbeddedServer
from lyceum.errors import ConfigurationError
from lyceum.settings import Settings

_MAXIMUM_NAME_BYTES = 63


@dataclass(frozen=True, slots=True)
class KeyMigration:
    """One file of `sql/keys`: its name, its text, and the SHA-256 of the text."""

    name: str
    text: str
    fingerprint: str


_HISTORY = """
    create schema if not exists keys;
    comment on schema keys is 'Wrapped data keys of people.';
    create table if not exists keys.migrations (
        name text not null,
        fingerprint text not null,
        applied_at timestamptz not null default clock_timestamp(),
        constraint migrations_pkey primary key (name)
    )
"""


# Whoever keeps the keys in a database of one's own need not have the product's roles there.
_GRANTS = """
do $$
begin
    if exists (select from pg_catalog.pg_roles as roles where roles.rolname = 'lyceum_pipeline') then
        execute format('grant connect on database %I to lyceum_pipeline', current_database());
        grant usage on schema keys to lyceum_pipeline;
        grant select on keys.migrations to lyceum_pipeline;
        grant select, insert on keys.warehouse to lyceum_pipeline;
        grant select, insert, delete on keys.provider_versions to lyceum_pipeline;
        grant select, insert, update on keys.person_keys to lyceum_pipeline;
    end if;
end;
$$
"""


def key_database_target(settings: Settings) -> ConnectionTarget:
    """Return where the key database is, for the account that uses it. Connects to nothing.

    Raises `ConfigurationError` when its URL cannot be read, or when the embedded server is not running.
    """
    if settings.key_settings.database_url is None:
        return database.target(settings).with_database(_default_name(settings))
    found = _target_of_its_own(settings, settings.key_settings.database_url)
    warehouse = database.target(settings)
    if (found.host, found.port, found.dbname) == (warehouse.host, warehouse.port, warehouse.dbname):
        raise ConfigurationError(
            "LYCEUM_KEYS_DATABASE_URL names the warehouse itself. Expected another database: keys that lie beside what they "
            "encrypt are in every dump of it."
        )
    return found


def ensure_key_database(settings: Settings) -> ConnectionTarget:
    """Create the key database where absent, bring it up to date, and return its target. A second call changes nothing.

    Works as the account that migrates the warehouse, or as that of LYCEUM_KEYS_DATABASE_URL. Raises `ConfigurationError` when it
    may not create the database, or when a file was changed after it was applied.
    """
    used = key_database_target(settings)
    if settings.key_settings.database_url is not None:
        owner = used
    elif settings.database_url is not None:
        owner = external_target(settings).with_database(used.dbname)
    else:
        owner = EmbeddedServer(settings).target().with_database(used.dbname)
    database.ensure_databases(owner, [owner.dbname])
    files = _files(settings)
    with database.connect(owner, autocommit=True, application_name="lyceum keys") as connection:
        if _is_current(connection, files):
            return used
        connection.execute("select pg_advisory_lock(hashtextextended('lyceum.migrate', 0))")
        try:
            _migrate(connection, settings, files)
        except psycopg.errors.InsufficientPrivilege:
            raise ConfigurationError(
                f"The key database {owner.dbname!r} is not that of this checkout, and {owner.user!r} may not change it. "
                "Migrate as the account that owns it: lyceum migrate"
            ) from None
    return used


def _migrate(connection: Connection, settings: Settings, files: tuple[KeyMigration, ...]) -> None:
    connection.execute(
        sql.SQL("revoke connect, temporary on database {} from public").format(sql.Identifier(connection.info.dbname))
    )
    connection.execute(_HISTORY.encode())
    applied = _applied(connection)
    for file in files:
        if applied.get(file.name, file.fingerprint) != file.fingerprint:
            raise ConfigurationError(
                f"{settings.key_migrations / file.name} was changed after it was applied to the key database. Such files are "
                "append-only: bring it back and put the change into a new one."
            )
        if file.name not in applied:
            with connection.transaction():
                connection.execute(file.text.encode())
                connection.execute(
                    "insert into keys.migrations (name, fingerprint) values (%s, %s)", [file.name, file.fingerprint]
                )
    connection.execute(_GRANTS.encode())


@contextmanager
def connect_keys(settings: Settings, warehouse: Connection) -> Iterator[tuple[Connection, UUID]]:
    """Lend a connection to the key database of this warehouse, and the warehouse's id. Every statement commits by itself.

    Raises `ConfigurationError` when the key database holds the keys of another warehouse.
    """
    row = warehouse.execute("select warehouse_id from ops.warehouse_identity").fetchone()
    assert row is not None
    warehouse_id: UUID = row[0]
    found = key_database_target(settings)
    if not _is_ready(found, settings):
        ensure_key_database(settings)
    with database.connect(found, autocommit=True, application_name="lyceum keys") as connection:
        # A key must be on the disk before anything that it encrypts is committed elsewhere.
        connection.execute("set synchronous_commit to on")
        with connection.transaction():
            connection.execute(
                "insert into keys.warehouse (warehouse_id) values (%s) on conflict do nothing", [warehouse_id]
            )
            held_for = connection.execute("select warehouse_id from keys.warehouse").fetchone()
        if held_for != (warehouse_id,):
            raise ConfigurationError(
                f"The key database {connection.info.dbname!r} holds the keys of another warehouse. Expected that of this one: set "
                "LYCEUM_KEYS_DATABASE_URL to it, or restore it from the backup that belongs to this warehouse."
            )
        yield connection, warehouse_id


def _default_name(settings: Settings) -> str:
    name = f"{settings.warehouse_database}_keys"
    if len(name) > _MAXIMUM_NAME_BYTES:
        raise ConfigurationError(
            f"The key database would be named {name!r}, which is longer than {_MAXIMUM_NAME_BYTES} characters. Give the "
            "warehouse a shorter name, or name the key database in LYCEUM_KEYS_DATABASE_URL."
        )
    return name


def _target_of_its_own(settings: Settings, url: str) -> ConnectionTarget:
    name = unquote(urlsplit(url).path.strip("/"))
    try:
        return external_target(replace(settings, database_url=url, warehouse_database=name))
    except ConfigurationError as error:
        raise ConfigurationError(str(error).replace("LYCEUM_DATABASE_URL", "LYCEUM_KEYS_DATABASE_URL")) from None


def _files(settings: Settings) -> tuple[KeyMigration, ...]:
    return tuple(
        KeyMigration(path.name, path.read_text("utf-8"), hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(settings.key_migrations.glob("*.sql"))
    )


def _is_ready(found: ConnectionTarget, settings: Settings) -> bool:
    try:
        with database.connect(found, autocommit=True, application_name="lyceum keys") as connection:
            return _is_current(connection, _files(settings))
    except ConfigurationError:
        # It does not exist, or this account may not use it yet. Whoever makes it says so, if that is not the reason.
        return False


def _is_current(connection: Connection, files: tuple[KeyMigration, ...]) -> bool:
    return _applied(connection) == {file.name: file.fingerprint for file in files}


def _applied(connection: Connection) -> dict[str, str]:
    try:
        return dict(connection.execute("select name, fingerprint from keys.migrations").fetchall())
    except (psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege):
        return {}
