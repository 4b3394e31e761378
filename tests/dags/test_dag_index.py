"""`docs/dags.md` is what the DAGs say of themselves, today."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INDEX = ROOT / "docs" / "dags.md"
NAMES = sorted(file.stem for file in (ROOT / "dags").glob("*.py"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What `make docs` would write now, where there is neither a database nor a home."""
    file = tmp_path_factory.mktemp("index") / "dags.md"
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("LYCEUM_", "AIRFLOW_"))
    } | {"HOME": str(file.parent)}
    done = subprocess.run(
        [sys.executable, "-m", "lyceum.orchestration.dag_index", str(file)],
        env=environment,
        cwd=file.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert [path.name for path in file.parent.iterdir()] == ["dags.md"], "making the index leaves something behind"
    return file.read_text()


def test_the_index_in_the_checkout_is_up_to_date(made: str) -> None:
    assert INDEX.read_text() == made, "docs/dags.md is outdated. Run 'make docs' and commit it."


def test_every_dag_has_a_line_and_a_section(made: str) -> None:
    assert re.findall(r"^\| \[`(\w+)`\]", made, re.MULTILINE) == NAMES
    assert re.findall(r"^## (\w+)$", made, re.MULTILINE) == NAMES


def test_every_task_says_what_it_does(made: str) -> None:
    tasks = re.findall(r"^\| `(\w+)` \| ((?:`\w+`(?:, )?)+|–) \| ([^|]*)\|", made, re.MULTILINE)
    assert len(tasks) > 15
    assert [name for name, _, does in tasks if len(does.split()) < 3] == []


def test_the_index_tells_who_wakes_whom(made: str) -> None:
    assert "- `collect_raw_data` announces *raw_data_collection*, which wakes `build_analytics`" in made


def test_no_path_of_the_machine_gets_into_the_index(made: str) -> None:
    assert str(ROOT) not in made
    assert "/tmp" not in made
