"""Every DAG keeps the house's policy: documented, owned, retried with back-off, limited in time, and silent when read."""

from __future__ import annotations

import ast
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lyceum.analytics.build import STEPS
from lyceum.database import ConnectionTarget
from lyceum.pools import POOLS, PUBLISHING
from lyceum.settings import Settings
from lyceum.supervisor import AirflowServices

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "dags").glob("*.py"))
ORCHESTRATION = sorted((ROOT / "plugins" / "lyceum" / "orchestration").glob("*.py"))
LIBRARY = sorted((ROOT / "plugins" / "lyceum").rglob("*.py"))
NAMES = [file.stem for file in FILES]

PUBLISHES = {
    "archive_yearly",
    "build_analytics",
    "cleanup_daily",
    "cleanup_weekly",
    "erase_person",
    "refresh_learner_summary",
    "refresh_organization_metrics",
}

DEADLINES = {
    "archive_yearly": 24 * 60,
    "cleanup_daily": 6 * 60,
    "cleanup_weekly": 12 * 60,
    "generate_reports": 8 * 60,
    "maintain_monthly": 24 * 60,
    "build_analytics": 60,
    "collect_audit_logs": 20,
    "monitor_warehouse": 15,
    "collect_raw_data": 60,
    "seal_audit_trail": 10,
    "sync_roster": 60,
    "refresh_learner_summary": 30,
    "refresh_organization_metrics": 30,
}

# How a docstring's first line says when its DAG runs. Every schedule has a minute of its own, or shares it for a reason.
IN_WORDS = {
    "* * * * *": "every minute",
    "2-59/5 * * * *": "every 5 minutes",
    "4-59/5 * * * *": "every 5 minutes",
    "*/15 * * * *": "every 15 minutes",
    "13-59/15 * * * *": "every 15 minutes",
    "10 */4 * * *": "every 4 hours",
    "10 */6 * * *": "every 6 hours",
    "40 3 * * *": "every night",
    "25 0 * * *": "every day",
    "50 0 * * 2": "every week",
    "30 14 * * 1": "every Monday",
    "20 1 1 * *": "every month",
    "35 1 2 1 *": "every year",
    "20 2 * * *": "every night",
}


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What Airflow reads where there is neither a database nor a Lyceum home."""
    folder = tmp_path_factory.mktemp("airflow")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("LYCEUM_", "AIRFLOW_"))},
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql+psycopg://nobody@127.0.0.1:1/none",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "LYCEUM_HOME": str(folder / "lyceum"),
    }
    program = Path(__file__).with_name("declarations.py")
    said = subprocess.run(
        [sys.executable, str(program), str(ROOT / "dags")], env=environment, capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr[-2000:]
    assert not (folder / "lyceum").exists(), "reading the DAGs made a Lyceum home"
    found: dict[str, Any] = json.loads(said.stdout.splitlines()[-1])
    return found


def test_airflow_reads_every_file_without_a_database(read: dict[str, Any]) -> None:
    assert read["import_errors"] == {}
    assert sorted(read["dags"]) == NAMES


def test_the_dags_that_the_documentation_names_exist() -> None:
    assert {"collect_raw_data", "build_analytics", "load_history", "publish_documentation"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_dag_is_named_after_its_file_and_documented_by_its_docstring(read: dict[str, Any], name: str) -> None:
    dag = read["dags"][name]
    docstring = ast.get_docstring(ast.parse((ROOT / "dags" / f"{name}.py").read_text()), clean=False)

    assert dag["file"] == f"{name}.py"
    assert docstring is not None
    assert dag["doc"].strip() == docstring.strip()
    for part in ("**Purpose.**", "**Inputs.**", "**Outputs.**", "**Re-running"):
        assert part in docstring


@pytest.mark.parametrize("name", NAMES)
def test_a_dag_is_tagged_and_never_overlaps_itself(read: dict[str, Any], name: str) -> None:
    dag = read["dags"][name]

    assert "lyceum" in dag["tags"]
    assert dag["catchup"] is False
    assert dag["max_active_runs"] == 1


@pytest.mark.parametrize("name", NAMES)
def test_every_task_is_owned_retried_with_back_off_limited_and_told_when_it_fails(
    read: dict[str, Any], name: str
) -> None:
    for task_id, task in read["dags"][name]["tasks"].items():
        assert task["owner"] == "lyceum", task_id
        assert task["retries"] >= 1, task_id
        assert task["backs_off"], task_id
        assert task["time_limit"] is not None, task_id
        assert task["failure_callbacks"] == ["log_failure", "alert_of_failure"], task_id


@pytest.mark.parametrize("name", NAMES)
def test_a_run_that_succeeds_resolves_the_alerts_of_its_dag(read: dict[str, Any], name: str) -> None:
    assert read["dags"][name]["success_callbacks"] == ["resolve_alerts_of_dag"]


def test_tasks_that_write_what_is_published_take_turns_and_no_other_waits_for_them(read: dict[str, Any]) -> None:
    pools = {name: {task["pool"] for task in dag["tasks"].values()} for name, dag in read["dags"].items()}
    defined = {pool.name for pool in POOLS} | {"default_pool"}

    assert PUBLISHING.slots == 1
    assert set().union(*pools.values()) <= defined, "a task of a pool that does not exist never runs"
    assert {name for name, used in pools.items() if PUBLISHING.name in used} == PUBLISHES
    assert all(used == {PUBLISHING.name} for name, used in pools.items() if name in PUBLISHES)


def test_every_scheduled_dag_that_people_wait_for_has_a_deadline_from_when_it_was_queued(read: dict[str, Any]) -> None:
    found = {name: dag["deadlines"] for name, dag in read["dags"].items() if dag["deadlines"]}

    assert {name: [deadline["minutes"] for deadline in deadlines] for name, deadlines in found.items()} == {
        name: [minutes] for name, minutes in DEADLINES.items()
    }
    for name, (deadline,) in found.items():
        assert deadline["counts_from"] == "DagRunQueuedAtDeadline", name
        assert deadline["callback"] == "lyceum.orchestration.deadlines.tell_late", name


@pytest.mark.parametrize("name", NAMES)
def test_a_dag_is_on_by_default_and_scheduled_as_its_documentation_begins(read: dict[str, Any], name: str) -> None:
    dag = read["dags"][name]
    title = dag["doc"].strip().splitlines()[0]

    assert not dag["is_paused"]
    if dag["assets"]:
        assert " whenever " in title
    elif dag["cron"]:
        assert title.endswith(f", {IN_WORDS[dag['cron']]}.")
    else:
        assert dag["schedule"] == "NullTimetable"
        assert " every " not in title


def test_what_airflow_reads_for_the_first_time_is_not_paused(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, database_url="postgresql://lyceum@127.0.0.1/lyceum")
    environment = AirflowServices(settings).environment(ConnectionTarget("127.0.0.1", 5432, "lyceum", "lyceum"))

    assert environment["AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION"] == "False"


def test_the_build_runs_the_steps_of_the_library_in_their_order(read: dict[str, Any]) -> None:
    tasks = read["dags"]["build_analytics"]["tasks"]

    # However a build ends, its report is written.
    assert sorted(tasks) == sorted([*STEPS, "report_quality"])
    for earlier, later in itertools.pairwise([*STEPS, "report_quality"]):
        assert earlier in tasks[later]["upstream"]


def test_what_collects_wakes_the_build(read: dict[str, Any]) -> None:
    dags = read["dags"]

    assert sorted(dags["build_analytics"]["assets"]) == ["raw_data_collection", "roster"]
    assert dags["sync_roster"]["tasks"]["announce"]["outlets"] == ["roster"]
    for name in ("collect_raw_data", "load_history", "replay_quarantine"):
        assert dags[name]["tasks"]["announce"]["outlets"] == ["raw_data_collection"]


def test_sources_are_looked_up_in_the_run_not_when_the_dag_is_read(read: dict[str, Any]) -> None:
    tasks = read["dags"]["collect_raw_data"]["tasks"]

    assert tasks["collect_source"]["is_mapped"]
    assert tasks["collect_source"]["upstream"] == ["list_active_sources"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_dag_file_is_short(file: Path) -> None:
    assert len(file.read_text().splitlines()) < 100


@pytest.mark.parametrize("file", [*FILES, *ORCHESTRATION], ids=lambda file: file.stem)
def test_no_task_reads_the_wall_clock(file: Path) -> None:
    clocks = {"now", "utcnow", "today", "time", "time_ns"}
    read_clocks = [
        ast.unparse(node)
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in clocks
    ]

    assert read_clocks == []


def test_only_orchestration_imports_airflow() -> None:
    importing = {
        file.relative_to(ROOT / "plugins" / "lyceum").parts[0]
        for file in LIBRARY
        for node in ast.walk(ast.parse(file.read_text()))
        if (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "airflow")
        or (isinstance(node, ast.Import) and any(alias.name.split(".")[0] == "airflow" for alias in node.names))
    }

    assert importing == {"orchestration"}


def test_the_plugin_loader_is_kept_out_of_the_library() -> None:
    # Airflow 3 reads glob patterns; a regular expression here would let it execute every file of the library.
    assert (ROOT / "plugins" / ".airflowignore").read_text().split() == ["lyceum/"]
