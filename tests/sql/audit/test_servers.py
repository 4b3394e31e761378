"""Real servers: what their logs give away and what of it reaches the trail, the embedded one and Debian's 15 with pgAudit."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import pytest

from lyceum import database
from lyceum.audit import (
    Access,
    LoggedAccess,
    collect_server_logs,
    ensure_audit_partitions,
    list_accesses,
    log_folder,
    record_access,
    seal_audit_batches,
    verify_trail,
)
from lyceum.audit.heads import heads_of_home
from lyceum.database import Connection, ConnectionTarget, EmbeddedServer
from lyceum.settings import Settings

DEBIAN = Path("/usr/lib/postgresql/15")
SECRET = "Lovelace"

# Statements of which every one fails, in a way whose error quotes a value somewhere.
FAILING = (
    ("insert into public.people values (1, %s)", "detail of a unique violation"),
    ("insert into public.people values (2, %s || ' check')", "detail of a check violation"),
    ("select (%s || '')::integer", "message of a cast"),
    ("select (%s || '')::timestamptz", "message of a cast"),
    ("select ('{' || %s)::jsonb", "context of a parser"),
)


def log_text(folder: Path) -> str:
    return "\n".join(path.read_text(errors="replace") for path in folder.iterdir())


def break_statements(connection: psycopg.Connection[tuple[object, ...]]) -> int:
    """Run statements that fail and return how many did."""
    connection.execute(
        "create table public.people (id integer primary key, name text constraint c check (name !~ 'check'))"
    )
    connection.execute("insert into public.people values (1, %s)", [SECRET])
    failed = 0
    for statement, _ in FAILING:
        with pytest.raises(psycopg.Error):
            connection.execute(statement.encode(), [SECRET])
        failed += 1
    with pytest.raises(psycopg.Error, match=SECRET):
        connection.execute(f"do $$ begin raise exception '{SECRET}'; end $$".encode())
    return failed + 1


def collect(target: ConnectionTarget, folder: Path) -> tuple[Connection, list[LoggedAccess]]:
    connection = database.connect(target, autocommit=True)
    collect_server_logs(connection, folder)
    return connection, list_accesses(connection, limit=10_000)


def test_the_embedded_servers_log_tells_who_came_and_who_was_refused_and_nothing_of_the_rows(
    own_server: Settings,
) -> None:
    target = database.ensure_available(own_server)
    database.migrate(target, own_server)
    folder = log_folder(own_server)
    assert folder is not None
    with psycopg.connect(target.conninfo(), autocommit=True) as connection:
        break_statements(connection)
        connection.execute("create role lyceum_test_somebody login password 'plain Lovelace'")
    for wrong in (replace(target, password=secrets.token_hex()), replace(target, user=f"{SECRET} as a name")):
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(wrong.conninfo())

    connection, found = collect(target, folder)
    with connection:
        heads = heads_of_home(own_server)
        seal_audit_batches(connection, heads)
        assert verify_trail(connection, heads).is_whole

    text = "\n".join(path.read_text() for path in folder.glob("*.json"))
    # The server itself writes the name that somebody typed; the trail does not.
    assert text.count(SECRET) == text.count(f"{SECRET} as a name")
    assert SECRET not in repr(found)
    refused = [access for access in found if access.decision == "denied"]
    # Before these, the product's own logins tried whether they had passwords already.
    assert [access.actor_login for access in sorted(refused, key=lambda access: access.audit_id)][-2:] == [
        "postgres",
        None,
    ]
    assert sum(access.action == "server_started" for access in found) == 1
    assert any(access.action == "log_in" and access.decision == "allowed" for access in found)


def test_waiting_for_a_lock_does_not_put_the_statement_into_the_log(own_server: Settings) -> None:
    quick = replace(own_server, server_options=(*own_server.server_options, ("deadlock_timeout", "10ms")))
    target = database.ensure_available(quick)
    with (
        psycopg.connect(target.conninfo("postgres")) as first,
        psycopg.connect(target.conninfo("postgres"), autocommit=True) as second,
    ):
        first.execute("create table public.people (name text)")
        first.commit()
        first.execute("lock table public.people")
        second.execute("set lock_timeout = '500ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            second.execute(f"select from public.people where name = '{SECRET}'".encode())
    EmbeddedServer(quick).stop()

    text = log_text(quick.server_logs)
    assert "still waiting for" in text
    assert SECRET not in text


def test_a_server_that_was_stopped_and_started_leaves_no_gap(own_server: Settings) -> None:
    target = database.ensure_available(own_server)
    database.migrate(target, own_server)
    collect(target, own_server.server_logs)[0].close()
    EmbeddedServer(own_server).stop()

    connection, found = collect(database.ensure_available(own_server), own_server.server_logs)
    connection.close()

    actions = [access.action for access in found]
    assert (actions.count("server_started"), actions.count("server_stopped"), actions.count("gap")) == (2, 1, 0)


def test_a_prepared_transaction_is_waited_for_in_its_own_database_alone(own_server: Settings) -> None:
    preparing = replace(own_server, server_options=(*own_server.server_options, ("max_prepared_transactions", "4")))
    target = database.ensure_available(preparing)
    database.migrate(target, preparing)
    heads = heads_of_home(preparing)
    with (
        database.connect(target.with_database("postgres"), autocommit=True) as elsewhere,
        database.connect(target, autocommit=True) as here,
    ):
        ensure_audit_partitions(here)
        elsewhere.execute("begin; select pg_current_xact_id(); prepare transaction 'elsewhere'")
        here.execute("begin; select audit.record('report_read', 'prepared'); prepare transaction 'here'")
        record_access(here, Access("report_read", "after it"))
        waiting = seal_audit_batches(here, heads)
        here.execute("commit prepared 'here'")
        sealed = seal_audit_batches(here, heads)

        assert (waiting.batch, waiting.rows_waiting) == (None, 1)
        assert sealed.batch is not None
        assert (sealed.batch.row_count, sealed.rows_waiting) == (2, 0)
        assert verify_trail(here, heads).is_whole


@dataclass(frozen=True, slots=True)
class Debian:
    """Debian's PostgreSQL 15 with pgAudit: `settings` describe a warehouse of ours on it."""

    settings: Settings
    target: ConnectionTarget
    folder: Path


# Without log_rows a statement is told before it runs, whether it fails or not; without log_statement its text is left out.
PGAUDIT = {
    "shared_preload_libraries": "pgaudit",
    "pgaudit.log": "read, write, role, ddl",
    "pgaudit.log_catalog": "off",
    "pgaudit.log_parameter": "off",
    "pgaudit.log_statement": "off",
    "pgaudit.log_rows": "off",
}
LOGGING = {
    "logging_collector": "on",
    "log_destination": "jsonlog",
    "log_timezone": "UTC",
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_connections": "on",
    "log_disconnections": "on",
    "log_file_mode": "0644",
}


@pytest.fixture
def debian() -> Iterator[Debian]:
    """A server of Debian's PostgreSQL 15 with pgAudit, stopped and removed afterwards."""
    if not (DEBIAN / "bin" / "postgres").exists() or not (DEBIAN / "lib" / "pgaudit.so").exists():
        pytest.skip(
            f"there is no PostgreSQL 15 with pgAudit in {DEBIAN} (Debian: postgresql-15, postgresql-15-pgaudit)"
        )
    if os.geteuid() != 0 or shutil.which("runuser") is None:
        pytest.skip("only root can start the server as its own account, with runuser")
    with tempfile.TemporaryDirectory(prefix="lyceum-debian-") as name, socket.socket() as probe:
        base = Path(name)
        base.chmod(0o755)
        data, logs, home = base / "data", base / "logs", base / "home"
        for path in (data, logs):
            path.mkdir(mode=0o755)
            shutil.chown(path, "postgres", "postgres")
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        password = secrets.token_hex()
        password_file = base / "password"
        password_file.write_text(password)
        password_file.chmod(0o644)

        def run(program: str, *arguments: str) -> None:
            subprocess.run(
                ["runuser", "-u", "postgres", "--", str(DEBIAN / "bin" / program), *arguments],
                check=True,
                cwd="/",
                stdout=subprocess.DEVNULL,
            )

        run(
            "initdb",
            "-D",
            str(data),
            "-U",
            "postgres",
            "--pwfile",
            str(password_file),
            "--auth=scram-sha-256",
            "-E",
            "UTF8",
        )
        options = {
            **PGAUDIT,
            **LOGGING,
            "log_directory": str(logs),
            "log_filename": "postgresql.log",
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": "",
            "fsync": "off",
            "max_locks_per_transaction": "1024",
        }
        with (data / "postgresql.conf").open("a") as file:
            file.writelines(f"{option} = '{value}'\n" for option, value in options.items())
        run("pg_ctl", "-D", str(data), "-w", "-l", str(logs / "start.log"), "start")
        try:
            settings = Settings(
                home=home,
                database_url=f"postgresql://postgres:{password}@127.0.0.1:{port}/lyceum",
                server_log_folder=logs,
            )
            settings.create_directories()
            target = database.ensure_available(settings)
            database.migrate(target, settings)
            yield Debian(settings, target, logs)
        finally:
            run("pg_ctl", "-D", str(data), "-m", "immediate", "stop")


def test_every_statement_that_pgaudit_tells_is_a_row_and_none_leaks(debian: Debian) -> None:
    connection, before = collect(debian.target, debian.folder)
    connection.close()
    with psycopg.connect(debian.target.conninfo(application_name="psql"), autocommit=True) as direct:
        session = direct.execute(
            """
            select to_hex(floor(extract(epoch from backend_start))::bigint) || '.' || to_hex(pid)
            from pg_stat_activity where pid = pg_backend_pid()
            """
        ).fetchone()
        for number in range(25):
            direct.execute(f"select count(*) from core.users where user_id <> {number}".encode())
        for number in range(10):
            direct.execute(
                "insert into ops.alerts (kind, subject, message) values ('run_late', %s, %s)", [str(number), SECRET]
            )
        direct.execute("create role lyceum_test_somebody login password 'plain Lovelace'")
        direct.execute("grant select on core.users to lyceum_test_somebody")
        direct.execute("drop owned by lyceum_test_somebody")
        direct.execute("drop role lyceum_test_somebody")

    connection, after = collect(debian.target, debian.folder)
    connection.close()

    assert session is not None
    own = connection_rows(debian, str(session[0]))
    assert own == {
        "log_in": 1,
        "select": 25,
        "insert": 10,
        "create_role": 1,
        "grant": 1,
        "drop_owned": 1,
        "drop_role": 1,
    }
    assert len(after) > len(before)
    told = [access for access in after if access.source == "pgaudit" and access.action == "insert"]
    assert {access.actor_login for access in told} == {"postgres"}
    text = "\n".join(path.read_text() for path in debian.folder.glob("*.json"))
    assert SECRET not in text
    assert SECRET not in repr(after)


def connection_rows(debian: Debian, session: str) -> dict[str, int]:
    with database.connect(debian.target) as connection:
        rows = connection.execute(
            """
            select action, count(distinct coalesce(detail ->> 'statement', line_number::text))
            from audit.audit_logs where session_id = %s group by action
            """,
            [session],
        ).fetchall()
    return {action: int(count) for action, count in rows}


def test_nobody_forges_a_row_of_the_trail_on_a_real_server(debian: Debian) -> None:
    forged = "AUDIT: SESSION,1,1,READ,SELECT,TABLE,core.users,<not logged>,<not logged>"
    with psycopg.connect(debian.target.conninfo(), autocommit=True) as direct:
        direct.execute(f"do $$ begin raise log '{forged}'; end $$".encode())

    connection, found = collect(debian.target, debian.folder)
    connection.close()

    lines = [json.loads(line) for path in debian.folder.glob("*.json") for line in path.read_text().splitlines()]
    assert any(line["message"] == forged for line in lines), "the server did write it"
    assert [access for access in found if access.resource == "core.users" and access.action == "select"] == []


def test_terse_errors_still_quote_rows_so_errors_stay_out_of_the_log(debian: Debian) -> None:
    """Why denied statements are recorded by the services: PostgreSQL's JSON log has no way to leave values out of errors."""
    options = "-c log_min_messages=error -c log_error_verbosity=terse -c log_parameter_max_length_on_error=0"
    with psycopg.connect(debian.target.conninfo(), autocommit=True, options=options) as direct:
        failed = break_statements(direct)
    lines = [json.loads(line) for path in debian.folder.glob("*.json") for line in path.read_text().splitlines()]
    errors = [line for line in lines if line["error_severity"] == "ERROR"]

    assert len(errors) == failed
    assert {
        field for line in errors for field in ("message", "detail", "context") if SECRET in str(line.get(field, ""))
    } == {
        "message",
        "detail",
        "context",
    }
