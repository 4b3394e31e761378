"""Nothing of a test run is left behind, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from lyceum.database import EmbeddedServer
from warehouse import begin_test_run

RUN = """
import sys
sys.path.insert(0, sys.argv[1])
from lyceum.database import EmbeddedServer
from warehouse import begin_test_run
run = begin_test_run({})
run.server.start()
print(run.server.home, EmbeddedServer(run.server.settings).status().pid, flush=True)
sys.stdin.read()
"""


def test_the_end_of_a_run_removes_its_server_and_its_home() -> None:
    run = begin_test_run({})
    EmbeddedServer(run.server.settings).ensure_started()
    pid = EmbeddedServer(run.server.settings).status().pid

    run.end()

    assert not run.server.home.exists()
    assert _is_gone(pid)


def test_a_killed_run_leaves_nothing_behind() -> None:
    tests = Path(__file__).parents[1]
    run = subprocess.Popen(
        [sys.executable, "-c", RUN, str(tests)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert run.stdout is not None
    home, pid = run.stdout.readline().split()
    assert Path(home).exists()

    # The whole process group, as a terminal or a CI runner does it.
    os.killpg(run.pid, signal.SIGKILL)
    # The guard holds the other end of this pipe until it is done.
    rest, _ = run.communicate()

    assert rest == ""
    assert not Path(home).exists()
    assert _is_gone(int(pid))


def _is_gone(pid: int | None) -> bool:
    assert pid is not None
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"
