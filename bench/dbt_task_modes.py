"""Measure one Airflow task per dbt layer, as `build_analytics` has them, beside astronomer-cosmos' watcher mode.

In watcher mode one task runs dbt for all models and a sensor per model waits for its own. Both run under the same real Airflow
(LocalExecutor, warm forks), on the same server, for the same running build, whose candidates each run makes anew; the runs
alternate, after one of each that does not count. For each it prints the wall time of the run, from its start to its end, and
the CPU time of Airflow's processes meanwhile; the ratios are of the medians.

Needs an environment that has astronomer-cosmos beside the project's requirements (it is not one of them):

    python bench/dbt_task_modes.py --home /tmp/modes --rounds 4
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import psutil
from dbt.cli.main import dbtRunner

from lyceum.analytics import build
from lyceum.collect import collect_sources
from lyceum.database import ConnectionTarget, EmbeddedServer, connect, ensure_available, migrate
from lyceum.organizations import add_organization, landing_folder
from lyceum.settings import Settings
from lyceum.simulator import OrganizationPlan, SimulationPlan, simulate, write_delivery
from lyceum.supervisor import AirflowServices
from lyceum.supervisor.airflow_api import AirflowApi
from lyceum.supervisor.lifecycle import wait_for_airflow

_DAGS = {
    "layers": """
from airflow.sdk import chain, dag, task

from lyceum.orchestration.task_context import settings
from lyceum.orchestration.task_policy import library_task


@dag(schedule=None)
def layers():
    @library_task
    def stage_two():
        from lyceum.analytics.models import run_models
        from lyceum.database import target

        run_models(target(settings()), settings(), "stage_two")

    @library_task
    def stage_three():
        from lyceum.analytics.models import run_models
        from lyceum.database import target

        run_models(target(settings()), settings(), "stage_three")

    chain(task(stage_two)(), task(stage_three)())


layers()
""",
    "watcher": """
# Airflow only reads files that speak of airflow and of a dag.
import os
from pathlib import Path

from cosmos import DbtDag, ExecutionConfig, ExecutionMode, LoadMode, ProfileConfig, ProjectConfig, RenderConfig, TestBehavior

PROJECT = Path(os.environ["BENCH_DBT_PROJECT"])

watcher = DbtDag(
    dag_id="watcher",
    schedule=None,
    project_config=ProjectConfig(dbt_project_path=PROJECT, manifest_path=PROJECT / "target" / "manifest.json"),
    profile_config=ProfileConfig(profile_name="lyceum", target_name="build", profiles_yml_filepath=PROJECT / "profiles.yml"),
    execution_config=ExecutionConfig(execution_mode=ExecutionMode.WATCHER),
    render_config=RenderConfig(
        load_method=LoadMode.DBT_MANIFEST,
        select=["path:models/stage_two", "path:models/stage_three"],
        test_behavior=TestBehavior.NONE,
    ),
    operator_args={"install_deps": False},
)
""",
}


class Silence:
    """Tells nobody anything."""

    def step(self, title: str) -> nullcontext[Silence]:
        """Begin a step in silence."""
        return nullcontext(self)

    waiting = step

    def detail(self, text: str) -> None:
        """Say nothing."""

    def heading(self, text: str) -> None:
        """Say nothing."""

    def task(self, title: str, outcome: str, seconds: float | None = None, detail: str = "") -> None:
        """Say nothing."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run of one DAG."""

    wall_seconds: float
    cpu_seconds: float
    tasks: int


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the measurement and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True, help="a folder that does not exist; it is left for a look")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--learners", type=int, default=200)
    parser.add_argument("--days", type=int, default=7)
    options = parser.parse_args(arguments)
    settings = _settings(options.home.absolute())
    target = ensure_available(settings)
    # Airflow's processes inherit these; the tasks of both modes connect to the same database.
    os.environ.update(target.environment(application_name="lyceum-dbt"))
    os.environ["BENCH_DBT_PROJECT"] = str(settings.dbt_project)
    try:
        _begin_build(settings, target, options.learners, options.days)
        _measure(settings, target, options.rounds)
    finally:
        AirflowServices(settings).stop()
        EmbeddedServer(settings).stop()


def _settings(home: Path) -> Settings:
    own = Settings(home=home / "home")
    root = home / "project"
    (root / "dags").mkdir(parents=True)
    for name, text in _DAGS.items():
        (root / "dags" / f"{name}.py").write_text(text)
    for folder in ("plugins", "sql", "expectations"):
        (root / folder).symlink_to(own.project_root / folder)
    shutil.copytree(own.dbt_project, root / "dbt_project", ignore=shutil.ignore_patterns("target", "logs"))
    return replace(own, project_root=root)


def _begin_build(settings: Settings, target: ConnectionTarget, learners: int, days: int) -> None:
    clock = datetime.now(UTC)
    migrate(target, settings)
    organization = OrganizationPlan("bench", "Bench", "Europe/Paris", learners=learners)
    plan = SimulationPlan(
        first_day=datetime.fromtimestamp(clock.timestamp() - days * 86_400, UTC).date(),
        days=days,
        organizations=(organization,),
        until=clock,
    )
    for delivery in simulate(plan):
        write_delivery(delivery, landing_folder(settings, "bench", "xapi"))
    with connect(target) as connection:
        add_organization(connection, "bench", "Bench", "Europe/Paris", clock)
    collect_sources(target, settings, as_of=clock, run_id="bench")
    begun = build.begin(target, settings, clock, "bench")
    print(f"{begun.events:,} events of {learners} learners on {days} days")
    project = str(settings.dbt_project)
    parsed = dbtRunner().invoke(["parse", "--project-dir", project, "--profiles-dir", project, "--quiet"])
    if not parsed.success:
        raise SystemExit(f"The dbt project does not parse: {parsed.exception}")


def _measure(settings: Settings, target: ConnectionTarget, rounds: int) -> None:
    services = AirflowServices(settings)
    services.prepare(target)
    services.start(target)
    wait_for_airflow(settings, Silence())
    measured: dict[str, list[Measurement]] = {name: [] for name in _DAGS}
    with services.api() as api:
        for round_number in range(rounds + 1):
            for name in _DAGS:
                found = _run(api, services, name)
                print(f"{'warm-up' if round_number == 0 else f'round {round_number}'} {name}: {found}", flush=True)
                if round_number:
                    measured[name].append(found)
    print()
    medians = {
        name: (statistics.median(m.wall_seconds for m in found), statistics.median(m.cpu_seconds for m in found))
        for name, found in measured.items()
    }
    for name, (wall, cpu) in medians.items():
        print(f"{name:8} {wall:6.1f} s wall, {cpu:6.1f} s CPU, {measured[name][0].tasks} tasks")
    print(
        f"watcher / layers: {medians['watcher'][0] / medians['layers'][0]:.2f} of the wall time, "
        f"{medians['watcher'][1] / medians['layers'][1]:.2f} of the CPU time"
    )


def _run(api: AirflowApi, services: AirflowServices, name: str) -> Measurement:
    before = _cpu_seconds(services)
    run = api.trigger(name)
    while not (found := api.dag_run(name, run.run_id)).is_finished:
        time.sleep(0.1)
    if found.state != "success" or found.seconds is None:
        states = {task.task_id: task.state for task in api.task_runs(found)}
        raise SystemExit(f"The run of {name} is {found.state}: {states}")
    return Measurement(found.seconds, _cpu_seconds(services) - before, len(api.task_runs(found)))


def _cpu_seconds(services: AirflowServices) -> float:
    """Return the CPU time of Airflow's processes, with that of the children that they have waited for."""
    total = 0.0
    for state in services.states():
        if state.pid is None:
            continue
        process = psutil.Process(state.pid)
        for one in [process, *process.children(recursive=True)]:
            try:
                times = one.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system + times.children_user + times.children_system
    return total


if __name__ == "__main__":
    main()
