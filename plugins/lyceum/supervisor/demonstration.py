"""`lyceum run`: from an empty folder to published numbers, told step by step, then running until it is stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from lyceum.database import EmbeddedServer, airflow_target
from lyceum.errors import LyceumError, RetryableError
from lyceum.settings import Settings
from lyceum.supervisor import lifecycle
from lyceum.supervisor.airflow_api import AirflowApi, DagRun, TaskRun
from lyceum.supervisor.airflow_services import AirflowServices
from lyceum.supervisor.api_service import NAME as API_NAME
from lyceum.supervisor.api_service import ApiService
from lyceum.supervisor.lifecycle import Running
from lyceum.supervisor.narration import Narrator, Step
from lyceum.supervisor.samples import ensure_samples
from lyceum.supervisor.summary import CourseSummary, OrganizationSummary, busiest_courses, summarize

_POLL_SECONDS = 0.4
_WATCH_SECONDS = 5.0
_WOKEN_SECONDS = 60.0
_EARLIER = timedelta(hours=12)
_RESTARTS = 5
_SYNC = "sync_roster"
_COLLECT = "collect_raw_data"
_BUILD = "build_analytics"
_ANNOUNCE = "announce"
_PUBLISH = "publish"
_REFRESH = ("refresh_learner_summary", "refresh_organization_metrics")
_RESTARTED = "it had ended and was started again"

Stay = Callable[[float], bool]
"""`stay(seconds)` waits that long and says whether to go on; it returns early, and False, when somebody asks to stop."""


class DagRunError(LyceumError):
    """A DAG run failed; the message ends with the log of the task that did."""


@dataclass(frozen=True, slots=True)
class Published:
    """What `lyceum run` shows when numbers are up; `has_changed` tells whether this call published anything new."""

    seconds: float
    has_changed: bool
    airflow: str
    api: str | None
    organizations: tuple[OrganizationSummary, ...]
    courses: tuple[CourseSummary, ...]


@contextmanager
def running_warehouse(settings: Settings, narrator: Narrator, clock: Callable[[], datetime]) -> Iterator[Published]:
    """Bring the warehouse up, load the samples where it is empty, collect, build and publish; then hand over what is up.

    When the block ends, or on any error, what this call started is stopped; what ran before keeps running.
    """
    began = time.monotonic()
    was_airflow_running = AirflowServices(settings).is_running()
    was_api_running = ApiService(settings).address is not None
    was_database_running = settings.database_url is not None or EmbeddedServer(settings).status().is_running
    try:
        running = lifecycle.start(settings, narrator)
        with narrator.step("Sample data") as step:
            _make_samples(settings, running, step, clock())
        lifecycle.wait_for_airflow(settings, narrator)
        has_changed = _collect_and_build(settings, narrator)
        yield Published(
            seconds=time.monotonic() - began,
            has_changed=has_changed,
            airflow=str(running.airflow),
            api=ApiService(settings).address,
            organizations=tuple(summarize(running.target)),
            courses=tuple(busiest_courses(running.target)),
        )
    finally:
        _stop(
            settings,
            narrator,
            api=not was_api_running,
            airflow=not was_airflow_running,
            database=not was_database_running,
        )


def watch(settings: Settings, narrator: Narrator, stay: Stay) -> None:
    """Tell every DAG run that ends, and start again what ends by itself, until `stay` says no.

    Raises `RetryableError` when Airflow's processes keep ending.
    """
    services = AirflowServices(settings)
    server = EmbeddedServer(settings) if settings.database_url is None else None
    restarts = 0
    told: set[str] = set()
    with services.api() as api:
        for run in _finished_runs(api):
            told.add(run.run_id)
        while stay(_WATCH_SECONDS):
            if server is not None and not server.status().is_running:
                server.ensure_started()
                narrator.task("database", "failed", detail=_RESTARTED)
            for name in services.start(airflow_target(settings)):
                restarts += 1
                narrator.task(name, "failed", detail=_RESTARTED)
            if ApiService(settings).start():
                restarts += 1
                narrator.task(API_NAME, "failed", detail=_RESTARTED)
            if restarts > _RESTARTS:
                raise RetryableError(
                    f"The processes ended {restarts} times. Expected them to stay up; read the logs in {settings.logs}."
                )
            try:
                finished = [run for run in _finished_runs(api) if run.run_id not in told]
            except RetryableError:
                continue
            for run in reversed(finished):
                told.add(run.run_id)
                narrator.task(run.dag_id, run.state, run.seconds, f"{run.run_after:%H:%M} UTC")


def _make_samples(settings: Settings, running: Running, step: Step, as_of: datetime) -> None:
    step.detail("simulating two organizations")
    samples = ensure_samples(running.target, settings, as_of)
    if samples is None:
        step.detail("the warehouse has organizations already, nothing added")
        return
    step.detail(
        f"{samples.statements:,} xAPI statements and {samples.rosters} rosters of {' and '.join(samples.organizations)}"
    )


def _collect_and_build(settings: Settings, narrator: Narrator) -> bool:
    """Take what has landed, wait for the build that covers it, and refresh the views; say whether any build published."""
    with AirflowServices(settings).api() as api:
        landed = []
        for run in (api.trigger(_SYNC), api.trigger(_COLLECT)):
            landed.append(_follow(api, run, narrator))
            _require_success(api, landed[-1])
        builds = _follow_builds(api, landed, narrator)
        _require_success(api, builds[-1])
        for dag_id in _REFRESH:
            _require_success(api, _follow(api, api.trigger(dag_id), narrator))
        tasks = [task for build in builds for task in api.task_runs(build)]
        return any(task.task_id == _PUBLISH and task.state == "success" for task in tasks)


def _follow_builds(api: AirflowApi, landed: list[DagRun], narrator: Narrator) -> list[DagRun]:
    """Tell the builds until one has ended that began after each of the runs told of itself, and therefore covers them.

    Not the build whose asset event came from one of them: Airflow wakes one build for several events, and names the
    first of them only.
    """
    tasks = [task for run in landed for task in api.task_runs(run) if task.task_id == _ANNOUNCE]
    announced = max(task.started_at for task in tasks if task.started_at is not None)
    builds: list[DagRun] = []
    deadline = time.monotonic() + _WOKEN_SECONDS
    while time.monotonic() < deadline:
        runs = api.dag_runs(_BUILD, since=announced - _EARLIER)
        covering = next((run for run in runs if run.started_at is not None and run.started_at >= announced), None)
        if covering is not None:
            return [*builds, _follow(api, covering, narrator)]
        told = {build.run_id for build in builds}
        earlier = next((run for run in runs if run.state == "running" and run.run_id not in told), None)
        if earlier is not None:
            builds.append(_follow(api, earlier, narrator))
            deadline = time.monotonic() + _WOKEN_SECONDS
            continue
        with narrator.waiting(f"Waiting for {_COLLECT} to wake {_BUILD}"):
            time.sleep(_POLL_SECONDS)
    raise RetryableError(
        f"{_COLLECT} succeeded but {_BUILD} did not start within {_WOKEN_SECONDS:.0f} s. Expected its asset to wake it; "
        "look whether the DAG is paused in Airflow's UI, then try again."
    )


def _follow(api: AirflowApi, run: DagRun, narrator: Narrator) -> DagRun:
    """Tell each task as it ends, until the run has ended; return what it has come to."""
    narrator.heading(run.dag_id)
    told: set[tuple[str, int]] = set()
    with narrator.waiting("queued") as waiting:
        while True:
            # The run first: tasks that end between the two questions are then told before the run counts as ended.
            run = api.dag_run(run.dag_id, run.run_id)
            tasks = api.task_runs(run)
            for task in tasks:
                if task.is_finished and (task.task_id, task.map_index) not in told:
                    told.add((task.task_id, task.map_index))
                    narrator.task(_title(task), _outcome(task), _took(task))
            if run.is_finished:
                break
            waiting.detail(_under_way(tasks))
            time.sleep(_POLL_SECONDS)
    return run


def _require_success(api: AirflowApi, run: DagRun) -> None:
    if run.state != "failed":
        return
    failed = next((task for task in api.task_runs(run) if task.state == "failed"), None)
    if failed is None:
        raise DagRunError(f"{run.dag_id} failed, though none of its tasks did. Look at {run.run_id} in Airflow's UI.")
    log = "\n".join(f"    {line}" for line in api.task_log(run, failed).splitlines())
    raise DagRunError(
        f"{run.dag_id} failed in its task {_title(failed)}. Nothing was published; the last version stays up. "
        f"The end of the task's log:\n{log}"
    )


def _under_way(tasks: list[TaskRun]) -> str:
    running = [task for task in tasks if task.state == "running"]
    retrying = [task for task in tasks if task.state == "up_for_retry"]
    if running:
        return ", ".join(_title(task) for task in running)
    return f"{_title(retrying[0])} failed and will be tried again" if retrying else "waiting for the scheduler"


def _title(task: TaskRun) -> str:
    return f"{task.task_id} {task.label}" if task.label else task.task_id


def _outcome(task: TaskRun) -> str:
    return "failed" if task.state in ("failed", "upstream_failed") else str(task.state)


def _took(task: TaskRun) -> float | None:
    return task.seconds if task.state in ("success", "failed") else None


def _finished_runs(api: AirflowApi) -> list[DagRun]:
    """Return the runs that have ended, the latest first."""
    runs = [run for dag_id in sorted(api.dag_ids()) for run in api.dag_runs(dag_id, states=("success", "failed"))]
    return sorted(runs, key=lambda run: run.run_after, reverse=True)


def _stop(settings: Settings, narrator: Narrator, *, api: bool, airflow: bool, database: bool) -> None:
    if api:
        with narrator.step("API") as step:
            ApiService(settings).stop()
            step.detail("stopped")
    if airflow:
        with narrator.step("Airflow") as step:
            AirflowServices(settings).stop()
            step.detail("stopped")
    if database:
        with narrator.step("Database") as step:
            EmbeddedServer(settings).stop()
            step.detail("stopped")
