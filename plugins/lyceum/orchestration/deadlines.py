"""Deadlines of runs: the scheduler sees that one has passed, the triggerer, which no task keeps busy, raises the alert."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

from lyceum.orchestration.task_context import settings

_OVER = frozenset({"success", "failed"})


def due_within(limit: timedelta) -> DeadlineAlert:
    """Return a deadline for each run of a DAG, counted from when it was queued; a run that misses it raises an alert."""
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=limit,
        callback=AsyncCallback(tell_late, kwargs={"limit_minutes": round(limit.total_seconds() / 60, 1)}),
    )


async def tell_late(limit_minutes: float, context: Mapping[str, Any]) -> None:
    """Raise an alert that a run is late. A run that has failed meanwhile has an alert of its own, one that succeeded none."""
    run = context["dag_run"]
    if run["state"] in _OVER:
        return
    await asyncio.to_thread(_raise, run["dag_id"], run["dag_run_id"], run["state"], limit_minutes)


def _raise(dag_id: str, run_id: str, state: str, limit_minutes: float) -> None:
    from lyceum.alerts import raise_alert
    from lyceum.database import target

    where = settings()
    raise_alert(
        target(where),
        where.alerts,
        "run_late",
        dag_id,
        f"The run {run_id} of {dag_id} is {state}, expected to be over {limit_minutes:g} minutes after it was queued. "
        "What is published stays as it was. Look at the run in the Airflow UI.",
    )
