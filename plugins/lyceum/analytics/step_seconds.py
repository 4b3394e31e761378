"""How long the steps of a build take: written down for the data-quality report."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from time import perf_counter

import psycopg

from lyceum.database import ConnectionTarget, connect
from lyceum.errors import LyceumError

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def timed(target: ConnectionTarget, build_id: int, step: str) -> Iterator[None]:
    """Measure the block as one step of a build and store its seconds, also when it fails. The last attempt counts."""
    began = perf_counter()
    is_success = False
    try:
        yield
        is_success = True
    finally:
        _store(target, build_id, step, perf_counter() - began, is_success)


def _store(target: ConnectionTarget, build_id: int, step: str, seconds: float, is_success: bool) -> None:
    try:
        with connect(target) as connection:
            connection.execute(
                """
                insert into ops.build_steps (build_id, step, seconds, is_success)
                values (%s, %s, %s, %s)
                on conflict (build_id, step) do update set seconds = excluded.seconds, is_success = excluded.is_success
                """,
                (build_id, step, round(seconds, 3), is_success),
            )
    except (psycopg.Error, LyceumError) as error:
        # What the step did, or why it failed, matters more than how long it took.
        _log.warning("seconds not stored: %s", type(error).__name__, extra={"build": build_id, "step": step})
