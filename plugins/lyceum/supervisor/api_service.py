"""The analytics API of one home, beside Airflow: a process on loopback that is found again, restarted and stopped."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import time
from collections.abc import Iterator

import httpx

from lyceum.errors import RetryableError
from lyceum.settings import Settings
from lyceum.supervisor import loopback, processes
from lyceum.supervisor.airflow_services import ServiceState
from lyceum.supervisor.processes import Service

NAME = "analytics API"
_READY_SECONDS = 60.0
_POLL_SECONDS = 0.1


class ApiService:
    """The API of one home. On a server of one's own it runs where LYCEUM_API_DATABASE_URL says what to read."""

    def __init__(self, settings: Settings) -> None:
        """Take the settings. Starts and reads nothing."""
        self._settings = settings
        self._port_file = settings.run / "api.port"

    @property
    def is_possible(self) -> bool:
        """Whether the settings say with which login the API reads."""
        return self._settings.database_url is None or self._settings.serving.database_url is not None

    @property
    def address(self) -> str | None:
        """Where it listens, or None while it does not run."""
        port = loopback.kept_port(self._port_file)
        return f"http://{loopback.HOST}:{port}" if port and processes.find(self._service(port)) else None

    def start(self) -> bool:
        """Start it unless it runs or cannot; say whether this call did. Does not wait for it."""
        if not self.is_possible:
            return False
        with self._locked():
            if self.address is not None:
                return False
            port = loopback.free_port(self._port_file, self._settings.serving.port)
            service = self._service(port)
            processes.stop([service])
            processes.start(service)
            return True

    def wait_until_ready(self, seconds: float = _READY_SECONDS) -> None:
        """Return once it can answer. Raises `RetryableError` with the end of its log when it ended or the time is over."""
        if not self.is_possible:
            return
        service = self._service(0)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if processes.find(service) is None:
                raise RetryableError(
                    f"The API ended while starting. The end of {service.log}:\n{processes.tail(service.log)}"
                )
            if self._is_ready():
                return
            time.sleep(_POLL_SECONDS)
        raise RetryableError(f"The API is not ready after {seconds:.0f} s. Look at {service.log} and try again.")

    def state(self) -> ServiceState:
        """Say what it does. Changes nothing."""
        found = processes.find(self._service(0))
        if found is None:
            return ServiceState(NAME, None, "stopped")
        return ServiceState(NAME, found.pid, "healthy" if self._is_ready() else "no answer")

    def stop(self) -> bool:
        """Stop it, once it has answered what it is being asked; say whether it ran."""
        if not self._settings.run.exists():
            return False
        with self._locked():
            return bool(processes.stop([self._service(0)]))

    def _is_ready(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{self.address}/health/ready", timeout=2, trust_env=False).status_code == 200
        return False

    def _service(self, port: int) -> Service:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("LYCEUM_")}
        return Service(
            name="api",
            arguments=(
                *(sys.executable, "-c", "from lyceum.cli import main; main()"),
                *("serve", "--host", loopback.HOST, "--port", str(port)),
            ),
            log=self._settings.logs / "api.log",
            record=self._settings.run / "api.json",
            environment={**inherited, **self._settings.for_serving().environment(), "PYTHONUNBUFFERED": "1"},
            patience=18.0,
        )

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one caller of a home do this at a time."""
        self._settings.create_directories()
        with (self._settings.run / "api.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
