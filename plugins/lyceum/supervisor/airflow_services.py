"""Airflow's four processes on loopback, with their metadata on the warehouse's server and everything else in the home."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from lyceum.database import ConnectionTarget, connect
from lyceum.errors import ConfigurationError, RetryableError
from lyceum.pools import POOLS
from lyceum.settings import Settings
from lyceum.supervisor import loopback, processes
from lyceum.supervisor.airflow_api import AirflowApi
from lyceum.supervisor.credentials import ADMINISTRATOR, AirflowCredentials, administrator_password, ensure_credentials
from lyceum.supervisor.processes import Service

SERVICES = ("api-server", "scheduler", "dag-processor", "triggerer")

_PREFERRED_PORT = 8080
_READY_SECONDS = 180.0
_POLL_SECONDS = 0.2

_LOCAL_SETTINGS = '''"""Written by `lyceum up`; changes are lost. Airflow imports this file once in every process."""

from lyceum.orchestration.warm_up import import_what_tasks_need

import_what_tasks_need()
'''


@dataclass(frozen=True, slots=True)
class ServiceState:
    """One of the four processes: `pid` is None when it does not run, `health` is what Airflow itself says of it."""

    name: str
    pid: int | None
    health: str


class AirflowServices:
    """The Airflow of one home."""

    def __init__(self, settings: Settings) -> None:
        """Take the settings. Starts and reads nothing."""
        self._settings = settings
        self._port_file = settings.airflow_home / "port"
        self._migrated_file = settings.airflow_home / "migrated.json"

    @property
    def address(self) -> str | None:
        """Where the UI and the API are, or None before the first start."""
        port = loopback.kept_port(self._port_file)
        return f"http://{loopback.HOST}:{port}" if port else None

    def api(self) -> AirflowApi:
        """Return a session with the API server. Raises `ConfigurationError` when Airflow was never started here."""
        if self.address is None:
            raise ConfigurationError("Airflow was never started in this home. Run `lyceum up`.")
        return AirflowApi(self.address, administrator_password(self._settings))

    def prepare(self, target: ConnectionTarget) -> bool:
        """Make the secrets and bring the metadata database to this Airflow's version; False when it already was.

        Raises `ConfigurationError` with the end of the log when Airflow cannot migrate it.
        """
        with self._locked("prepare"):
            credentials = self._write_files(target)
            if self._is_migrated(target):
                return False
            log = self._settings.logs / "airflow-migrate.log"
            with log.open("wb") as output:
                code = subprocess.run(
                    [*_command(), "db", "migrate"],
                    env=self._environment(credentials, loopback.kept_port(self._port_file) or _PREFERRED_PORT),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=self._settings.airflow_home,
                    check=False,
                ).returncode
            if code != 0:
                raise ConfigurationError(
                    f"Airflow could not migrate its database {self._settings.airflow_database!r} (exit code {code}). "
                    f"The end of {log}:\n{processes.tail(log)}"
                )
            self._migrated_file.write_text(json.dumps(self._migration(target)))
            return True

    def start(self, target: ConnectionTarget) -> list[str]:
        """Start what does not run of the four processes, and return the names of those. Does not wait for them."""
        with self._locked("start"):
            credentials = self._write_files(target)
            running = {service.name for service in self._services({}) if processes.find(service)}
            missing = [name for name in SERVICES if name not in running]
            if not missing:
                return []
            port = loopback.kept_port(self._port_file)
            if port is None or "api-server" in missing:
                port = loopback.free_port(self._port_file, _PREFERRED_PORT)
            services = {service.name: service for service in self._services(self._environment(credentials, port))}
            # What a crash of the leader left of a session would write to the same files.
            processes.stop([services[name] for name in missing])
            for name in missing:
                processes.start(services[name])
            return missing

    def wait_until_healthy(self, seconds: float = _READY_SECONDS) -> None:
        """Return once all four processes say that they are healthy and tasks can report to the API server.

        Raises `RetryableError` with the end of the log when one has ended, or when the time is over.
        """
        deadline = time.monotonic() + seconds
        health: dict[str, str] = {}
        is_ready = False
        with self.api() as api:
            while time.monotonic() < deadline:
                for service in self._services({}):
                    if processes.find(service) is None:
                        raise RetryableError(
                            f"Airflow's {service.name} ended while starting. The end of {service.log}:\n"
                            f"{processes.tail(service.log)}"
                        )
                health = api.health()
                # Asked as early as possible: otherwise the first task would wait for it, and time out.
                is_ready = is_ready or (bool(health) and api.is_execution_ready())
                if is_ready and all(state == "healthy" for state in health.values()):
                    return
                time.sleep(_POLL_SECONDS)
        found = ", ".join(f"{name} {state}" for name, state in health.items()) or "no answer"
        raise RetryableError(
            f"Airflow is not healthy after {seconds:.0f} s ({found}). Expected all healthy; read the logs in "
            f"{self._settings.logs} and run `lyceum up` again."
        )

    def ensure_pools(self) -> list[str]:
        """Make Airflow's pools exist as the library defines them; return the names of those that did not."""
        with self.api() as api:
            return api.ensure_pools(POOLS)

    def wait_until_parsed(self, seconds: float = _READY_SECONDS) -> None:
        """Return once Airflow has read every DAG of the dags folder, whose files are named after their DAGs.

        Raises `ConfigurationError` when it cannot read one, `RetryableError` when the time is over.
        """
        expected = {file.stem for file in self._settings.dags.glob("*.py")}
        deadline = time.monotonic() + seconds
        with self.api() as api:
            while missing := expected - api.dag_ids():
                for file, traceback in api.import_errors().items():
                    raise ConfigurationError(f"Airflow cannot read {file}. Correct it and try again.\n{traceback}")
                if time.monotonic() > deadline:
                    raise RetryableError(
                        f"Airflow has not read {', '.join(sorted(missing))} within {seconds:.0f} s. "
                        f"Look at {self._settings.logs / 'airflow-dag-processor.log'} and try again."
                    )
                time.sleep(_POLL_SECONDS)

    def states(self) -> list[ServiceState]:
        """Say what each of the four processes does. Changes nothing."""
        found = {service.name: processes.find(service) for service in self._services({})}
        health: dict[str, str] = {}
        if found["api-server"] is not None:
            with self.api() as api:
                health = api.health()
        reported = {name: health.get(name.replace("-", "_"), "unknown") for name in SERVICES}
        reported["api-server"] = "healthy" if health else "no answer"
        return [
            ServiceState(name, found[name].pid, reported[name]) if found[name] else ServiceState(name, None, "stopped")  # type: ignore[union-attr]
            for name in SERVICES
        ]

    def is_running(self) -> bool:
        """Say whether any of the four processes runs."""
        return any(processes.find(service) for service in self._services({}))

    def is_outdated(self) -> bool:
        """Say whether the library was changed after the scheduler, which keeps it imported for its tasks, was started."""
        try:
            started = (self._settings.run / "airflow-scheduler.json").stat().st_mtime
        except FileNotFoundError:
            return False
        return any(file.stat().st_mtime > started for file in (self._settings.plugins / "lyceum").rglob("*.py"))

    def stop(self) -> list[str]:
        """Stop all four processes and their children, and return the names of those that ran.

        A running task has ten seconds to end, then it is ended and tried again after the next start.
        """
        if not self._settings.run.exists():
            return []
        with self._locked("start"):
            services = {service.name: service for service in self._services({})}
            # The API server goes last: the others tell it what became of their tasks.
            api_server = services.pop("api-server")
            stopped = processes.stop(services.values(), whole_sessions=["triggerer", "dag-processor"])
            stopped += processes.stop([api_server])
            return [name for name in SERVICES if name in stopped]

    def environment(self, target: ConnectionTarget) -> dict[str, str]:
        """Return the variables under which every Airflow process of this home runs; secrets are named by file, not held."""
        port = loopback.kept_port(self._port_file) or _PREFERRED_PORT
        return self._environment(self._write_files(target), port)

    def _services(self, environment: Mapping[str, str]) -> list[Service]:
        # Logs of running tasks are read from the disk (`LocalFilesExecutor`), so nobody needs a log server.
        further = {"scheduler": ("--skip-serve-logs",), "triggerer": ("--skip-serve-logs",)}
        return [
            Service(
                name=name,
                arguments=(*_command(), name, *further.get(name, ())),
                log=self._settings.logs / f"airflow-{name}.log",
                record=self._settings.run / f"airflow-{name}.json",
                environment=environment,
                # Only the scheduler has something to finish: the tasks that run.
                patience=10.0 if name == "scheduler" else 4.0,
            )
            for name in SERVICES
        ]

    def _write_files(self, target: ConnectionTarget) -> AirflowCredentials:
        self._settings.create_directories()
        configuration = self._settings.airflow_home / "config"
        configuration.mkdir(exist_ok=True)
        local_settings = configuration / "airflow_local_settings.py"
        if not local_settings.exists() or local_settings.read_text() != _LOCAL_SETTINGS:
            local_settings.write_text(_LOCAL_SETTINGS)
        return ensure_credentials(self._settings, target)

    def _environment(self, credentials: AirflowCredentials, port: int) -> dict[str, str]:
        home = self._settings.airflow_home
        address = f"http://{loopback.HOST}:{port}"
        own = {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW_CONFIG": str(home / "airflow.cfg"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self._settings.dags),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(self._settings.plugins),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__EXECUTOR": "lyceum.orchestration.local_files_executor.LocalFilesExecutor",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
            # Two cores: a build task, a few collecting tasks. Every worker is a process that waits.
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": "4",
            "AIRFLOW__CORE__FERNET_KEY_CMD": _read(credentials.fernet_key),
            "AIRFLOW__CORE__AUTH_MANAGER": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{ADMINISTRATOR}:admin",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(credentials.passwords),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD": _read(credentials.database_url),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_SIZE": "3",
            "AIRFLOW__API__HOST": loopback.HOST,
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__BASE_URL": address,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API__SECRET_KEY_CMD": _read(credentials.session_secret),
            "AIRFLOW__API__INSTANCE_NAME": "Lyceum",
            "AIRFLOW__API__EXPOSE_CONFIG": "False",
            "AIRFLOW__API__ENABLE_SWAGGER_UI": "False",
            "AIRFLOW__API_AUTH__JWT_SECRET_CMD": _read(credentials.jwt_secret),
            "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "60",
            # An idle scheduler costs 13 % of a core at 0.1 s, 7 % at 0.2 s; a task then waits a tenth of a second longer.
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
            # A task that a stop or a crash ended is noticed, and tried again, within a minute.
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
            "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "60",
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
            "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(home / "logs" / "dag_processor"),
            "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
            "AIRFLOW__LOGGING__FILE_TASK_HANDLER_NEW_FOLDER_PERMISSIONS": "0o700",
            "AIRFLOW__LOGGING__FILE_TASK_HANDLER_NEW_FILE_PERMISSIONS": "0o600",
            **_metrics(self._settings.statsd),
            "AIRFLOW__COSMOS__ENABLE_TELEMETRY": "False",
            "SCARF_ANALYTICS": "false",
            "DO_NOT_TRACK": "1",
            "GX_ANALYTICS_ENABLED": "False",
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "False",
            "NO_PROXY": _with_loopback(os.environ.get("NO_PROXY") or os.environ.get("no_proxy", "")),
            "PYTHONUNBUFFERED": "1",
            # A task ends without tidying up after dbt's semaphores; what Python says of that reads like an error in its log.
            "PYTHONWARNINGS": ",".join(
                filter(None, [os.environ.get("PYTHONWARNINGS"), "ignore:resource_tracker:UserWarning"])
            ),
        }
        own["no_proxy"] = own["NO_PROXY"]
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("LYCEUM_") or name.startswith("LYCEUM_CREDENTIALS_")
        }
        # A plain value in somebody's shell would win over the file that holds ours.
        for name in own:
            if name.endswith("_CMD"):
                inherited.pop(name.removesuffix("_CMD"), None)
        return {**inherited, **self._settings.for_tasks().environment(), **own}

    def _is_migrated(self, target: ConnectionTarget) -> bool:
        try:
            recorded = json.loads(self._migrated_file.read_text())
        except (FileNotFoundError, ValueError):
            return False
        return bool(recorded == self._migration(target))

    def _migration(self, target: ConnectionTarget) -> dict[str, str | None]:
        """Say which Airflow this is and at which revision its database stands; one statement in place of a program of 3 s."""
        with connect(target.with_database(self._settings.airflow_database), autocommit=True) as connection:
            revision = None
            if connection.execute("select to_regclass('public.alembic_version')").fetchone() != (None,):
                row = connection.execute("select version_num from public.alembic_version").fetchone()
                revision = row[0] if row else None
        return {"airflow": version("apache-airflow-core"), "revision": revision}

    @contextlib.contextmanager
    def _locked(self, what: str) -> Iterator[None]:
        """Let one caller of a home do this at a time."""
        self._settings.create_directories()
        with (self._settings.run / f"airflow-{what}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _command() -> tuple[str, ...]:
    return (sys.executable, "-m", "airflow")


def _metrics(address: tuple[str, int] | None) -> dict[str, str]:
    """Say where Airflow sends its own metrics, with tags in InfluxDB's notation, which the StatsD exporter reads."""
    host, port = address or ("localhost", 8125)
    return {
        "AIRFLOW__METRICS__STATSD_ON": str(address is not None),
        "AIRFLOW__METRICS__STATSD_HOST": host,
        "AIRFLOW__METRICS__STATSD_PORT": str(port),
        "AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED": "True",
        # The old names have the DAG in them; the new ones have it as a tag.
        "AIRFLOW__METRICS__LEGACY_NAMES_ON": "False",
    }


def _read(file: Path) -> str:
    return shlex.join(["cat", str(file)])


def _with_loopback(hosts: str) -> str:
    return ",".join(dict.fromkeys([*filter(None, hosts.split(",")), loopback.HOST, "localhost"]))
