"""Measure archiving a partition, proving the archive, dropping the partition, and restoring it.

The partition is a year of `stage_three.aggregated_analytics` with rows as a year of learner days has them, in a fresh
embedded server with the settings that Lyceum gives it. Each step runs in a process of its own, whose peak memory is that of
the client. That the restored rows are the same is asked of the database by a sum over a hash of each row, apart from what the
restore itself compares.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from lyceum import database, partitions
from lyceum.database import Connection, EmbeddedServer
from lyceum.settings import Settings

_TABLE = "stage_three.aggregated_analytics"
_NAME = "aggregated_analytics_p2013"
_AS_OF = datetime(2026, 11, 22, 12, tzinfo=UTC)
_ORGANIZATIONS = 20
_ROWS_PER_INSERT = 1_000_000

_STEP = """
import os, sys
from datetime import datetime
from pathlib import Path
from lyceum import archiving, database
from lyceum.settings import Settings
settings = Settings.from_environment(os.environ, Path.cwd())
as_of = datetime.fromisoformat(sys.argv[3])
with database.connect(database.target(settings), autocommit=True) as connection:
    arguments = connection, settings, sys.argv[1], sys.argv[2]
    {step}
"""
_STEPS = {
    "archive": "archiving.archive_partition(*arguments, as_of)",
    "prove": "assert archiving.is_archived(*arguments)",
    "drop": "from lyceum import partitions; assert partitions.drop_partition(connection, sys.argv[1], sys.argv[2])",
    "restore": "archiving.restore_partition(*arguments, as_of)",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One step on all rows, as its process saw it."""

    name: str
    rows: int
    wall_seconds: float
    client_seconds: float
    peak_bytes: int

    @property
    def rate(self) -> float:
        """Rows per second of wall time."""
        return self.rows / self.wall_seconds


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes of the same rows in the table, in its indexes, and in the archive."""

    table: int
    indexes: int
    archive: int


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the measurement and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="lyceum-bench-") as folder:
        settings = Settings.from_environment({"LYCEUM_HOME": f"{folder}/home"}, Path.cwd())
        settings.create_directories()
        target = database.ensure_available(settings)
        try:
            database.migrate(target, settings)
            with database.connect(target, autocommit=True) as connection:
                fill(connection, options.rows)
                before = fingerprint(connection)
                steps = [measure(settings, name, options.rows) for name in ("archive", "prove")]
                sizes = read_sizes(connection)
                steps += [measure(settings, name, options.rows) for name in ("drop", "restore")]
                after = fingerprint(connection)
        finally:
            EmbeddedServer(settings).stop()
    if after != before or after[0] != options.rows:
        sys.exit(f"The restored rows differ: {before} before, {after} after.")
    show(steps, sizes, is_json=options.json)


def fill(connection: Connection, rows: int) -> None:
    """Fill the year with learner days: as many nulls, numerics and instants as they have."""
    partitions.ensure_for_dates(connection, _TABLE, [date(2013, 1, 1)])
    for first in range(0, rows, _ROWS_PER_INSERT):
        connection.execute(
            _ROWS, {"first": first, "last": min(rows, first + _ROWS_PER_INSERT) - 1, "organizations": _ORGANIZATIONS}
        )
        tell(f"{min(rows, first + _ROWS_PER_INSERT):,} of {rows:,} rows written")
    connection.execute(f"vacuum (analyze) partitions.{_NAME}")
    connection.execute("checkpoint")


def fingerprint(connection: Connection) -> tuple[int, str]:
    """Return the number of rows and a sum that any other value of any row would change."""
    row = connection.execute(
        f"select count(*), sum(hashtextextended(t::text, 0))::text from partitions.{_NAME} as t"
    ).fetchone()
    assert row is not None
    return row[0], row[1]


def measure(settings: Settings, name: str, rows: int) -> Step:
    """Run one step in a process of its own."""
    wall = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", _STEP.format(step=_STEPS[name]), _TABLE, _NAME, _AS_OF.isoformat()],
        env={**os.environ, **settings.environment()},
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - wall
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"The step {name!r} failed with exit code {process.returncode}.")
    tell(f"{name}: {seconds:.1f} s, load {os.getloadavg()[0]:.1f}")
    return Step(name, rows, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def read_sizes(connection: Connection) -> Sizes:
    """Return the sizes of the partition and of its archive."""
    row = connection.execute(
        """
        select sum(pg_table_size(relid))::bigint, sum(pg_indexes_size(relid))::bigint, (select byte_length from ops.partition_archives)
        from pg_partition_tree(%s::regclass)
        where isleaf
        """,
        [f"partitions.{_NAME}"],
    ).fetchone()
    assert row is not None
    return Sizes(*row)


def show(steps: Sequence[Step], sizes: Sizes, *, is_json: bool) -> None:
    """Print what was measured."""
    if is_json:
        measured = {"steps": [asdict(step) for step in steps], "sizes": asdict(sizes), "load": os.getloadavg()}
        sys.stdout.write(json.dumps(measured) + "\n")
        return
    lines = [f"{'step':10}{'rows/s':>12}{'wall':>10}{'client CPU':>12}{'peak':>12}"]
    lines += [
        f"{step.name:10}{step.rate:>12,.0f}{step.wall_seconds:>8.1f} s{step.client_seconds:>10.1f} s"
        f"{step.peak_bytes / 2**20:>8,.0f} MiB"
        for step in steps
    ]
    lines.append(
        f"table {sizes.table / 1e6:,.0f} MB, its indexes {sizes.indexes / 1e6:,.0f} MB, archive {sizes.archive / 1e6:,.0f} MB "
        f"({sizes.archive / sizes.table:.1%} of the table)"
    )
    lines.append(f"The restored rows are the same {steps[0].rows:,}. Load of the machine: {os.getloadavg()[1]:.1f}.")
    sys.stdout.write("\n".join(lines) + "\n")


def tell(line: str) -> None:
    """Say on stderr what goes on."""
    sys.stderr.write(line + "\n")


_ROWS = """
insert into stage_three.aggregated_analytics (
    organization_id, subject_id, course_id, period_start, subject_type, period_type, scope, is_active, active_days, event_count,
    interaction_count, active_minutes, session_count, time_on_task_seconds, first_event_at, last_event_at, resources_viewed,
    videos_started, videos_completed, video_seconds_watched, assessments_attempted, assessments_passed, attempt_count, score_sum,
    score_count, contributions, completions, is_completed, is_enrolled, enrolled_on, is_at_risk, score_mean
)
select
    1 + number %% %(organizations)s,
    number / %(organizations)s / 365,
    case when number / %(organizations)s / 365 %% 4 > 0 then 1 + number / %(organizations)s / 365 %% 40 end,
    date '2013-01-01' + (number / %(organizations)s %% 365)::integer,
    'learner',
    'day',
    case when number / %(organizations)s / 365 %% 4 > 0 then 'course' else 'all_courses' end,
    noise %% 5 > 0,
    1,
    noise %% 400,
    noise %% 90,
    noise %% 240,
    1 + noise %% 4,
    noise %% 14000,
    timestamptz '2013-01-01 08:00+00' + (number / %(organizations)s %% 365) * interval '1 day' + noise * interval '0.01 seconds',
    timestamptz '2013-01-01 16:00+00' + (number / %(organizations)s %% 365) * interval '1 day' + noise * interval '0.01 seconds',
    noise %% 30,
    noise %% 6,
    noise %% 3,
    case when noise %% 6 > 0 then (noise %% 9000) / 10.0 end,
    noise %% 7,
    noise %% 5,
    noise %% 9,
    case when noise %% 7 > 0 then (noise %% 1000) / 100.0 end,
    noise %% 7,
    noise %% 4,
    0,
    false,
    true,
    date '2012-09-01' + (noise %% 60)::integer,
    noise %% 11 = 0,
    case when noise %% 7 > 0 then round((noise %% 1000) / 700.0, 4) end
from (
    select number, abs(hashint8(number)::bigint) %% 1000000 as noise
    from generate_series(%(first)s::bigint, %(last)s::bigint) as number
) as numbers
"""

if __name__ == "__main__":
    main()
