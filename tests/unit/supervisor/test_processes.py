"""Background processes are found again by their record, and stopped with every child they have."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lyceum.supervisor import processes
from lyceum.supervisor.processes import Service

WAITS = "import signal; signal.pause()"
IGNORES_TERMINATION = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); signal.pause()"
)
HAS_A_CHILD_IN_ITS_OWN_GROUP = f"""
import os, signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {WAITS!r}], preexec_fn=lambda: os.setpgid(0, 0))
print(child.pid, flush=True)
signal.pause()
"""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    made: list[Service] = []

    def make(program: str, patience: float = 0.1) -> Service:
        made.append(
            Service(
                name=f"service-{len(made)}",
                arguments=(sys.executable, "-c", program),
                log=tmp_path / f"{len(made)}.log",
                record=tmp_path / f"{len(made)}.json",
                environment=os.environ,
                patience=patience,
            )
        )
        return made[-1]

    yield make
    processes.stop(made)


def first_line(service: Service) -> str:
    while not (text := service.log.read_text()).endswith("\n"):
        time.sleep(0.01)
    return text.strip()


def exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_a_started_service_is_found_by_its_record_and_a_stopped_one_is_not(service: Callable[..., Service]) -> None:
    waiting = service(WAITS)
    assert processes.find(waiting) is None

    started = processes.start(waiting)

    assert processes.find(waiting) == started
    assert processes.stop([waiting]) == [waiting.name]
    assert processes.find(waiting) is None
    assert not exists(started.pid)
    assert not waiting.record.exists()


def test_a_service_that_ended_by_itself_is_not_running(service: Callable[..., Service]) -> None:
    ended = service("pass")
    pid = processes.start(ended).pid
    while processes.find(ended) is not None:
        time.sleep(0.01)

    assert not exists(pid)


def test_stopping_ends_children_that_left_the_process_group(service: Callable[..., Service]) -> None:
    parent = service(HAS_A_CHILD_IN_ITS_OWN_GROUP)
    processes.start(parent)
    child = int(first_line(parent))
    assert exists(child)

    processes.stop([parent])

    assert not processes._is_alive(child)


def test_stopping_ends_what_a_killed_leader_left_behind(service: Callable[..., Service]) -> None:
    parent = service(HAS_A_CHILD_IN_ITS_OWN_GROUP)
    leader = processes.start(parent).pid
    child = int(first_line(parent))
    os.kill(leader, 9)
    while processes.find(parent) is not None:
        time.sleep(0.01)

    assert processes.stop([parent]) == [parent.name]

    assert not processes._is_alive(child)


def test_a_whole_session_is_asked_to_end_at_once(service: Callable[..., Service]) -> None:
    parent = service(HAS_A_CHILD_IN_ITS_OWN_GROUP, patience=3600)
    processes.start(parent)
    child = int(first_line(parent))

    # Asked one after the other, the leader's end would leave the child until the patience is over.
    processes.stop([parent], whole_sessions=[parent.name])

    assert not processes._is_alive(child)


def test_a_service_that_ignores_termination_is_killed(service: Callable[..., Service]) -> None:
    deaf = service(IGNORES_TERMINATION)
    pid = processes.start(deaf).pid
    first_line(deaf)

    processes.stop([deaf])

    assert not processes._is_alive(pid)


def test_a_later_process_with_the_recorded_id_is_neither_found_nor_stopped(service: Callable[..., Service]) -> None:
    stranger, ours = service(WAITS), service(WAITS)
    pid = processes.start(stranger).pid
    ours.record.write_text(json.dumps({"pid": pid, "started": "another instant"}))

    assert processes.find(ours) is None
    assert processes.stop([ours]) == []
    assert processes.find(stranger) is not None


def test_a_damaged_record_counts_as_not_running(service: Callable[..., Service]) -> None:
    damaged = service(WAITS)
    damaged.record.write_text('{"pid": ')

    assert processes.find(damaged) is None


def test_a_restart_keeps_the_last_log(service: Callable[..., Service]) -> None:
    speaker = service("print('said', flush=True)")
    processes.start(speaker)
    first_line(speaker)
    processes.stop([speaker])

    processes.start(speaker)

    assert speaker.log.with_name(speaker.log.name + ".1").read_text() == "said\n"


def test_the_tail_of_a_log_is_its_last_lines_without_control_characters(tmp_path: Path) -> None:
    log = tmp_path / "service.log"
    log.write_bytes(b"first\nsecond\n\n\x1b[31mthird\x07 \xff\n")

    assert processes.tail(log, lines=2) == "second\n[31mthird �"
    assert processes.tail(tmp_path / "absent.log") == ""
