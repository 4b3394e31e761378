"""Runs DAGs one after the other as Airflow runs them, tasks in this process, and prints what became of each as JSON.

A program of its own: importing Airflow changes a process. Reads a JSON list of runs from stdin: `dag_id`, `run_after`, `conf`.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from airflow.configuration import conf
from airflow.dag_processing.dagbag import BundleDagBag
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from sqlalchemy import select


def outcome(run: Any) -> dict[str, object]:
    with create_session() as session:
        tasks = session.execute(
            select(TaskInstance.task_id, TaskInstance.state, TaskInstance.try_number).where(
                TaskInstance.dag_id == run.dag_id, TaskInstance.run_id == run.run_id
            )
        ).all()
        returned = session.execute(
            select(XComModel.task_id, XComModel.value).where(
                XComModel.dag_id == run.dag_id, XComModel.run_id == run.run_id, XComModel.key == "return_value"
            )
        ).all()
    return {
        "state": str(run.state),
        "tasks": {task_id: [str(state), tries] for task_id, state, tries in tasks},
        "returned": {task_id: json.loads(value) if isinstance(value, str) else value for task_id, value in returned},
    }


def main() -> None:
    folder = Path(conf.get("core", "dags_folder"))
    bag = BundleDagBag(dag_folder=folder, bundle_path=folder, bundle_name="dags-folder", load_op_links=False)
    outcomes = []
    for asked in json.load(sys.stdin):
        run = bag.dags[asked["dag_id"]].test(
            run_after=datetime.fromisoformat(asked["run_after"]), logical_date=None, run_conf=asked.get("conf")
        )
        outcomes.append(outcome(run))
    sys.__stdout__.write("\n" + json.dumps(outcomes) + "\n")


if __name__ == "__main__":
    main()
