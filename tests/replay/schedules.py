"""When each DAG is due, as its own file says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from pathlib import Path

from croniter import croniter  # type: ignore[import-untyped]

DAGS = Path(__file__).parents[2] / "dags"
_TIMETABLE = re.compile(r'CronTriggerTimetable\(\s*"(?P<expression>[^"]+)"')


@cache
def expression(dag: str) -> str:
    """The cron expression of a DAG."""
    match = _TIMETABLE.search((DAGS / f"{dag}.py").read_text())
    assert match is not None, dag
    return match["expression"]


def due_on(dag: str, day: date) -> list[datetime]:
    """The instants of a UTC day at which a DAG is due."""
    midnight = datetime.combine(day, time(), UTC)
    return list(_due_between(expression(dag), midnight, midnight + timedelta(days=1)))


def next_due(dag: str, instant: datetime) -> datetime:
    """The first instant after `instant` at which a DAG is due."""
    found: datetime = croniter(expression(dag), instant).get_next(datetime)
    return found


def _due_between(cron: str, begin: datetime, end: datetime) -> Iterator[datetime]:
    found = croniter(cron, begin - timedelta(microseconds=1))
    while (instant := found.get_next(datetime)) < end:
        yield instant
