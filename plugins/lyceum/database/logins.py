"""The logins of the product: each part of it connects as a role that may do what that part does, and no more.

On the embedded server their passwords are made here and lie in the home, a file each. On a server of one's own the operator
gives them passwords and hands their URLs over; a part without a URL of its own uses LYCEUM_DATABASE_URL.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import replace
from enum import StrEnum
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from lyceum.database.connection_target import ConnectionTarget
from lyceum.errors import ConfigurationError
from lyceum.settings import Settings


class Login(StrEnum):
    """Who connects, by the name of the role."""

    PIPELINE = "lyceum_pipeline"
    """Collecting, builds, refreshes, sealing, audits: command line and Airflow's tasks."""
    AIRFLOW = "lyceum_airflow"
    """Airflow's own metadata; nothing of the warehouse."""
    API = "lyceum_authenticator"
    """The services: becomes the role of whoever asks, for one transaction."""
    MONITOR = "lyceum_monitor"
    """Monitoring: the server's statistics, and what the warehouse counts about itself."""
    BACKUP = "lyceum_backup"
    """Base backups: copies the whole server over the protocol of replication, and asks nothing."""


def login_target(administrator: ConnectionTarget, settings: Settings, login: Login) -> ConnectionTarget:
    """Return the embedded server's target for a login. Raises `ConfigurationError` when its password was never made."""
    path = password_file(settings, login)
    try:
        password = path.read_text("utf-8").strip()
    except FileNotFoundError:
        raise ConfigurationError(
            f"The password of {login} is not in {path}. Expected `lyceum up` or `lyceum migrate` to have made it: run it again."
        ) from None
    return replace(administrator, user=login.value, password=password)


def password_file(settings: Settings, login: Login) -> Path:
    """Return where the embedded server's password of a login lies."""
    return settings.secrets / f"{login.value}_password"


def provision(administrator: ConnectionTarget, settings: Settings) -> None:
    """Let the logins of the embedded server log in with the passwords of this home, making those that are absent.

    The server is told a verifier, never a password. The roles exist: `sql/bootstrap/roles.sql` makes them.
    """
    with _connect(administrator) as connection:
        for login in (Login.PIPELINE, Login.API, Login.MONITOR):
            _give_password(connection, administrator, settings, login)


def provision_backup(administrator: ConnectionTarget, settings: Settings) -> ConnectionTarget:
    """Make the login of backups on the embedded server, with REPLICATION and nothing else; return its target.

    It is no role of `sql/bootstrap`: only a superuser may make one with REPLICATION on every version, and a server of one's own needs
    none of this name.
    """
    role = sql.Identifier(Login.BACKUP.value)
    with _connect(administrator) as connection:
        connection.execute("select pg_advisory_lock(hashtextextended('lyceum.provision_backup', 0))")
        if connection.execute("select from pg_roles where rolname = %s", [Login.BACKUP.value]).fetchone() is None:
            connection.execute(sql.SQL("create role {} nologin noinherit replication").format(role))
            connection.execute(
                sql.SQL("comment on role {} is 'The login of backups: the protocol of replication.'").format(role)
            )
        _give_password(connection, administrator, settings, Login.BACKUP)
    return login_target(administrator, settings, Login.BACKUP)


def provision_airflow(administrator: ConnectionTarget, settings: Settings) -> None:
    """Make the login of Airflow on the embedded server, and give it the database of Airflow's metadata, which exists."""
    role = sql.Identifier(Login.AIRFLOW.value)
    with _connect(administrator) as connection:
        # Two homes never share an embedded server, but two calls may.
        connection.execute("select pg_advisory_lock(hashtextextended('lyceum.provision_airflow', 0))")
        if connection.execute("select from pg_roles where rolname = %s", [Login.AIRFLOW.value]).fetchone() is None:
            connection.execute(sql.SQL("create role {} nologin").format(role))
            connection.execute(sql.SQL("comment on role {} is 'The login of Airflow: its own metadata.'").format(role))
        _give_password(connection, administrator, settings, Login.AIRFLOW)
        owner = connection.execute(
            "select datdba::regrole::text from pg_database where datname = %s", [settings.airflow_database]
        ).fetchone()
        if owner != (Login.AIRFLOW.value,):
            with _connect(administrator.with_database(settings.airflow_database)) as metadata:
                metadata.execute(_HAND_METADATA_OVER)
            database = sql.Identifier(settings.airflow_database)
            connection.execute(sql.SQL("revoke all on database {} from public").format(database))
            connection.execute(sql.SQL("alter database {} owner to {}").format(database, role))


# The database belongs to the role last, so an interrupted call begins again.
_HAND_METADATA_OVER = """
do $$
declare
    handed record;
begin
    alter schema public owner to lyceum_airflow;
    for handed in
        select relations.relname
        from pg_class as relations
        where relations.relnamespace = 'public'::regnamespace and relations.relkind in ('r', 'p', 'v')
    loop
        execute format('alter table public.%I owner to lyceum_airflow', handed.relname);
    end loop;
    for handed in
        select types.typname
        from pg_type as types
        where types.typnamespace = 'public'::regnamespace and types.typtype = 'e'
    loop
        execute format('alter type public.%I owner to lyceum_airflow', handed.typname);
    end loop;
end;
$$
"""


def _connect(target: ConnectionTarget) -> psycopg.Connection[TupleRow]:
    return psycopg.connect(target.conninfo(application_name="lyceum logins"), autocommit=True, connect_timeout=10)


def _give_password(
    connection: psycopg.Connection[TupleRow], administrator: ConnectionTarget, settings: Settings, login: Login
) -> None:
    password = _ensure_password(password_file(settings, login))
    made = connection.execute("select rolcanlogin from pg_roles where rolname = %s", [login.value]).fetchone()
    # One that has just been made is not tried out: the refusal would be in the audit trail.
    if made == (True,) and _may_log_in(replace(administrator, user=login.value, password=password), settings, login):
        return
    verifier = connection.pgconn.encrypt_password(password.encode(), login.value.encode(), b"scram-sha-256").decode()
    connection.execute(
        sql.SQL("alter role {} login password {}").format(sql.Identifier(login.value), sql.Literal(verifier))
    )


def _may_log_in(target: ConnectionTarget, settings: Settings, login: Login) -> bool:
    database = settings.airflow_database if login is Login.AIRFLOW else target.dbname
    try:
        _connect(target.with_database(database)).close()
    except psycopg.OperationalError:
        return False
    return True


def _ensure_password(path: Path) -> str:
    """Return the password in the file. The first of several callers makes it."""
    if not path.exists():
        unfinished = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(unfinished, path)
        except FileExistsError:
            pass
        finally:
            unfinished.unlink()
    return path.read_text("utf-8").strip()
