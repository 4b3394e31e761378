"""Measure dropping an expired raw day: `python bench/prune.py [--rows 10000 10000000] [--repeat 3]`.

Fills a raw day of a warehouse of its own (an embedded server with its defaults) with so many rows, beside a young day, and times
the daily clean-up, plan and all, against `delete` of the same rows. Meanwhile one session counts a batch of the
young day, and another inserts there and commits; printed are the seconds, the longest wait of each in milliseconds, and how many
times longer the largest day takes than the smallest. The warehouse is stopped and removed afterwards.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lyceum.database import ConnectionTarget, EmbeddedServer, connect, ensure_available, migrate
from lyceum.lifecycle import run_cleanup
from lyceum.partitions import ensure_ahead, ensure_for_dates
from lyceum.settings import Settings

RAW = "stage_one.raw_data_collection"
OLD_DAY = datetime(2026, 11, 20, tzinfo=UTC)
AS_OF = OLD_DAY + timedelta(days=2, minutes=25)
FILL = """
    insert into stage_one.raw_data_collection (
        organization_id, batch_id, ordinal, collected_at, event_id, occurred_at, learner_id, course_id, source_id, object_id,
        verb_id, quantity, activity_date, active_minute, is_course_object, is_video, is_void, is_voided, occurred_at_precision,
        payload
    )
    select
        1 + number %% 10, number / 10000, number, %(at)s, gen_random_uuid(), %(at)s, number %% 5000, number %% 40, 1,
        number %% 3000, number %% 12, 1, %(at)s::date, 1, false, false, false, false, 'instant', '{"verb": "experienced"}'
    from generate_series(1::bigint, %(rows)s) as number
"""
READ = (
    "select count(*) from stage_one.raw_data_collection where organization_id = 3 and batch_id = 5"
    f" and collected_at >= '{AS_OF:%Y-%m-%d}' and collected_at < '{AS_OF + timedelta(days=1):%Y-%m-%d}'"
)


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


@contextmanager
def disturbed(target: ConnectionTarget, waits: Waits) -> Iterator[None]:
    """Read and write the young day all the while, and note the longest waits."""
    stop = threading.Event()

    def keep(name: str, statement: str, parameters: dict[str, object] | None) -> None:
        with connect(target, autocommit=True) as connection:
            while not stop.is_set():
                began = time.perf_counter()
                connection.execute(statement, parameters)  # type: ignore[call-overload]
                spent = (time.perf_counter() - began) * 1000
                setattr(waits, name, max(getattr(waits, name), spent))

    threads = [
        threading.Thread(target=keep, args=("reader", READ, None)),
        threading.Thread(target=keep, args=("writer", FILL, {"at": AS_OF, "rows": 1})),
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


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


WAYS: dict[str, Callable[[ConnectionTarget, Settings], None]] = {"clean-up": clean_up, "delete": delete}


def measure(target: ConnectionTarget, settings: Settings, way: str, rows: int, repeat: int) -> Result:
    """Fill the day and let it go, as often as asked."""
    result = Result()
    for _ in range(repeat):
        with connect(target, autocommit=True) as connection:
            ensure_for_dates(connection, RAW, [OLD_DAY.date()])
            connection.execute("truncate partitions.raw_data_collection_p20261120")
            connection.execute(FILL, {"at": OLD_DAY, "rows": rows})
            connection.execute("checkpoint")
        with disturbed(target, result.waits):
            began = time.perf_counter()
            WAYS[way](target, settings)
            result.seconds.append(time.perf_counter() - began)
    return result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 10_000_000])
    parser.add_argument("--repeat", type=int, default=3)
    asked = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="lyceum-prune-"))
    home.chmod(0o711)
    settings = Settings(home=home / "home")
    try:
        target = ensure_available(settings)
        migrate(target, settings)
        with connect(target, autocommit=True) as connection:
            ensure_ahead(connection, AS_OF)
            connection.execute(FILL, {"at": AS_OF, "rows": 1_000_000})
            connection.execute("vacuum analyze stage_one.raw_data_collection")
        print(f"{'way':<10} {'rows':>12} {'median s':>9} {'fastest s':>9} {'reader ms':>10} {'writer ms':>10}")
        for way in WAYS:
            medians = []
            for rows in asked.rows:
                found = measure(target, settings, way, rows, asked.repeat)
                medians.append(found.median)
                print(
                    f"{way:<10} {rows:>12,} {found.median:>9.3f} {min(found.seconds):>9.3f} "
                    f"{found.waits.reader:>10.1f} {found.waits.writer:>10.1f}",
                    flush=True,
                )
            print(f"{way:<10} the largest takes {medians[-1] / medians[0]:.2f} x the smallest")
    finally:
        EmbeddedServer(settings).stop(immediately=True)
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
