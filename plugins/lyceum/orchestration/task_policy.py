"""What every task of every DAG has: an owner, retries with back-off, a time limit, and a failure that is told in full."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, ParamSpec, TypeVar

from airflow.sdk.exceptions import AirflowFailException

from lyceum.errors import LyceumError, RetryableError
from lyceum.log_fields import fields, with_fields

_log = logging.getLogger(__name__)

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")

OWNER = "lyceum"


def task_defaults(time_limit: timedelta) -> dict[str, Any]:
    """Return the default arguments of a DAG whose tasks may take `time_limit` each."""
    return {
        "owner": OWNER,
        "retries": 2,
        "retry_delay": timedelta(seconds=10),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=5),
        "execution_timeout": time_limit,
        "on_failure_callback": log_failure,
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
