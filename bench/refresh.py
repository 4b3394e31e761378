"""Measure refreshes under readers: `python bench/refresh.py [--learners 2000] [--days 14] [--organizations 4]`.

Simulates, collects and builds into a warehouse of its own (an embedded server with its defaults), then refreshes both views:
the first time, after one organization has a new version, after all have, and when nothing has changed. Meanwhile 20 readers of
another process look up one course or one organization every 50 ms; printed are the seconds of each refresh and the readers'
milliseconds beside those of a quiet second. The warehouse is stopped and removed afterwards.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

from lyceum.analytics.build import build
from lyceum.collect import collect_paths
from lyceum.database import ConnectionTarget, EmbeddedServer, connect, ensure_available, migrate
from lyceum.organizations import add_organization
from lyceum.settings import Settings
from lyceum.simulator import SimulationPlan, sample_organizations, simulate, write_delivery
from lyceum.views import VIEWS, View, refresh

READERS = 20
PAUSE_SECONDS = 0.05
QUERIES = {
    "mv_learner_analytics_summary": (
        "select engagement_band, count(*) from stage_three.mv_learner_analytics_summary"
        " where organization_id = 1 and course_id = {course} group by engagement_band"
    ),
    "mv_organization_metrics": "select * from stage_three.mv_organization_metrics where organization_id = 1",
}
WAITING = """
    select count(*) from pg_locks
    where not granted and relation in ('stage_three.mv_learner_analytics_summary'::regclass,
        'stage_three.mv_organization_metrics'::regclass)
"""


def read_until_told(target: ConnectionTarget, query: str, pipe: Pipe) -> None:
    """Read with 20 connections until the pipe says so; send back the milliseconds of every look-up and the waits seen."""
    stop = threading.Event()
    spent: list[list[float]] = [[] for _ in range(READERS)]
    waits = [0]

    def read(mine: list[float]) -> None:
        with connect(target, autocommit=True) as connection:
            while not stop.is_set():
                began = time.perf_counter()
                connection.execute(query).fetchall()  # type: ignore[call-overload]
                mine.append(1000 * (time.perf_counter() - began))
                stop.wait(PAUSE_SECONDS)

    def watch() -> None:
        with connect(target, autocommit=True) as connection:
            while not stop.wait(0.01):
                row = connection.execute(WAITING).fetchone()
                waits[0] += row[0] if row is not None else 0

    threads = [threading.Thread(target=read, args=(mine,)) for mine in spent] + [threading.Thread(target=watch)]
    for thread in threads:
        thread.start()
    pipe.send("reading")
    pipe.recv()
    stop.set()
    for thread in threads:
        thread.join()
    pipe.send(([each for mine in spent for each in mine], waits[0]))


@contextmanager
def readers(target: ConnectionTarget, query: str) -> Iterator[dict[str, Any]]:
    """Let 20 readers read while the block runs; the dictionary is filled when it ends."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=read_until_told, args=(target, query, theirs))
    process.start()
    ours.recv()
    found: dict[str, Any] = {}
    yield found
    ours.send("stop")
    milliseconds, waits = ours.recv()
    process.join()
    ranked = sorted(milliseconds)
    found.update(
        reads=len(ranked),
        median_ms=round(statistics.median(ranked), 2),
        p99_ms=round(ranked[int(0.99 * (len(ranked) - 1))], 2),
        greatest_ms=round(ranked[-1], 2),
        waiting_locks_seen=waits,
    )


def load(target: ConnectionTarget, settings: Settings, plan: SimulationPlan) -> datetime:
    """Publish the whole simulation."""
    as_of = datetime.combine(plan.first_day + timedelta(days=plan.days), datetime.min.time(), tzinfo=UTC) + timedelta(
        hours=13
    )
    for organization in plan.organizations:
        with connect(target) as connection:
            add_organization(connection, organization.slug, organization.name, organization.time_zone, as_of)
    folder = settings.home / "deliveries"
    paths: dict[str, list[Path]] = {}
    for delivery in simulate(plan):
        paths.setdefault(delivery.organization.slug, []).append(write_delivery(delivery, folder))
    for slug, files in paths.items():
        collect_paths(
            target,
            settings,
            organization=slug,
            paths=files,
            format="xapi",
            as_of=as_of,
            is_history=True,
            run_id="bench",
        )
    build(target, settings, as_of, "bench")
    return as_of


def measure(
    target: ConnectionTarget, settings: Settings, view: View, as_of: datetime, query: str, what: str
) -> dict[str, Any]:
    """Refresh under readers."""
    with readers(target, query) as quiet:
        time.sleep(1)
    with readers(target, query) as busy:
        report = refresh(target, settings, view, as_of, "bench")
    return {
        "what": what,
        "view": view.name,
        "seconds": report.seconds,
        "organizations": report.organizations,
        "rows_removed": report.rows_removed,
        "rows_added": report.rows_added,
        "quiet": quiet,
        "refreshing": busy,
    }


def close_a_day(target: ConnectionTarget, organizations: str) -> None:
    """Move organizations back or on by a day, which is what a new version does to a view."""
    with connect(target) as connection:
        connection.execute(
            "update ops.organization_watermarks set data_version = data_version + 1,"  # type: ignore[call-overload]
            f" closed_through = closed_through - 1 where {organizations}"
        )


def main() -> None:
    """Run the measurement and print it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--learners", type=int, default=2000, help="of each organization")
    parser.add_argument("--days", type=int, default=14)
    parser.add_argument("--organizations", type=int, default=4)
    asked = parser.parse_args()
    plan = SimulationPlan(
        first_day=date(2026, 3, 2),
        days=asked.days,
        organizations=sample_organizations(asked.organizations, learners=asked.learners, courses=12),
    )
    settings = Settings(home=Path(tempfile.mkdtemp(prefix="lyceum-bench-")))
    settings.home.chmod(0o711)
    try:
        target = ensure_available(settings)
        migrate(target, settings)
        as_of = load(target, settings, plan)
        with connect(target) as connection:
            row = connection.execute(
                "select course_id from stage_three.learner_courses where organization_id = 1 group by 1 order by count(*) desc"
            ).fetchone()
        assert row is not None
        results = []
        for view in VIEWS.values():
            query = QUERIES[view.name].format(course=row[0])
            results.append(measure(target, settings, view, as_of, query, "first"))
            close_a_day(target, "organization_id = 1")
            results.append(measure(target, settings, view, as_of, query, "one organization"))
            close_a_day(target, "true")
            results.append(measure(target, settings, view, as_of, query, "all organizations"))
            results.append(measure(target, settings, view, as_of, query, "unchanged"))
        for result in results:
            print(json.dumps(result))
    finally:
        EmbeddedServer(settings).stop(immediately=True)
        shutil.rmtree(settings.home, ignore_errors=True)


if __name__ == "__main__":
    main()
