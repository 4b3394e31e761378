"""The edge of a task: settings from the environment, the clock and the run's name from Airflow."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from airflow.sdk import get_current_context

from lyceum.errors import ConfigurationError
from lyceum.settings import Settings


def settings() -> Settings:
    """Return the settings that `lyceum up` gave to Airflow."""
    return Settings.from_environment(os.environ, Path.cwd())


def as_of() -> datetime:
    """Return the clock of this run: the instant from which on it was meant to run. It stays the same when tasks are repeated.

    A param `as_of` of the run takes precedence. Raises `ConfigurationError` when that is no instant.
    """
    context = get_current_context()
    asked = context["params"].get("as_of")
    if not asked:
        return context["dag_run"].run_after.astimezone(UTC)
    try:
        instant = datetime.fromisoformat(asked)
    except ValueError:
        instant = None
    if instant is None or instant.utcoffset() is None:
        raise ConfigurationError(
            f"The param as_of is {asked!r}. Expected ISO 8601 with a zone, such as 2026-03-09T06:00:00Z."
        )
    return instant.astimezone(UTC)


def run_name() -> str:
    """Return the name by which batches and builds remember this run."""
    run = get_current_context()["dag_run"]
    return f"{run.dag_id} {run.run_id}"


@contextlib.contextmanager
def lineage_told() -> Iterator[None]:
    """Tell OpenLineage of the block as a run of this task, a part of its DAG's run; nobody and at no cost where none is configured."""
    address = os.environ.get("LYCEUM_OPENLINEAGE_URL")
    if not address:
        yield
        return
    from lyceum.lineage.events import JobRun, Teller, run_id_of, told

    instance = get_current_context()["task_instance"]
    run = JobRun(instance.dag_id, run_id_of(instance.dag_id, instance.run_id), kind="DAG", integration="AIRFLOW")
    attempt = (instance.dag_id, instance.run_id, instance.task_id, str(instance.map_index), str(instance.try_number))
    job = JobRun(f"{instance.dag_id}.{instance.task_id}", run_id_of(*attempt), integration="AIRFLOW", parent=run)
    with told(Teller(address), job):
        yield


def label(text: str) -> None:
    """Name this mapped task in the UI; the task's `map_index_template` is `{{ label }}`."""
    get_current_context()["label"] = text  # type: ignore[typeddict-unknown-key]
