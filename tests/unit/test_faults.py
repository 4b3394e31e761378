"""Points at which a process can be killed on purpose."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from lyceum import faults

PROGRAM = "from lyceum import faults; faults.reach('collect.batch_committed'); print('alive')"


def run(crash_at: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], env={faults.VARIABLE: crash_at}, capture_output=True, check=False
    )


def test_a_process_dies_at_the_point_that_is_named() -> None:
    assert run("collect.batch_committed").returncode == -signal.SIGKILL


@pytest.mark.parametrize("crash_at", ["", "collect.keys_written"])
def test_a_process_survives_every_other_point(crash_at: str) -> None:
    assert run(crash_at).stdout == b"alive\n"


def test_a_point_that_is_not_listed_is_refused() -> None:
    with pytest.raises(ValueError, match=r"collect\.nowhere"):
        faults.reach("collect.nowhere")


def test_every_point_has_a_name_of_its_own() -> None:
    assert len(set(faults.POINTS)) == len(faults.POINTS)
