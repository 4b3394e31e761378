"""pg_partman beside the clean-up: Debian's server with its package, as a cluster that lives as long as a measurement.

The library's embedded server has no pg_partman, so it is measured on the server that Debian's package belongs to, with rows and
indexes like those of the raw table. Its `run_maintenance` goes by the server's clock: the day that it drops is the one before yesterday.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from psycopg import sql

from lyceum.database import Connection

PACKAGE = "postgresql-<version>-partman"
_VERSIONS = Path("/usr/share/postgresql")
_ACCOUNT = "postgres"
TABLE = "public.raw_data_collection"


def find_server() -> Path | None:
    """Return the folder of programs of the newest server that has pg_partman, or None."""
    found = [
        Path("/usr/lib/postgresql") / folder.name / "bin"
        for folder in _VERSIONS.glob("*")
        if (folder / "extension" / "pg_partman.control").exists()
    ]
    usable = [programs for programs in found if (programs / "initdb").exists()]
    return max(usable, key=lambda programs: int(programs.parent.name), default=None)


@contextmanager
def temporary_cluster(programs: Path, folder: Path) -> Iterator[str]:
    """Start a cluster with the server's defaults on a free port, and stop it in the end; yields the URL of its superuser.

    PostgreSQL refuses to run as root: under root it is the account of Debian's package that does.
    """
    account = _ACCOUNT if os.geteuid() == 0 else None
    data, sockets = folder / "data", folder / "sockets"
    for path in (folder, data, sockets):
        path.mkdir(parents=True, exist_ok=True)
        if account is not None:
            shutil.chown(path, account, account)
    password = folder / "password"
    password.write_text("bench\n")
    if account is not None:
        shutil.chown(password, account, account)

    def run(program: str, *arguments: str) -> None:
        subprocess.run(
            [str(programs / program), *arguments], check=True, user=account, cwd=folder, stdout=subprocess.DEVNULL
        )

    run("initdb", "-D", str(data), "-U", "bench", "--auth", "scram-sha-256", "--pwfile", str(password))
    port = _free_port()
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={sockets}"
    run("pg_ctl", "start", "-w", "-D", str(data), "-l", str(folder / "log"), "-o", options)
    try:
        yield f"postgresql://bench:bench@127.0.0.1:{port}/postgres"
    finally:
        run("pg_ctl", "stop", "-m", "immediate", "-D", str(data))


def prepare(connection: Connection) -> None:
    """Make a table like the raw one, partitioned by day, for pg_partman to look after: it keeps a day, and drops what is older."""
    connection.execute("create schema partman")
    connection.execute("create extension pg_partman schema partman")
    connection.execute(
        sql.SQL(
            "create table {} (like stage_one.raw_data_collection including all) partition by range (collected_at)"
        ).format(_table())
    )
    connection.execute(
        "select partman.create_parent(%s, 'collected_at', 'native', 'daily', p_premake := 4, p_start_partition := %s)",
        [TABLE, f"{old_day():%Y-%m-%d}"],
    )
    connection.execute(
        "update partman.part_config set retention = '1 day', retention_keep_table = false where parent_table = %s",
        [TABLE],
    )


def make_old_day(connection: Connection) -> None:
    """Make the partition of the old day once more; pg_partman makes none of the past by itself."""
    connection.execute(
        "select partman.create_partition_time(%s, array[%s::timestamptz], p_analyze := false)", [TABLE, old_day()]
    )


def old_day() -> datetime:
    """The midnight of the day that has ended a day ago."""
    return young_day() - timedelta(days=2)


def young_day() -> datetime:
    """The midnight of today."""
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def maintain(connection: Connection) -> None:
    """Drop the old day, as pg_partman does."""
    connection.execute("select partman.run_maintenance(%s, p_analyze := false)", [TABLE])
    row = connection.execute(
        sql.SQL("select count(*) from {} where collected_at < %s").format(_table()), [young_day() - timedelta(days=1)]
    ).fetchone()
    assert row == (0,), "pg_partman has left the old day"


def _table() -> sql.Identifier:
    return sql.Identifier(*TABLE.split("."))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
