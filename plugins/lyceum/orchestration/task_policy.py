"""What every task of every DAG has: an owner, retries with back-off, a time limit, and a failure that is told to somebody."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, ParamSpec, TypeVar

from airflow.sdk.exceptions import AirflowFailException

from lyceum.errors import LyceumError, RetryableError
from lyceum.log_fields import fields, with_fields
from lyceum.orchestration.task_context import settings
from lyceum.pools import Pool

_log = logging.getLogger(__name__)

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")

OWNER = "lyceum"


def task_defaults(time_limit: timedelta, pool: Pool | None = None) -> dict[str, Any]:
    """Return the default arguments of a DAG whose tasks may take `time_limit` each and take turns in `pool`, if there is one."""
    defaults: dict[str, Any] = {"pool": pool.name} if pool is not None else {}
    return defaults | {
        "owner": OWNER,
        "retries": 2,
        "retry_delay": timedelta(seconds=10),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=5),
        "execution_timeout": time_limit,
        "on_failure_callback": [log_failure, alert_of_failure],
    }


def log_failure(context: Mapping[str, Any]) -> None:
    """Log which task of which run failed for good, and why, in one line that a log search finds."""
    instance = context["task_instance"]
    error = context.get("exception")
    _log.error(
        "task failed dag=%s task=%s map_index=%s run=%s try=%s error=%s",
        instance.dag_id,
        instance.task_id,
        instance.map_index,
        instance.run_id,
        instance.try_number,
        type(error).__name__,
    )


def alert_of_failure(context: Mapping[str, Any]) -> None:
    """Raise an alert that a task has failed for good; it stays open until a run of the DAG succeeds."""
    from lyceum.alerts import raise_alert
    from lyceum.database import target

    instance = context["task_instance"]
    error = context.get("exception")
    # Only the type: what an error of the database says may quote a row.
    cause = type(error.__cause__ or error).__name__ if isinstance(error, BaseException) else "its process ended"
    source = f"[{context.get('label') or instance.map_index}]" if instance.map_index >= 0 else ""
    subject = f"{instance.dag_id}.{instance.task_id}{source}"
    where = settings()
    raise_alert(
        target(where),
        where.alerts,
        "task_failed",
        subject,
        f"The task {subject} failed for good in the run {instance.run_id} ({cause}). What is published stays as it was. "
        "The task's log in the Airflow UI says why; the alert is resolved by the next run that succeeds.",
    )


def resolve_alerts_of_dag(context: Mapping[str, Any]) -> None:
    """Resolve what alerts are open of a DAG, one of whose runs has succeeded."""
    from lyceum.alerts import resolve_alerts
    from lyceum.database import target

    where = settings()
    resolve_alerts(target(where), where.alerts, context["dag"].dag_id)


def library_task(function: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
    """Make a task of a function that calls the library.

    An error that a person must mend fails the task for good; `RetryableError` and what is not ours (a lost connection, a
    killed server) is tried again. The library's structured logs keep their fields.
    """

    @functools.wraps(function)
    def call(*arguments: _Parameters.args, **named: _Parameters.kwargs) -> _Result:
        _show_fields()
        try:
            return function(*arguments, **named)
        except RetryableError:
            raise
        except LyceumError as error:
            raise AirflowFailException(f"{type(error).__name__}: {error}") from error

    return call


class _Fields(logging.Filter):
    """Lets everything pass; writes the fields of the library's records into their message, because Airflow drops them."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.startswith("lyceum") and (found := fields(record)):
            record.msg, record.args = with_fields(record.getMessage(), record), ()
            for name in found:
                delattr(record, name)
        return True


def _show_fields() -> None:
    for handler in logging.getLogger().handlers:
        if not any(isinstance(present, _Fields) for present in handler.filters):
            handler.addFilter(_Fields())
