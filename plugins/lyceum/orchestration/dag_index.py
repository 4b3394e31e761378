"""The index of the DAGs, `docs/dags.md`, made from the DAGs themselves: `make docs` writes it, a test finds it outdated.

Run as a program: `python -m lyceum.orchestration.dag_index`. It needs neither a database nor a running Airflow.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from lyceum.errors import ConfigurationError

ROOT = Path(__file__).parents[3]
INDEX = Path("docs") / "dags.md"


@dataclass(frozen=True, slots=True)
class TaskEntry:
    """One task: `does` is the first sentence of the function that it calls."""

    task_id: str
    does: str
    after: tuple[str, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ParameterEntry:
    """One param of a run that somebody triggers."""

    name: str
    means: str
    takes: str
    default: str


@dataclass(frozen=True, slots=True)
class DagEntry:
    """One DAG: `title` is the first paragraph of its docstring, `text` the others."""

    dag_id: str
    title: str
    text: str
    schedule: str
    wakes_on: tuple[str, ...]
    announces: tuple[str, ...]
    deadline: timedelta | None
    owners: tuple[str, ...]
    tags: tuple[str, ...]
    tasks: tuple[TaskEntry, ...]
    parameters: tuple[ParameterEntry, ...]


def read_dags(folder: Path) -> list[DagEntry]:
    """Return every DAG of a folder, by name.

    Raises `ConfigurationError` when Airflow cannot read a file.
    """
    from airflow.dag_processing.dagbag import BundleDagBag

    bag = BundleDagBag(dag_folder=folder, bundle_path=folder, bundle_name="dags-folder", load_op_links=False)
    for file, traceback in bag.import_errors.items():
        raise ConfigurationError(f"Airflow cannot read {file}. Correct it and try again.\n{traceback}")
    return [_dag(dag) for _, dag in sorted(bag.dags.items())]


def render(dags: Sequence[DagEntry]) -> str:
    """Return the index as Markdown."""
    lines = [
        "# DAGs",
        "",
        "Made from the files in `dags/` by `make docs`; change those, not this. Each DAG file holds schedule, order and",
        "arguments; what a task does is in the library.",
        "",
        "| DAG | runs | does | late after | tags |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| [`{dag.dag_id}`](#{dag.dag_id}) | {_cell(_runs(dag))} | {_cell(dag.title)} | {_late(dag)} "
        f"| {', '.join(tag for tag in dag.tags if tag != 'lyceum')} |"
        for dag in dags
    ]
    wakes = [
        f"- `{source.dag_id}` announces *{asset}*, which wakes "
        + ", ".join(f"`{woken.dag_id}`" for woken in dags if asset in woken.wakes_on)
        for source in dags
        for asset in source.announces
        if any(asset in woken.wakes_on for woken in dags)
    ]
    if wakes:
        lines += ["", "## Who wakes whom", "", *wakes]
    for dag in dags:
        lines += ["", *_section(dag)]
    return "\n".join(lines) + "\n"


def _section(dag: DagEntry) -> list[str]:
    facts = [f"*Runs* {_runs(dag)}", f"*owner* {', '.join(dag.owners)}"]
    if dag.deadline:
        facts.append(f"*late after* {_span(dag.deadline)}")
    lines = [f"## {dag.dag_id}", "", dag.title, "", " · ".join(facts), "", dag.text]
    lines += ["", "| task | after | does | |", "|---|---|---|---|"]
    lines += [
        f"| `{task.task_id}` | {', '.join(f'`{above}`' for above in task.after) or '–'} | {_cell(task.does)} "
        f"| {_cell(', '.join(task.remarks))} |"
        for task in dag.tasks
    ]
    if dag.parameters:
        lines += ["", "| param | means | takes | default |", "|---|---|---|---|"]
        lines += [
            f"| `{parameter.name}` | {_cell(parameter.means)} | {_cell(parameter.takes)} | {_cell(parameter.default)} |"
            for parameter in dag.parameters
        ]
    return lines


def _dag(dag: Any) -> DagEntry:
    title, _, text = (dag.doc_md or "").strip().partition("\n\n")
    condition = getattr(dag.timetable, "asset_condition", None)
    deadlines = _listed(dag.deadline)
    tasks = _in_order(list(dag.tasks))
    return DagEntry(
        dag_id=dag.dag_id,
        title=" ".join(title.split()),
        text=text.strip(),
        schedule=getattr(dag.timetable, "expression", "") or "",
        wakes_on=tuple(sorted(asset.name for asset in condition.objects)) if condition is not None else (),
        announces=tuple(sorted({asset.name for task in tasks for asset in task.outlets})),
        deadline=deadlines[0].interval if deadlines else None,
        owners=tuple(sorted({task.owner for task in tasks})),
        tags=tuple(sorted(dag.tags)),
        tasks=tuple(_task(task) for task in tasks),
        parameters=tuple(_parameter(name, dag.params.get_param(name)) for name in dag.params),
    )


def _task(task: Any) -> TaskEntry:
    remarks = []
    if task.is_mapped:
        remarks.append("one per item found by the task before")
    if task.is_teardown:
        remarks.append("runs however those before it ended")
    if task.pool != "default_pool":
        remarks.append(f"takes turns in the pool {task.pool}")
    remarks += [f"announces {asset.name}" for asset in task.outlets]
    if task.execution_timeout:
        remarks.append(f"at most {_span(task.execution_timeout)}")
    return TaskEntry(task.task_id, _does(task), tuple(sorted(task.upstream_task_ids)), tuple(remarks))


def _does(task: Any) -> str:
    """Return the first sentence of a task's function; an operator of somebody else says what it is."""
    named = task.partial_kwargs if task.is_mapped else {}
    function = named.get("python_callable") or getattr(task, "python_callable", None)
    text = inspect.getdoc(function) if function is not None else None
    if not text:
        return str(task.doc_md or getattr(task, "task_type", "")).strip()
    return " ".join(text.partition("\n\n")[0].split())


def _parameter(name: str, declared: Any) -> ParameterEntry:
    schema = declared.schema
    kinds = _listed(schema.get("type"))
    takes = ", ".join(schema["enum"]) if "enum" in schema else schema.get("format") or " or ".join(kinds)
    means = ". ".join(filter(None, [schema.get("title"), declared.description]))
    return ParameterEntry(name, means, takes, "" if declared.value in (None, "") else f"`{json.dumps(declared.value)}`")


def _in_order(tasks: list[Any]) -> list[Any]:
    """Return tasks after those they wait for, otherwise as the file declares them."""
    placed: list[Any] = []
    waiting = list(tasks)
    while waiting:
        known = {task.task_id for task in placed}
        ready = next(task for task in waiting if task.upstream_task_ids <= known)
        placed.append(ready)
        waiting.remove(ready)
    return placed


def _runs(dag: DagEntry) -> str:
    if dag.wakes_on:
        return "when woken by " + " or ".join(f"*{asset}*" for asset in dag.wakes_on)
    return f"`{dag.schedule}` UTC" if dag.schedule else "by hand"


def _late(dag: DagEntry) -> str:
    return _span(dag.deadline) if dag.deadline else "–"


def _span(span: timedelta) -> str:
    minutes = round(span.total_seconds() / 60)
    return f"{minutes // 60} h" if minutes % 60 == 0 else f"{minutes} min"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def main(arguments: Iterable[str]) -> None:
    """Write the index into the checkout, or to the file that is named."""
    target = next(iter(arguments), None)
    # Airflow writes a configuration into its home as it is imported; reading the DAGs must leave nothing anywhere.
    with tempfile.TemporaryDirectory() as home:
        os.environ.update(
            AIRFLOW_HOME=home,
            AIRFLOW__CORE__LOAD_EXAMPLES="False",
            AIRFLOW__DATABASE__SQL_ALCHEMY_CONN="postgresql+psycopg://nobody@127.0.0.1:1/none",
        )
        text = render(read_dags(ROOT / "dags"))
    (Path(target) if target else ROOT / INDEX).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
