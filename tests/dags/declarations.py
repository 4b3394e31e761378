"""Prints what Airflow reads from the dags folder, as JSON. A program of its own: importing Airflow changes a process."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from airflow.dag_processing.dagbag import BundleDagBag


def task_policy(task: Any) -> dict[str, object]:
    return {
        "owner": task.owner,
        "retries": task.retries,
        "backs_off": bool(task.retry_exponential_backoff),
        "time_limit": task.execution_timeout and task.execution_timeout.total_seconds(),
        "failure_callbacks": [callback.__name__ for callback in as_list(task.on_failure_callback)],
        "upstream": sorted(task.upstream_task_ids),
        "pool": task.pool,
        "outlets": [asset.name for asset in task.outlets],
        "is_mapped": task.is_mapped,
    }


def as_list(callbacks: Any) -> list[Any]:
    if callbacks is None:
        return []
    return list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]


def scheduling_assets(dag: Any) -> list[str]:
    condition = getattr(dag.timetable, "asset_condition", None)
    return [asset.name for asset in condition.objects] if condition is not None else []


def deadline_policy(deadline: Any) -> dict[str, object]:
    return {
        "counts_from": deadline.reference.reference_name,
        "minutes": deadline.interval.total_seconds() / 60,
        "callback": deadline.callback.path,
    }


def main(folder: Path) -> None:
    bag = BundleDagBag(dag_folder=folder, bundle_path=folder, bundle_name="dags-folder", load_op_links=False)
    dags = {
        dag.dag_id: {
            "file": Path(dag.fileloc).name,
            "tags": sorted(dag.tags),
            "doc": dag.doc_md,
            "schedule": type(dag.timetable).__name__,
            "cron": getattr(dag.timetable, "expression", None),
            "is_paused": dag.is_paused_upon_creation,
            "deadlines": [deadline_policy(deadline) for deadline in as_list(dag.deadline)],
            "success_callbacks": [callback.__name__ for callback in as_list(dag.on_success_callback)],
            "assets": scheduling_assets(dag),
            "catchup": dag.catchup,
            "max_active_runs": dag.max_active_runs,
            "params": sorted(dag.params),
            "tasks": {task.task_id: task_policy(task) for task in dag.tasks},
        }
        for dag in bag.dags.values()
    }
    print(json.dumps({"import_errors": bag.import_errors, "dags": dags}))  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]))
