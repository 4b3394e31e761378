"""What Airflow tells of the DAGs: their last runs, as a page shows them. Where it comes from is Airflow's business."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lyceum.reporting.charts import Mark, Strip, strips
from lyceum.reporting.rendering import Chart, duration_words

MOST_RUNS = 20
"""Runs that are shown of each DAG."""

_MARKS = {"success": "met", "failed": "critical", "running": "info", "queued": "info"}


@dataclass(frozen=True, slots=True)
class DagRun:
    """One run: `state` is Airflow's; `seconds` is how long it took, None while it goes on or waits."""

    state: str
    started_at: datetime | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class DagHistory:
    """A DAG and its last runs, the newest last."""

    dag_id: str
    is_paused: bool
    runs: tuple[DagRun, ...]

    @property
    def last(self) -> DagRun | None:
        """The newest run."""
        return self.runs[-1] if self.runs else None

    @property
    def has_failed(self) -> bool:
        """Whether the newest run that is over has failed."""
        over = [run for run in self.runs if run.state in ("success", "failed")]
        return bool(over) and over[-1].state == "failed"

    @property
    def last_success(self) -> datetime | None:
        """When the last run that succeeded began."""
        return next((run.started_at for run in reversed(self.runs) if run.state == "success"), None)


def dag_chart(dags: tuple[DagHistory, ...]) -> Chart | None:
    """Draw the last runs of every DAG that has run; None without any."""
    ran = [dag for dag in dags if dag.runs]
    if not ran:
        return None
    rows = [Strip(dag.dag_id, tuple(_mark(dag, run) for run in dag.runs), _note(dag)) for dag in ran]
    failed = sum(dag.has_failed for dag in ran)
    return Chart(
        strips(rows, f"The last runs of {len(ran)} DAGs, oldest to newest; the newest run of {failed} of them failed."),
        (),
        ("DAG", "last run", "state", "took", "runs shown", "failed"),
        tuple(
            (
                dag.dag_id,
                "–" if dag.runs[-1].started_at is None else f"{dag.runs[-1].started_at:%Y-%m-%d %H:%M}",
                dag.runs[-1].state,
                duration_words(dag.runs[-1].seconds),
                str(len(dag.runs)),
                str(sum(run.state == "failed" for run in dag.runs)),
            )
            for dag in ran
        ),
    )


def _note(dag: DagHistory) -> str:
    """Say when the newest run began and how long it took."""
    last = dag.runs[-1]
    when = "not begun yet" if last.started_at is None else f"{last.started_at:%d %b %H:%M} UTC"
    took = f"{last.state}, {duration_words(last.seconds)}" if last.seconds is not None else last.state
    return f"{when}, {took}" + (", paused" if dag.is_paused else "")


def _mark(dag: DagHistory, run: DagRun) -> Mark:
    when = "not begun" if run.started_at is None else f"{run.started_at:%Y-%m-%d %H:%M} UTC"
    took = "" if run.seconds is None else f", {duration_words(run.seconds)}"
    return Mark(_MARKS.get(run.state, "none"), f"{dag.dag_id}, {when}: {run.state}{took}")
