"""The two stores while they run: started on loopback, filled through their own interface, stopped or killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

USER, PASSWORD = "lyceum", "correct horse"
# bcrypt of the password, as `ralph auth` makes it. Making one takes a second.
_HASH = "$2b$04$ewRba21ssGc4a9oAIioA1Ojw2I9tvsZy2.JTJGGaOr9Q9GecxOSHO"
_SECONDS = 60
_POSTED_AT_ONCE = 1_000
_INTAKES = 60


@dataclass(frozen=True, slots=True)
class Store:
    """A store that runs. `endpoint` is what a source states; `user` and `password` are let in."""

    endpoint: str
    user: str
    password: str
    version: str

    @property
    def credentials(self) -> str:
        """What a variable with credentials holds."""
        return f"{self.user}:{self.password}"

    def put(self, statements: Sequence[dict[str, Any]]) -> None:
        """Let the store take the statements, as any activity provider would."""
        for first in range(0, len(statements), _POSTED_AT_ONCE):
            self.post(statements[first : first + _POSTED_AT_ONCE], self.user)

    def post(self, statements: Sequence[dict[str, Any]], user: str) -> None:
        """Send statements in the name of a user."""
        with httpx.Client(trust_env=False, timeout=_SECONDS) as client:
            answer = client.post(
                f"{self.endpoint}/statements",
                json=list(statements),
                auth=(user, self.password),
                headers={"X-Experience-API-Version": self.version},
            )
            assert answer.status_code == 200, answer.text

    def ids(self) -> set[str]:
        """Return the ids of all statements that the store gives out, asked for in the plainest way."""
        found: set[str] = set()
        address: str | None = f"{self.endpoint}/statements?limit=500"
        with httpx.Client(trust_env=False, timeout=_SECONDS, auth=(self.user, self.password)) as client:
            while address:
                answer = client.get(address, headers={"X-Experience-API-Version": self.version}).json()
                found |= {statement["id"] for statement in answer["statements"]}
                more = answer.get("more")
                address = str(httpx.URL(self.endpoint).join(more)) if more else None
        return found


@dataclass(frozen=True, slots=True)
class RalphStore(Store):
    """One user's store in a ralph. Its file back end takes one request into a file and refuses the next, so each request goes
    to a file of its own, which is then added to the user's.
    """

    ralph: Ralph

    def put(self, statements: Sequence[dict[str, Any]]) -> None:
        for first in range(0, len(statements), _POSTED_AT_ONCE):
            intake = next(self.ralph.intakes)
            self.post(statements[first : first + _POSTED_AT_ONCE], intake)
            taken = self.ralph.file_of(intake).read_bytes()
            with self.ralph.file_of(self.user).open("ab") as file:
                file.write(taken)


class Ralph:
    """A ralph of one's own, which keeps its statements in a folder: a new process in the same folder has them still."""

    def __init__(self, interpreter: Path, folder: Path, users: Sequence[str] = (USER,)) -> None:
        self.port = _free_port()
        self._interpreter = interpreter
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        intakes = [f"intake{number}" for number in range(_INTAKES)]
        self.intakes = iter(intakes)
        data = folder / "data"
        for user in (*users, *intakes):
            (data / user).mkdir(parents=True)
        (folder / "auth.json").write_text(
            json.dumps(
                [
                    {
                        "agent": {"mbox": f"mailto:{user}@example.com", "objectType": "Agent"},
                        "scopes": ["all"],
                        "hash": _HASH,
                        "username": user,
                        "target": str(data / user),
                    }
                    for user in (*users, *intakes)
                ]
            )
        )

    def start(self) -> None:
        """Start it and wait until it answers."""
        variables = {
            "RALPH_APP_DIR": str(self._folder),
            "RALPH_AUTH_FILE": str(self._folder / "auth.json"),
            "RALPH_BACKENDS__LRS__FS__DEFAULT_DIRECTORY_PATH": str(self._folder / "data"),
            "RALPH_RUNSERVER_BACKEND": "fs",
            "RALPH_RUNSERVER_MAX_SEARCH_HITS_COUNT": "1000",
        }
        self._process = subprocess.Popen(
            [str(self._interpreter), "-m", "uvicorn", "ralph.api:app", "--host", "127.0.0.1", "--port", str(self.port)],
            cwd=self._folder,
            env={**_environment(), **variables},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _wait(self._process, f"http://127.0.0.1:{self.port}/__lbheartbeat__")

    def kill(self) -> None:
        """End it at once, as a lost machine would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def store(self, user: str = USER) -> Store:
        """Return the store of one of its users; each has statements of its own."""
        self.file_of(user).touch()
        return RalphStore(f"http://127.0.0.1:{self.port}/xAPI", user, PASSWORD, "2.0.0", self)

    def file_of(self, user: str) -> Path:
        """Return the file that holds a user's statements."""
        return self._folder / "data" / user / "fs_lrs.jsonl"


@contextlib.contextmanager
def node_store(installed: Path, folder: Path) -> Iterator[Store]:
    """Run the Node store, empty, as long as the context lasts."""
    process = subprocess.Popen(
        ["node", str(Path(__file__).with_name("node_store.js")), str(folder / "logs")],
        cwd=folder,
        env={**_environment(), "NODE_PATH": str(installed / "node_modules"), "NODE_NO_WARNINGS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        yield Store(f"http://127.0.0.1:{port}/xAPI", USER, PASSWORD, "1.0.3")
    finally:
        process.kill()
        process.communicate()


def _wait(process: subprocess.Popen[bytes], address: str) -> None:
    transport = httpx.HTTPTransport(retries=0)
    with httpx.Client(transport=transport, trust_env=False) as client:
        while process.poll() is None:
            with contextlib.suppress(httpx.TransportError):
                client.get(address)
                return
            # Nothing tells when it listens; asking is the only way.
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
    raise AssertionError(f"The store ended with {process.returncode} before it answered.")


def _environment() -> dict[str, str]:
    return {
        name: value for name, value in os.environ.items() if not name.startswith(("RALPH_", "PYTHON", "VIRTUAL_ENV"))
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
