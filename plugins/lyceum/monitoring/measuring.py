"""Measuring: each query of `sql/queries/monitoring` returns names, labels and values; one that fails costs only itself."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import perf_counter

import psycopg

from lyceum.database import Connection, ConnectionTarget, connect
from lyceum.errors import LyceumError
from lyceum.quality.queries import read_query
from lyceum.settings import Settings

_LOG = logging.getLogger("lyceum.monitoring")

_STATEMENT_TIMEOUT = "10s"
_NAME = "lyceum monitoring"


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement. `labels` are sorted by name; the unit is the end of the metric's name."""

    name: str
    labels: tuple[tuple[str, str], ...]
    value: float


def measure(
    warehouse: ConnectionTarget, server: ConnectionTarget, settings: Settings, as_of: datetime
) -> tuple[Sample, ...]:
    """Return what can be measured at `as_of`: of the warehouse as the pipeline, of the server as the login of monitoring.

    A query that fails, or takes more than ten seconds, is a sample `lyceum_monitoring_failed` and a line of the log, and the
    others are there. Reads only.
    """
    samples: list[Sample] = []
    for target, folder in ((warehouse, "warehouse"), (server, "server")):
        queries = sorted((settings.queries / "monitoring" / folder).glob("*.sql"))
        try:
            with connect(target, application_name=_NAME) as connection:
                _begin(connection, as_of)
                for query in queries:
                    samples += _ask(connection, query)
        except (LyceumError, psycopg.Error) as error:
            _LOG.warning("not measured: %s (%s)", folder, type(error).__name__)
            samples += [_failure(query, 1.0) for query in queries]
    samples += _disk(settings)
    return tuple(samples)


def _begin(connection: Connection, as_of: datetime) -> None:
    connection.execute("set transaction isolation level repeatable read, read only")
    connection.execute("select set_config('lyceum.as_of', %s, true)", [as_of.isoformat()])
    connection.execute("select set_config('statement_timeout', %s, true)", [_STATEMENT_TIMEOUT])


def _ask(connection: Connection, query: Path) -> Iterator[Sample]:
    began = perf_counter()
    try:
        with connection.transaction():
            rows = connection.execute(read_query(query)).fetchall()
    except psycopg.Error as error:
        # A server that goes away is told by the next query, or by who connects.
        _LOG.warning("not measured: %s (SQLSTATE %s)", query.stem, error.sqlstate)
        yield _failure(query, 1.0)
        return
    for name, labels, value in rows:
        yield Sample(name, tuple(sorted((label, str(text)) for label, text in labels.items())), float(value))
    yield _failure(query, 0.0)
    yield Sample("lyceum_monitoring_seconds", (("query", query.stem),), round(perf_counter() - began, 4))


def _failure(query: Path, value: float) -> Sample:
    return Sample("lyceum_monitoring_failed", (("query", query.stem),), value)


def _disk(settings: Settings) -> Iterator[Sample]:
    try:
        usage = shutil.disk_usage(settings.home)
    except OSError:
        return
    yield Sample("lyceum_disk_free_bytes", (), float(usage.free))
    yield Sample("lyceum_disk_free_ratio", (), usage.free / usage.total)
