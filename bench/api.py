"""Measure the analytics API: `make bench-api`, or `python bench/api.py --help`.

Takes the warehouse of `bench/row_level_security.py` (100 organizations, 6 million rows of learners' days by default), starts
`lyceum serve` on it, and has wrk (Debian's package) ask on loopback, each connection as other people of other organizations, one
endpoint after the other and then all mixed. First with a cache that is warm, then without one.

Per endpoint and number of connections: requests a second, median and 99th percentile in milliseconds as the client sees them, and
what was no 200; and the milliseconds of processor time that a request costs the API and the server, which other work on the machine
changes little. Without a cache also what PostgreSQL spends on the statements of a request, from pg_stat_statements: the mean, and
the sum of the slowest execution of each statement, which no request exceeds. Client, API and database share the machine's cores.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psutil
from row_level_security import LAST_DAY, Asked, Sizes, people_of, warehouse

from lyceum import database
from lyceum.audit import ensure_audit_partitions
from lyceum.database import Connection
from lyceum.security.tokens.claims import Role
from lyceum.security.tokens.development import DevelopmentIssuer, development_issuer
from lyceum.serving_settings import ServingSettings
from lyceum.settings import Settings

PEOPLE = 60
_ROUNDS = 8
_FIRST = LAST_DAY - timedelta(days=89)

QUESTIONS: dict[str, tuple[Role, str]] = {
    "who am I": ("learner", "/v1/me"),
    "my summary": ("learner", "/v1/me/summary"),
    "my courses": ("learner", "/v1/me/courses"),
    "my 90 days": ("learner", f"/v1/me/activity?from={_FIRST}&to={LAST_DAY}"),
    "courses I teach": ("trainer", "/v1/teaching/courses?period=day"),
    "learners I teach": ("trainer", "/v1/teaching/courses/{course}/learners?period=day"),
    "metrics": ("org_admin", "/v1/organization/metrics"),
    "a year of trends": ("org_admin", f"/v1/organization/trends?from={LAST_DAY - timedelta(days=364)}&to={LAST_DAY}"),
    "courses": ("org_admin", "/v1/organization/courses"),
    "a course's learners": ("org_admin", "/v1/organization/courses/{course}/learners"),
    "a learner's 90 days": (
        "service",
        f"/v1/organization/learners/{{learner}}/activity?from={_FIRST}&to={LAST_DAY}",
    ),
}

_SCRIPT = """
local requests = {}
for line in io.lines(os.getenv("LYCEUM_BENCH_REQUESTS")) do
  local token, path = line:match("^(%S+) (%S+)$")
  requests[#requests + 1] = wrk.format("GET", path, { ["Host"] = "127.0.0.1", ["Authorization"] = "Bearer " .. token })
end
local number = 0
request = function()
  number = number % #requests + 1
  return requests[number]
end
done = function(summary, latency)
  io.write(string.format("LYCEUM %d %d %d %d %d %d\\n", summary.requests, summary.duration, latency:percentile(50),
    latency:percentile(99), summary.errors.status, summary.errors.connect + summary.errors.read + summary.errors.write
    + summary.errors.timeout))
end
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """One endpoint at one load. Times are milliseconds; `database` ones only where nothing was kept."""

    question: str
    is_cached: bool
    connections: int
    requests: int
    requests_per_second: float
    p50: float
    p99: float
    errors: int
    api_processor: float
    server_processor: float
    database_mean: float | None = None
    database_slowest: float | None = None


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the measurement and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--organizations", type=int, default=100)
    parser.add_argument("--learners", type=int, default=50, help="of an organization, on average")
    parser.add_argument("--days", type=int, default=400)
    parser.add_argument("--seconds", type=int, default=5, help="how long each endpoint is asked at each load")
    parser.add_argument("--connections", default="1,2,4,16", help="how many ask at a time; several with commas")
    parser.add_argument("--workers", type=int, default=2, help="processes of the API")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the warehouse there, or take it up again")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there, too")
    parser.add_argument("--only", help="the endpoints that hold one of these texts, with commas")
    asked = parser.parse_args(arguments)
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not on PATH. On Debian and Ubuntu: apt-get install wrk")
    loads = [int(number) for number in asked.connections.split(",")]
    questions = [
        name for name in QUESTIONS if asked.only is None or any(part in name for part in asked.only.split(","))
    ]
    measured: list[Measured] = []
    with warehouse(asked.keep, Sizes(asked.organizations, asked.learners, asked.days)) as (settings, target):
        with database.connect(target, autocommit=True) as connection:
            _prepare(connection)
            people = people_of(connection, PEOPLE)
            _say(f"load {os.getloadavg()[0]:.2f} before; {os.cpu_count()} cores, {asked.workers} processes of the API")
            _say(_HEADER)
            for is_cached in (True, False):
                serving = ServingSettings(requests_per_minute=10_000_000, cache_bytes=(256 << 20) if is_cached else 0)
                with _serving(replace(settings, serving=serving), asked.workers) as address:
                    issuer = development_issuer(settings)
                    mixed = []
                    for name in questions:
                        lines = [_line(issuer, *QUESTIONS[name], one) for one in people]
                        mixed += lines
                        for load in loads:
                            one = _measure(name, address, lines, load, asked.seconds, connection, is_cached=is_cached)
                            measured.append(one)
                            _say(_row(one))
                    for load in loads:
                        one = _measure(
                            "all mixed", address, mixed, load, asked.seconds, connection, is_cached=is_cached
                        )
                        measured.append(one)
                        _say(_row(one))
        _say(f"load {os.getloadavg()[0]:.2f} after")
    if asked.json:
        asked.json.write_text(json.dumps([asdict(one) for one in measured], indent=1))
    if any(one.errors for one in measured):
        raise SystemExit("There were errors.")


def _prepare(connection: Connection) -> None:
    ensure_audit_partitions(connection)
    connection.execute(
        """
        insert into stage_three.learner_courses (organization_id, learner_id, course_id, enrolled_days, at_risk_days)
        select
            organization_id, user_id, course_id, '{[2020-01-01,)}',
            (case when user_id % 5 = 0 then '{[2026-11-01,)}' else '{}' end)::datemultirange
        from core.enrollments where role = 'learner'
        on conflict do nothing
        """
    )
    connection.execute("analyze stage_three.learner_courses")


def _line(issuer: DevelopmentIssuer, role: Role, path: str, who: Asked) -> str:
    user = {"learner": who.learner, "trainer": who.trainer}.get(role)
    scopes = ("analytics.read",) if role == "service" else ()
    token = issuer.mint(role, f"school-{who.organization}", datetime.now(UTC), user_id=user, scopes=scopes)
    return f"{token} {path.format(course=who.course, learner=who.learner)}"


@contextmanager
def _serving(settings: Settings, workers: int) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LYCEUM_")}
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", "from lyceum.cli import main; main()"),
            *("serve", "--port", str(port), "--workers", str(workers)),
        ],
        env=environment | settings.environment(),
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while not _is_ready(address):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("The API did not start.")
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _is_ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/health/ready", timeout=5, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def _measure(
    name: str, address: str, lines: list[str], load: int, seconds: int, connection: Connection, *, is_cached: bool
) -> Measured:
    with tempfile.TemporaryDirectory() as folder:
        requests, script = Path(folder, "requests"), Path(folder, "script.lua")
        requests.write_text("\n".join(lines) + "\n")
        script.write_text(_SCRIPT)
        # Until every question has come to every process: what is measured is neither a cold disk nor, where one is, a cold cache.
        asked = 0
        while asked < _ROUNDS * len(lines):
            asked += _counted(_wrk(address, script, requests, load, 2))[0]
        connection.execute("select server_statistics.pg_stat_statements_reset()")
        before = _processor_seconds(address, connection)
        said = _wrk(address, script, requests, load, seconds)
        after = _processor_seconds(address, connection)
    count, microseconds, p50, p99, refused, broken = _counted(said)
    mean, slowest = _database_time(connection, count) if not is_cached else (None, None)
    return Measured(
        question=name,
        is_cached=is_cached,
        connections=load,
        requests=count,
        requests_per_second=count / microseconds * 1e6,
        p50=p50 / 1000,
        p99=p99 / 1000,
        errors=refused + broken,
        api_processor=(after[0] - before[0]) / count * 1000,
        server_processor=(after[1] - before[1]) / count * 1000,
        database_mean=mean,
        database_slowest=slowest,
    )


def _wrk(address: str, script: Path, requests: Path, load: int, seconds: int) -> str:
    return subprocess.run(
        ["wrk", "-t1", f"-c{load}", f"-d{seconds}s", "--timeout", "30s", "-s", str(script), address],
        env={**os.environ, "LYCEUM_BENCH_REQUESTS": str(requests)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def _counted(said: str) -> tuple[int, ...]:
    """Return requests, microseconds, median, 99th percentile, answers that were no 200, and broken connections."""
    match = re.search(r"LYCEUM (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)", said)
    assert match is not None, said
    return tuple(map(int, match.groups()))


def _processor_seconds(address: str, connection: Connection) -> tuple[float, float]:
    """Return the seconds of processor time of the API's processes, and of the server's processes that work for it."""
    port = address.rpartition(":")[2]
    serving = next(
        process for process in psutil.Process().children() if process.is_running() and port in process.cmdline()
    )
    rows = connection.execute(
        "select pid from pg_stat_activity where application_name = 'lyceum api' or backend_type = 'walwriter'"
    ).fetchall()
    api = sum(_seconds(process) for process in (serving, *serving.children(recursive=True)))
    return api, sum(_seconds(psutil.Process(pid)) for (pid,) in rows)


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _database_time(connection: Connection, requests: int) -> tuple[float, float]:
    """Return the mean of a request's statements, and the sum of the slowest execution of each statement that reads."""
    row = connection.execute(
        """
        select
            sum(total_exec_time) / %s,
            sum(max_exec_time) filter (where query not like 'begin%%' and query not like 'select audit.record%%')
        from server_statistics.pg_stat_statements
        where userid in (select oid from pg_roles where rolname like 'lyceum%%') and toplevel
        """,
        [max(requests, 1)],
    ).fetchone()
    assert row is not None
    return float(row[0] or 0), float(row[1] or 0)


_HEADER = (
    f"{'endpoint':<22}{'cache':<7}{'at once':>8}{'requests/s':>12}{'p50':>8}{'p99':>8}{'errors':>8}"
    f"{'API':>7}{'server':>8}"
    f"{'database':>10}{'slowest':>9}"
)


def _row(one: Measured) -> str:
    database_time = (
        f"{one.database_mean:>10.2f}{one.database_slowest:>9.1f}"
        if one.database_mean is not None and one.database_slowest is not None
        else ""
    )
    return (
        f"{one.question:<22}{'warm' if one.is_cached else 'none':<7}{one.connections:>8}{one.requests_per_second:>12.0f}"
        f"{one.p50:>8.2f}{one.p99:>8.2f}{one.errors:>8}"
        f"{one.api_processor:>7.2f}{one.server_processor:>8.2f}{database_time}"
    )


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
