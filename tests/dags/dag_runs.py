"""Runs and clears DAGs one after the other as Airflow does, tasks in this process, and prints what became of each as JSON.

A program of its own: importing Airflow changes a process. Reads from stdin a JSON list of what to do: a run (`dag_id`,
`run_after`, `conf`, and the `answer` of a person whom it asks), a clear of an earlier one (`clear` its place in the list, `only`
some tasks), the call of a deadline's callback for an earlier one (`late` its place, `state`), or `snapshot` (digests of what the
warehouse holds, by table).
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from airflow.configuration import conf
from airflow.dag_processing.dagbag import BundleDagBag
from airflow.models.dagrun import DagRun
from airflow.models.hitl import HITLDetail
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance, clear_task_instances
from airflow.models.trigger import handle_event_submit
from airflow.models.xcom import XComModel
from airflow.sdk.definitions.dag import _run_task
from airflow.triggers.base import TriggerEvent
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from psycopg import sql
from sqlalchemy import select

from lyceum.orchestration.deadlines import tell_late

# What happens, rather than what is: these may gain rows whenever something runs.
LOGS = {
    "ops.alerts",
    "ops.build_batches",
    "ops.build_steps",
    "ops.build_users",
    "ops.builds",
    "ops.expectation_results",
    "ops.reconciliation_results",
    "ops.view_expectation_results",
    "ops.view_reconciliation_results",
    "ops.view_refresh_organizations",
    "ops.view_refreshes",
}


def outcome(dag_id: str, run_id: str) -> dict[str, object]:
    with create_session() as session:
        state = session.scalar(select(DagRun.state).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id))
        tasks = session.execute(
            select(TaskInstance.task_id, TaskInstance.state, TaskInstance.try_number).where(
                TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id
            )
        ).all()
        returned = session.execute(
            select(XComModel.task_id, XComModel.value).where(
                XComModel.dag_id == dag_id, XComModel.run_id == run_id, XComModel.key == "return_value"
            )
        ).all()
    return {
        "dag_id": dag_id,
        "run_id": run_id,
        "state": str(state),
        "tasks": {task_id: [str(state), tries] for task_id, state, tries in tasks},
        "returned": {task_id: json.loads(value) if isinstance(value, str) else value for task_id, value in returned},
    }


def clear(dag: Any, run_id: str, only: list[str] | None) -> dict[str, str]:
    """Clear tasks of a run that is over, as the UI does, and run what that makes runnable, as `dag.test` does.

    Returns what the tasks that failed said.
    """
    errors = {}
    with create_session() as session:
        run = session.scalars(select(DagRun).where(DagRun.dag_id == dag.dag_id, DagRun.run_id == run_id)).one()
        tasks = [task for task in run.get_task_instances(session=session) if only is None or task.task_id in only]
        clear_task_instances(tasks, session, dag_run_state=DagRunState.RUNNING)
        for task in tasks:
            # What fails is not waited for.
            task.max_tries = task.try_number
        session.commit()
        run.dag = SerializedDagModel.get_dag(dag.dag_id, session=session)
        # They are lost when a DAG is serialized.
        run.dag.on_success_callback, run.dag.on_failure_callback = dag.on_success_callback, dag.on_failure_callback
        while run.state == DagRunState.RUNNING:
            session.expire_all()
            runnable, _ = run.update_state(session=session)
            for task in runnable:
                task.try_number += 1
                task.state = TaskInstanceState.SCHEDULED
            session.commit()
            for task in run.get_task_instances(state=[TaskInstanceState.SCHEDULED], session=session):
                result = _run_task(ti=task, task=dag.task_dict[task.task_id])
                assert task.state != TaskInstanceState.UP_FOR_RETRY, f"{task} would be tried again"
                if result is not None and result.error is not None:
                    errors[task.task_id] = str(result.error)
    return errors


def snapshot() -> dict[str, list[object]]:
    """Return rows and digest of every table and materialized view but the logs, partitions within their parents."""
    with psycopg.connect(os.environ["LYCEUM_TEST_ADMINISTRATOR_URL"]) as connection:
        tables = connection.execute(
            """
            select namespace.nspname, relation.relname
            from pg_class as relation
            inner join pg_namespace as namespace on relation.relnamespace = namespace.oid
            where
                relation.relkind in ('r', 'p', 'm')
                and namespace.nspname in ('core', 'ops', 'stage_one', 'stage_two', 'stage_three', 'audited')
            order by 1, 2
            """
        ).fetchall()
        digest = "select count(*), md5(coalesce(string_agg(t::text, E'\\n' order by t::text), '')) from {} as t"
        return {
            f"{schema}.{name}": list(
                connection.execute(sql.SQL(digest).format(sql.Identifier(schema, name))).fetchone()
            )  # type: ignore[arg-type]
            for schema, name in tables
            if f"{schema}.{name}" not in LOGS
        }


def answer(dag_id: str, option: str) -> None:
    """Answer every task of a DAG that waits for a person, as the API does."""
    with create_session(scoped=False) as session:
        waiting = session.scalars(
            select(TaskInstance).where(
                TaskInstance.dag_id == dag_id, TaskInstance.state == TaskInstanceState.AWAITING_INPUT
            )
        ).all()
        for task in waiting:
            asked = session.scalars(select(HITLDetail).where(HITLDetail.ti_id == task.id)).one()
            asked.responded_by = {"id": "7", "name": "dpo"}
            asked.responded_at = datetime.now(UTC)
            asked.chosen_options = [option]
            asked.params_input = {}
            handle_event_submit(TriggerEvent(asked.as_resume_event_payload()), task_instance=task, session=session)


@contextmanager
def answered(dag_id: str, option: str | None) -> Iterator[None]:
    """Let a person answer where `dag.test` waits for one."""
    sleep = time.sleep

    def sleep_or_answer(seconds: float) -> None:
        answer(dag_id, str(option))
        sleep(min(seconds, 0.1))

    if option is not None:
        time.sleep = sleep_or_answer
    try:
        yield
    finally:
        time.sleep = sleep


def main() -> None:
    folder = Path(conf.get("core", "dags_folder"))
    bag = BundleDagBag(dag_folder=folder, bundle_path=folder, bundle_name="dags-folder", load_op_links=False)
    outcomes: list[Any] = []

    def earlier(place: int) -> tuple[str, str]:
        return outcomes[place]["dag_id"], outcomes[place]["run_id"]

    for asked in json.load(sys.stdin):
        if "snapshot" in asked:
            outcomes.append(snapshot())
        elif "clear" in asked:
            dag_id, run_id = earlier(asked["clear"])
            errors = clear(bag.dags[dag_id], run_id, asked.get("only"))
            outcomes.append({**outcome(dag_id, run_id), "errors": errors})
        elif "late" in asked:
            dag_id, run_id = earlier(asked["late"])
            context = {"dag_run": {"dag_id": dag_id, "dag_run_id": run_id, "state": asked["state"]}}
            asyncio.run(tell_late(limit_minutes=60, context=context))
            outcomes.append(None)
        else:
            dag = bag.dags[asked["dag_id"]]
            # `test` makes a scheduler's DAG that holds deadlines instead of their ids, and falls over them at its end.
            dag.deadline = None
            clock = datetime.fromisoformat(asked["run_after"])
            # A run without a logical date would replace every earlier one that has none.
            with answered(dag.dag_id, asked.get("answer")):
                run = dag.test(run_after=clock, logical_date=clock, run_conf=asked.get("conf"))
            outcomes.append(outcome(run.dag_id, run.run_id))
    sys.__stdout__.write("\n" + json.dumps(outcomes) + "\n")


if __name__ == "__main__":
    main()
