"""Measure dropping an expired raw day: `python bench/prune.py [--rows 10000 10000000] [--repeat 3]`.

Fills a raw day of a warehouse of its own with so many rows, beside a young day, and times the daily clean-up, plan and all, against
`delete` of the same rows on the embedded server with its defaults. Where Debian's package of pg_partman is installed
(postgresql-15-partman), the clean-up is timed against pg_partman's `run_maintenance` on a temporary cluster of Debian's
server, with the same rows and indexes; otherwise the bench says that this was skipped. Meanwhile one session counts a batch of
the young day, and another inserts there and commits; printed are the seconds, the longest wait of each in milliseconds, and
how many times longer the largest day takes than the smallest. All is stopped and removed afterwards.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import partman

from lyceum.database import Connection, ConnectionTarget, EmbeddedServer, connect, ensure_available, migrate
from lyceum.lifecycle import run_cleanup
from lyceum.partitions import ensure_ahead, ensure_for_dates
from lyceum.settings import Settings

RAW = "stage_one.raw_data_collection"
OLD_DAY = datetime(2026, 11, 20, tzinfo=UTC)
AS_OF = OLD_DAY + timedelta(days=2, minutes=25)
YOUNG_ROWS = 1_000_000
FILL = """
    insert into {table} (
        organization_id, batch_id, ordinal, collected_at, event_id, occurred_at, learner_id, course_id, source_id, object_id,
        verb_id, quantity, activity_date, active_minute, is_course_object, is_video, is_void, is_voided, occurred_at_precision,
        payload
    )
    select
        1 + number %% 10, number / 10000, number, %(at)s, gen_random_uuid(), %(at)s, number %% 5000, number %% 40, 1,
        number %% 3000, number %% 12, 1, %(at)s::date, 1, false, false, false, false, 'instant', '{{"verb": "experienced"}}'
    from generate_series(1::bigint, %(rows)s) as number
"""
READ = """
    select count(*) from {table}
    where organization_id = 3 and batch_id = 5 and collected_at >= '{begin:%Y-%m-%d}' and collected_at < '{end:%Y-%m-%d}'
"""


@dataclass
class Waits:
    """The longest that a reader and a writer had to wait, in milliseconds."""

    reader: float = 0.0
    writer: float = 0.0


@dataclass
class Result:
    """The seconds of each repetition, and the longest waits over all."""

    seconds: list[float] = field(default_factory=list)
    waits: Waits = field(default_factory=Waits)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


@dataclass(frozen=True)
class Way:
    """One way to let a day go: of which table, which day, beside which instant of a young one."""

    name: str
    go: Callable[[ConnectionTarget, Settings], None]
    make_day: Callable[[Connection], None]
    table: str = RAW
    old_at: datetime = OLD_DAY
    young_at: datetime = AS_OF


def clean_up(target: ConnectionTarget, settings: Settings) -> None:
    """Drop the day."""
    report = run_cleanup(target, settings, "daily", AS_OF)
    assert report.partitions_dropped == 1, report


def delete(target: ConnectionTarget, _: Settings) -> None:
    """Delete the rows of the day, and leave them to vacuum."""
    with connect(target) as connection:
        connection.execute(
            "delete from stage_one.raw_data_collection where collected_at >= %s and collected_at < %s",
            [OLD_DAY, OLD_DAY + timedelta(days=1)],
        )


def run_maintenance(target: ConnectionTarget, _: Settings) -> None:
    """Drop the day as pg_partman does."""
    with connect(target, autocommit=True) as connection:
        partman.maintain(connection)


def make_day(connection: Connection) -> None:
    """Make the day where it is gone, and empty it where it is not."""
    ensure_for_dates(connection, RAW, [OLD_DAY.date()])
    connection.execute("truncate partitions.raw_data_collection_p20261120")


CLEAN_UP = Way("clean-up", clean_up, make_day)
DELETE = Way("delete", delete, make_day)


def pg_partman() -> Way:
    """pg_partman goes by the clock of the server."""
    return Way(
        "pg_partman",
        run_maintenance,
        partman.make_old_day,
        partman.TABLE,
        partman.old_day(),
        partman.young_day() + timedelta(minutes=25),
    )


@contextmanager
def disturbed(target: ConnectionTarget, way: Way, waits: Waits) -> Iterator[None]:
    """Read and write the young day all the while, and note the longest waits."""
    stop = threading.Event()
    begin = way.young_at.replace(minute=0)

    def keep(name: str, statement: str, parameters: dict[str, Any] | None) -> None:
        with connect(target, autocommit=True) as connection:
            while not stop.is_set():
                began = time.perf_counter()
                connection.execute(statement.encode(), parameters)
                spent = (time.perf_counter() - began) * 1000
                setattr(waits, name, max(getattr(waits, name), spent))

    read = READ.format(table=way.table, begin=begin, end=begin + timedelta(days=1))
    threads = [
        threading.Thread(target=keep, args=("reader", read, None)),
        threading.Thread(target=keep, args=("writer", FILL.format(table=way.table), {"at": way.young_at, "rows": 1})),
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def measure(target: ConnectionTarget, settings: Settings, way: Way, rows: int, repeat: int) -> Result:
    """Fill the day and let it go, as often as asked."""
    result = Result()
    for _ in range(repeat):
        with connect(target, autocommit=True) as connection:
            way.make_day(connection)
            connection.execute(FILL.format(table=way.table).encode(), {"at": way.old_at, "rows": rows})
            connection.execute("checkpoint")
        with disturbed(target, way, result.waits):
            began = time.perf_counter()
            way.go(target, settings)
            result.seconds.append(time.perf_counter() - began)
    return result


def measure_all(
    target: ConnectionTarget, settings: Settings, ways: Sequence[Way], sizes: Sequence[int], repeat: int
) -> None:
    """Measure some ways on one server, and print."""
    with connect(target, autocommit=True) as connection:
        ensure_ahead(connection, AS_OF)
        for way in ways:
            connection.execute(f"truncate {way.table}".encode())
            connection.execute(FILL.format(table=way.table).encode(), {"at": way.young_at, "rows": YOUNG_ROWS})
            connection.execute(f"vacuum analyze {way.table}".encode())
        (version,) = connection.execute("show server_version").fetchone() or ("",)
    say(f"PostgreSQL {version}, load {os.getloadavg()[0]:.1f}")
    say(f"{'way':<10} {'rows':>12} {'median s':>9} {'fastest s':>9} {'reader ms':>10} {'writer ms':>10}")
    for way in ways:
        medians = []
        for rows in sizes:
            found = measure(target, settings, way, rows, repeat)
            medians.append(found.median)
            say(
                f"{way.name:<10} {rows:>12,} {found.median:>9.3f} {min(found.seconds):>9.3f} "
                f"{found.waits.reader:>10.1f} {found.waits.writer:>10.1f}"
            )
        say(f"{way.name:<10} the largest takes {medians[-1] / medians[0]:.2f} x the smallest")


def measure_embedded(home: Path, sizes: Sequence[int], repeat: int) -> None:
    """The clean-up beside `delete`."""
    settings = Settings(home=home / "home")
    try:
        target = ensure_available(settings)
        migrate(target, settings)
        measure_all(target, settings, [CLEAN_UP, DELETE], sizes, repeat)
    finally:
        EmbeddedServer(settings).stop(immediately=True)


def measure_partman(home: Path, sizes: Sequence[int], repeat: int) -> None:
    """The clean-up beside pg_partman, where that is installed."""
    programs = partman.find_server()
    if programs is None:
        say(
            f"pg_partman is not installed: SKIPPED. Expected Debian's package {partman.PACKAGE}; install it, and run this again."
        )
        return
    with partman.temporary_cluster(programs, home / "cluster") as url:
        settings = Settings(home=home / "external", database_url=url)
        target = ensure_available(settings)
        migrate(target, settings)
        with connect(target, autocommit=True) as connection:
            partman.prepare(connection)
        measure_all(target, settings, [CLEAN_UP, pg_partman()], sizes, repeat)


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 10_000_000])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", choices=["embedded", "partman"], help="measure one of the two servers")
    asked = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="lyceum-prune-"))
    home.chmod(0o711)
    try:
        if asked.only != "partman":
            measure_embedded(home, asked.rows, asked.repeat)
        if asked.only != "embedded":
            measure_partman(home, asked.rows, asked.repeat)
    finally:
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
