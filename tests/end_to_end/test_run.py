"""`lyceum run --once`: from nothing to published numbers through the real Airflow, with nothing left running."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from warehouse import SharedServer

pytestmark = pytest.mark.timeout(1500)


@dataclass(frozen=True)
class Call:
    """What one call of the program said."""

    code: int
    out: str
    err: str

    @property
    def result(self) -> Any:
        return json.loads(self.out.splitlines()[-1])


@dataclass(frozen=True)
class Program:
    """The command line in a home of its own."""

    home: Path

    def __call__(self, *arguments: str) -> Call:
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("LYCEUM_", "AIRFLOW_"))
        }
        done = subprocess.run(
            [sys.executable, "-c", "from lyceum.cli import main; main()", *arguments],
            env={**environment, "LYCEUM_HOME": str(self.home)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return Call(done.returncode, done.stdout, done.stderr)

    def processes(self) -> list[int]:
        """Every process that works in this home. Its environment would not do: whoever sets its title overwrites that."""
        found = []
        for folder in Path("/proc").iterdir():
            try:
                if (folder / "cwd").readlink().is_relative_to(self.home):
                    found.append(int(folder.name))
            except OSError:
                continue
        return found


@pytest.fixture
def lyceum(shared_server: SharedServer) -> Iterator[Program]:
    program = Program(shared_server.new_home())
    yield program
    program("down")


def numbers(call: Call) -> dict[str, tuple[object, ...]]:
    return {
        organization["slug"]: (organization["events"], organization["learners"], organization["published_days"])
        for organization in call.result["organizations"]
    }


def test_one_run_publishes_the_samples_and_leaves_nothing_running_and_another_keeps_them(lyceum: Program) -> None:
    first = lyceum("run", "--once", "--json")

    assert first.code == 0, first.err
    organizations = first.result["organizations"]
    assert len({organization["time_zone"] for organization in organizations}) == 2
    for organization in organizations:
        assert organization["events"] > 1000
        assert organization["learners"] > 50
        assert organization["published_days"] >= 3
        assert organization["weekly_active_learners"] > 0
        # A schedule that comes due in between takes what has landed until then, and the rest is a second build.
        assert organization["data_version"] >= 1
    assert lyceum.processes() == []
    states = lyceum("status", "--json").result
    assert not states["database"]["is_running"]
    assert {service["health"] for service in states["services"]} == {"stopped"}

    again = lyceum("run", "--once")

    assert again.code == 0, again.err
    assert "nothing added" in again.err
    for organization in organizations:
        assert organization["name"] in again.out
        assert f"{organization['events']:,}" in again.out
    assert lyceum.processes() == []


@pytest.mark.exhaustive
def test_a_build_that_fails_is_told_with_its_reason_and_the_next_run_publishes(lyceum: Program) -> None:
    published = lyceum("run", "--once", "--json")
    assert published.code == 0, published.err
    assert lyceum("up", "--database-only").code == 0
    slug = published.result["organizations"][0]["slug"]
    assert lyceum("simulate", slug, "--days", "2", "--seed", "7").code == 0
    rename: Callable[[str, str], Call] = lambda old, new: lyceum(  # noqa: E731
        "psql", "--", "-v", "ON_ERROR_STOP=1", "-c", f"alter table core.verbs rename column {old} to {new}"
    )
    assert rename("iri", "hidden_iri").code == 0

    failed = lyceum("run", "--once")

    assert failed.code != 0
    assert "failed in its task" in failed.err
    assert "Traceback" not in failed.err

    assert rename("hidden_iri", "iri").code == 0
    repaired = lyceum("run", "--once", "--json")
    assert repaired.code == 0, repaired.err
    assert numbers(repaired)[slug] > numbers(published)[slug]
