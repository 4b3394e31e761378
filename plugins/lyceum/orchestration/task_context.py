"""The edge of a task: settings from the environment, the clock and the run's name from Airflow."""

from __future__ import annotations

import os
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


def label(text: str) -> None:
    """Name this mapped task in the UI; the task's `map_index_template` is `{{ label }}`."""
    get_current_context()["label"] = text  # type: ignore[typeddict-unknown-key]
