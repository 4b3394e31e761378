"""The few questions that Lyceum asks Airflow's REST API."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from lyceum.errors import ConfigurationError, RetryableError
from lyceum.pools import Pool
from lyceum.supervisor.credentials import ADMINISTRATOR

COMPONENTS = ("metadatabase", "scheduler", "dag_processor", "triggerer")

FINISHED_TASK_STATES = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})

_SECONDS = 30.0
_FIRST_ANSWER_SECONDS = 120.0
_GROUP = "::group::"
_END_OF_GROUP = "::endgroup::"
_ATTEMPTS = 4


@dataclass(frozen=True, slots=True)
class DagRun:
    """One run of one DAG: `state` is queued, running, success or failed."""

    dag_id: str
    run_id: str
    state: str
    run_after: datetime
    started_at: datetime | None
    ended_at: datetime | None

    @property
    def is_finished(self) -> bool:
        """Whether the run has come to its end, good or bad."""
        return self.state in ("success", "failed")

    @property
    def seconds(self) -> float | None:
        """How long it ran, None while it does."""
        if self.started_at is None or self.ended_at is None:
            return None
        return (self.ended_at - self.started_at).total_seconds()


@dataclass(frozen=True, slots=True)
class TaskRun:
    """One task of a run; `map_index` is -1 where the task is not mapped, `label` tells mapped ones apart."""

    task_id: str
    map_index: int
    label: str
    state: str | None
    try_number: int
    started_at: datetime | None
    seconds: float | None

    @property
    def is_finished(self) -> bool:
        """Whether the task will not run again by itself."""
        return self.state in FINISHED_TASK_STATES


class AirflowApi:
    """A session with one API server on loopback, signed in as its administrator."""

    def __init__(self, address: str, password: str) -> None:
        """Take the server's address, such as http://127.0.0.1:8080, and the administrator's password. Connects to nothing."""
        self._address = address
        self._password = password
        # A proxy that the environment names has no business with loopback.
        self._client = httpx.Client(base_url=address, timeout=_SECONDS, trust_env=False)
        self._token: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def health(self) -> dict[str, str]:
        """Return the state of each component, `healthy` or not; empty when the server does not answer."""
        try:
            answer = self._client.get("/api/v2/monitor/health", timeout=3.0)
            answer.raise_for_status()
            found = answer.json()
        except (httpx.HTTPError, ValueError):
            return {}
        return {name: (found.get(name) or {}).get("status") or "unknown" for name in COMPONENTS}

    def is_execution_ready(self) -> bool:
        """Say whether the tasks' own API answers. Its first answer takes the server seconds, and stops all others meanwhile."""
        try:
            return self._client.get("/execution/health", timeout=_FIRST_ANSWER_SECONDS).status_code == 200
        except httpx.HTTPError:
            return False

    def dag_ids(self) -> set[str]:
        """Return the DAGs that Airflow has read and that exist in the dags folder now."""
        return {dag["dag_id"] for dag in self._get("/dags", limit=100)["dags"] if not dag.get("is_stale")}

    def paused_dag_ids(self) -> set[str]:
        """Return the DAGs that exist in the dags folder now and whose schedules are off."""
        dags = self._get("/dags", limit=100, paused="true")["dags"]
        return {dag["dag_id"] for dag in dags if not dag.get("is_stale")}

    def import_errors(self) -> dict[str, str]:
        """Return the files that Airflow could not read, with what it said."""
        errors = self._get("/importErrors", limit=100)["import_errors"]
        return {error["filename"]: error["stack_trace"] for error in errors}

    def pools(self) -> dict[str, Pool]:
        """Return Airflow's pools by name, its own default pool among them."""
        found = self._get("/pools", limit=100)["pools"]
        return {pool["name"]: Pool(pool["name"], pool["slots"], pool["description"] or "") for pool in found}

    def ensure_pools(self, pools: Iterable[Pool]) -> list[str]:
        """Make the pools exist as they are defined, and return the names of those that did not."""
        found = self.pools()
        wanted = [pool for pool in pools if found.get(pool.name) != pool]
        if wanted:
            create = {
                "action": "create",
                "entities": [asdict(pool) for pool in wanted],
                "action_on_existence": "overwrite",
            }
            answer = self._request("PATCH", "/pools", json={"actions": [create]})
            if errors := (answer.get("create") or {}).get("errors"):
                raise RetryableError(
                    f"Airflow did not take the pools: {errors}. Look at `lyceum status`, then try again."
                )
        return [pool.name for pool in wanted]

    def trigger(self, dag_id: str, parameters: Mapping[str, object] | None = None) -> DagRun:
        """Start a run of the DAG now."""
        body = {"logical_date": None, "conf": dict(parameters or {})}
        return _dag_run(self._request("POST", f"/dags/{quote(dag_id)}/dagRuns", json=body))

    def dag_run(self, dag_id: str, run_id: str) -> DagRun:
        """Return what a run has come to."""
        return _dag_run(self._get(f"/dags/{quote(dag_id)}/dagRuns/{quote(run_id)}"))

    def dag_runs(self, dag_id: str, *, states: Iterable[str] = (), since: datetime | None = None) -> list[DagRun]:
        """Return up to 100 runs of the DAG, the latest first: those in one of the states, meant to run at or after `since`."""
        filters: dict[str, Any] = {"state": list(states)} if states else {}
        if since is not None:
            filters["run_after_gte"] = since.isoformat()
        answer = self._get(f"/dags/{quote(dag_id)}/dagRuns", limit=100, order_by="-run_after", **filters)
        return [_dag_run(run) for run in answer["dag_runs"]]

    def task_runs(self, run: DagRun) -> list[TaskRun]:
        """Return the tasks of a run in the order in which they started; those that have not come last."""
        path = f"/dags/{quote(run.dag_id)}/dagRuns/{quote(run.run_id)}/taskInstances"
        tasks = self._get(path, limit=100)["task_instances"]
        tasks.sort(key=lambda task: (task["start_date"] is None, task["start_date"] or "", task["map_index"]))
        return [_task_run(task) for task in tasks]

    def task_log(self, run: DagRun, task: TaskRun, lines: int = 15) -> str:
        """Return the last lines of a task's last attempt."""
        path = (
            f"/dags/{quote(run.dag_id)}/dagRuns/{quote(run.run_id)}"
            f"/taskInstances/{quote(task.task_id)}/logs/{max(1, task.try_number)}"
        )
        content = self._get(path, map_index=task.map_index, full_content="true").get("content", [])
        told = "\n".join(_without_groups([_log_line(entry) for entry in content]))
        return "\n".join(told.splitlines()[-lines:])

    def _get(self, path: str, **parameters: Any) -> Any:
        return self._request("GET", path, params=parameters)

    def _request(self, method: str, path: str, **arguments: Any) -> Any:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                answer = self._client.request(
                    method, f"/api/v2{path}", headers={"Authorization": f"Bearer {self._signed_in()}"}, **arguments
                )
            except httpx.HTTPError as error:
                # A POST that may have arrived is not sent twice.
                if attempt == _ATTEMPTS or (method == "POST" and not isinstance(error, httpx.ConnectError)):
                    raise RetryableError(
                        f"Airflow's API at {self._address} does not answer ({type(error).__name__}). "
                        "Look at `lyceum status` and at the log airflow-api-server.log, then try again."
                    ) from None
                time.sleep(0.5 * attempt)
                continue
            if answer.status_code == 401 and attempt < _ATTEMPTS:
                self._token = None
                continue
            if answer.status_code >= 400:
                raise RetryableError(
                    f"Airflow's API refused {method} {path} with {answer.status_code}: {answer.text[:300]}. "
                    "Look at `lyceum status`, then try again."
                )
            return answer.json()
        raise AssertionError("the last attempt returns or raises")

    def _signed_in(self) -> str:
        if self._token is None:
            answer = self._client.post("/auth/token", json={"username": ADMINISTRATOR, "password": self._password})
            if answer.status_code == 401:
                raise ConfigurationError(
                    f"Airflow at {self._address} does not accept the password in LYCEUM_HOME/secrets. It was probably started "
                    "with another one: run `lyceum down`, then `lyceum up`."
                )
            answer.raise_for_status()
            self._token = str(answer.json()["access_token"])
        return self._token


def _dag_run(run: Mapping[str, Any]) -> DagRun:
    return DagRun(
        dag_id=run["dag_id"],
        run_id=run["dag_run_id"],
        state=run["state"],
        run_after=datetime.fromisoformat(run["run_after"]),
        started_at=_instant(run.get("start_date")),
        ended_at=_instant(run.get("end_date")),
    )


def _task_run(task: Mapping[str, Any]) -> TaskRun:
    return TaskRun(
        task_id=task["task_id"],
        map_index=task["map_index"],
        label=str(task.get("rendered_map_index") or (task["map_index"] if task["map_index"] >= 0 else "")),
        state=task["state"],
        try_number=task["try_number"],
        started_at=_instant(task["start_date"]),
        seconds=task["duration"],
    )


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _without_groups(messages: list[str]) -> list[str]:
    """Return the messages without the groups that Airflow folds away: what it does before and after the task's own work.

    A group that never ends stays, because the task ended within it.
    """
    kept: list[str] = []
    group: list[str] | None = None
    for message in messages:
        if message.startswith(_GROUP):
            kept += group or []
            group = []
        elif message == _END_OF_GROUP:
            group = None
        elif message:
            (kept if group is None else group).append(message)
    return kept + (group or [])


def _log_line(entry: object) -> str:
    if not isinstance(entry, Mapping):
        return str(entry).strip()
    event = str(entry.get("event", "")).strip()
    errors = entry.get("error_detail")
    if isinstance(errors, list) and errors:
        event += "".join(f"\n{error.get('exc_type')}: {error.get('exc_value')}" for error in errors)
    return event
