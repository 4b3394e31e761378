"""The last runs of the DAGs, asked of Airflow's own tables: only for pages that the API server itself answers."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from lyceum.reporting.live.dag_runs import MOST_RUNS, DagHistory, DagRun

_log = logging.getLogger(__name__)


def read_dag_history() -> tuple[DagHistory, ...] | None:
    """Return every DAG that there is with its last runs, by name; None where Airflow's database does not answer."""
    from airflow.models.dag import DagModel
    from airflow.models.dagrun import DagRun as Run
    from airflow.utils.session import create_session
    from sqlalchemy import select
    from sqlalchemy.exc import SQLAlchemyError

    found = []
    try:
        with create_session() as session:
            dags = session.execute(
                select(DagModel.dag_id, DagModel.is_paused)
                .where(DagModel.is_stale.is_(False))
                .order_by(DagModel.dag_id)
            ).all()
            # A DAG at a time: one runs each minute and another each year, and one plan does not fit both.
            for dag_id, is_paused in dags:
                newest = (
                    select(Run.state, Run.start_date, Run.end_date)
                    .where(Run.dag_id == dag_id)
                    .order_by(Run.id.desc())
                    .limit(MOST_RUNS)
                )
                rows: list[Any] = list(session.execute(newest).all())
                runs = [_run(*row) for row in rows]
                found.append(DagHistory(dag_id, bool(is_paused), tuple(reversed(runs))))
    except SQLAlchemyError as error:
        _log.warning("the last runs of DAGs could not be read (%s)", type(error).__name__)
        return None
    return tuple(found)


def _run(state: object, started_at: datetime | None, ended_at: datetime | None) -> DagRun:
    seconds = None if started_at is None or ended_at is None else (ended_at - started_at).total_seconds()
    return DagRun(str(getattr(state, "value", state)), started_at, seconds)
