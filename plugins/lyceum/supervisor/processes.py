"""Background processes that outlive the command that starts them, and are stopped without leaving a child behind.

A service runs in a session of its own. Its children may leave its process group, as Airflow's tasks do, but not its
session, so a session is what is looked for, signalled and waited for.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lyceum.errors import RetryableError

_PROC = Path("/proc")
_POLL_SECONDS = 0.05
_SECONDS_AFTER_SIGTERM = 3.0
_SECONDS_AFTER_SIGKILL = 10.0
_TAIL_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Service:
    """One program to keep running: what to start, where its output goes and where its process id is kept.

    `patience` is how many seconds it may take to end when it is asked to.
    """

    name: str
    arguments: tuple[str, ...]
    log: Path
    record: Path
    environment: Mapping[str, str] = field(repr=False)
    patience: float = 10.0


@dataclass(frozen=True, slots=True)
class ServiceProcess:
    """The process that leads a service's session. `started` tells it from a later process with the same id."""

    pid: int
    started: str


def find(service: Service) -> ServiceProcess | None:
    """Return the service's process if it runs, else None. A zombie does not run."""
    recorded = _read_record(service.record)
    if recorded is None or not _is_same(recorded):
        return None
    return recorded


def start(service: Service) -> ServiceProcess:
    """Start the service in a session of its own and record its process; its log begins anew, the last one is kept as `.1`.

    The caller makes sure that it does not run yet.
    """
    if service.log.exists():
        service.log.replace(service.log.with_name(service.log.name + ".1"))
    with service.log.open("wb") as log:
        child = subprocess.Popen(
            service.arguments,
            env=dict(service.environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=service.log.parent,
            start_new_session=True,
        )
    process = ServiceProcess(child.pid, _started(child.pid) or "")
    partial = service.record.with_name(service.record.name + ".part")
    partial.write_text(json.dumps({"pid": process.pid, "started": process.started}))
    partial.replace(service.record)
    # Nobody waits on the handle: the process is found again by its record, also by later commands.
    child.returncode = 0
    return process


def stop(services: Iterable[Service], *, whole_sessions: Collection[str] = ()) -> list[str]:
    """Stop the services side by side and return the names of those that ran.

    Each leader is asked to end (SIGTERM); what is left of its session after its patience is told to end, and killed
    three seconds later. `whole_sessions` names services whose children are asked at once, because the leader is slow to end them.
    Raises `RetryableError` when a process survives that.
    """
    running = [(service, recorded) for service in services if (recorded := _read_record(service.record)) is not None]
    sessions = {service.name: recorded for service, recorded in running if _members(recorded)}
    for name, recorded in sessions.items():
        is_leader_there = _is_same(recorded)
        _signal(
            [recorded.pid] if is_leader_there and name not in whole_sessions else _members(recorded), signal.SIGTERM
        )
    patience = {service.name: service.patience for service, _ in running}
    _wait_until_empty({recorded: patience[name] for name, recorded in sessions.items()}, signal.SIGTERM)
    _wait_until_empty(dict.fromkeys(sessions.values(), _SECONDS_AFTER_SIGTERM), signal.SIGKILL)
    _wait_until_empty(dict.fromkeys(sessions.values(), _SECONDS_AFTER_SIGKILL), None)
    survivors = {name: _members(recorded) for name, recorded in sessions.items() if _members(recorded)}
    if survivors:
        found = "; ".join(f"{name}: {', '.join(map(str, pids))}" for name, pids in survivors.items())
        raise RetryableError(
            f"Processes are still there after SIGKILL ({found}). Expected them to end; they probably wait for a disk. "
            "Run `lyceum down` again once it answers."
        )
    for service, _ in running:
        service.record.unlink(missing_ok=True)
    return list(sessions)


def tail(log: Path, lines: int = 20) -> str:
    """Return the last lines of a log, without control characters; an empty string when there is no log."""
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    printable = ("".join(character for character in line if character.isprintable()) for line in text.splitlines())
    return "\n".join([line for line in printable if line.strip()][-lines:])


def _read_record(path: Path) -> ServiceProcess | None:
    try:
        record = json.loads(path.read_text())
        return ServiceProcess(int(record["pid"]), str(record["started"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _started(pid: int) -> str | None:
    """Return when the process began, in the system's own spelling; None when there is no such process.

    Where /proc is, that is the kernel's tick count: it does not move when somebody sets the clock.
    """
    if _PROC.is_dir():
        fields = _proc_fields(pid)
        return fields[19] if fields else None
    return _ps(pid, "lstart") or None


def _is_alive(pid: int) -> bool:
    # A child of ours that has ended stays a zombie until someone waits for it.
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    fields = _proc_fields(pid)
    state = fields[0] if fields else "" if _PROC.is_dir() else _ps(pid, "state")
    return bool(state) and state[0] not in "ZX"


def _proc_fields(pid: int) -> list[str]:
    """Return the fields of /proc/<pid>/stat from the state on (the name before it may hold anything), or none."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _ps(pid: int, column: str) -> str:
    return subprocess.run(
        ["ps", "-o", f"{column}=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.strip()


def _pids() -> list[int]:
    if _PROC.is_dir():
        return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()]
    listing = subprocess.run(["ps", "-A", "-o", "pid="], capture_output=True, text=True, check=False).stdout
    return [int(word) for word in listing.split()]


def _is_same(recorded: ServiceProcess) -> bool:
    return _is_alive(recorded.pid) and _started(recorded.pid) == recorded.started


def _members(recorded: ServiceProcess) -> list[int]:
    """Return the living processes of the recorded session, its leader first."""
    started = _started(recorded.pid)
    if started is not None and started != recorded.started:
        # The id was given away again, which the kernel does only when nobody of the session is left.
        return []
    members = []
    for pid in _pids():
        try:
            if os.getsid(pid) == recorded.pid and _is_alive(pid):
                members.append(pid)
        except (ProcessLookupError, PermissionError):
            continue
    return sorted(members, key=lambda pid: pid != recorded.pid)


def _signal(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _wait_until_empty(patience: Mapping[ServiceProcess, float], then: signal.Signals | None) -> None:
    """Wait for the sessions, each as many seconds as it is given; signal what is left of one whose time is over."""
    began = time.monotonic()
    waiting = dict(patience)
    while waiting:
        for recorded, seconds in list(waiting.items()):
            members = _members(recorded)
            if members and time.monotonic() - began < seconds:
                continue
            del waiting[recorded]
            if then is not None:
                _signal(members, then)
        if waiting:
            time.sleep(_POLL_SECONDS)
