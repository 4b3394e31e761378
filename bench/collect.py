"""Measure `lyceum collect` beside a bare COPY of the same lines into one jsonb column, in the same run.

Both go over the same connection settings into the same server: a fresh embedded one with the settings that Lyceum gives it.
The statements are simulated, or the lines of a file (--input), repeated with new ids until there are enough of them. For
each side it prints the wall time, the CPU time of the client and that of the server, and statements per second of wall
time; the ratio is that of the medians. `lyceum collect` is measured as a process, start-up included.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from lyceum import database, organizations
from lyceum.database import ConnectionTarget, EmbeddedServer
from lyceum.settings import Settings
from lyceum.simulator import Irregularities, OrganizationPlan, SimulationPlan, simulate

_FIRST_DAY = date(2024, 5, 6)
_BASE_STATEMENTS = 20_000
_COPY_BLOCK = 256 * 1024
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Measurement:
    """One pass over all statements."""

    statements: int
    wall_seconds: float
    client_seconds: float
    server_seconds: float

    @property
    def rate(self) -> float:
        """Statements per second of wall time."""
        return self.statements / self.wall_seconds


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the measurement and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--statements", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--input", type=Path, help="NDJSON, plain or gzip, whose statements are repeated instead of simulated ones"
    )
    parser.add_argument("--as-of", help="clock of the collection; default: the day after the simulated ones")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    as_of = datetime.fromisoformat(options.as_of) if options.as_of else datetime(2024, 5, 13, 12, tzinfo=UTC)
    with tempfile.TemporaryDirectory(prefix="lyceum-bench-") as folder:
        settings = Settings.from_environment({"LYCEUM_HOME": f"{folder}/home"}, Path.cwd())
        settings.create_directories()
        path = Path(folder, "statements.ndjson")
        size = write_statements(path, options.statements, options.input)
        target = database.ensure_available(settings)
        try:
            database.migrate(target, settings)
            copies, collections = measure(settings, target, path, options.statements, options.rounds, as_of)
        finally:
            EmbeddedServer(settings).stop()
    show(copies, collections, options.statements, size, is_json=options.json)


def measure(
    settings: Settings, target: ConnectionTarget, path: Path, statements: int, rounds: int, as_of: datetime
) -> tuple[list[Measurement], list[Measurement]]:
    """Alternate between the two sides, so that what else the machine does meets both."""
    copies, collections = [], []
    for number in range(rounds):
        copies.append(copy_lines(settings, target, path, statements))
        slug = f"bench-{number}"
        with database.connect(target) as connection:
            organizations.add_organization(connection, slug, slug, "Europe/Paris", as_of)
        collections.append(collect(settings, path, statements, slug, as_of))
    return copies, collections


def copy_lines(settings: Settings, target: ConnectionTarget, path: Path, statements: int) -> Measurement:
    """COPY the lines as they are. Control characters, which JSON text never holds, stand for quote and delimiter."""
    server = server_seconds(settings)
    wall, client = time.perf_counter(), time.process_time()
    with database.connect(target) as connection, path.open("rb") as file:
        connection.execute("create table if not exists public.lines (line jsonb)")
        connection.execute("truncate public.lines")
        connection.commit()
        query = "copy public.lines from stdin with (format csv, quote e'\\x01', delimiter e'\\x02')"
        with connection.cursor().copy(query) as copy:
            while block := file.read(_COPY_BLOCK):
                copy.write(block)
    return Measurement(
        statements, time.perf_counter() - wall, time.process_time() - client, server_seconds(settings) - server
    )


def collect(settings: Settings, path: Path, statements: int, organization: str, as_of: datetime) -> Measurement:
    """Run `lyceum collect` as a person would."""
    program = [
        str(Path(sys.executable).with_name("lyceum")), "collect", str(path), "--organization", organization,
        "--format", "xapi", "--history", "--as-of", as_of.isoformat(), "--json",
    ]  # fmt: skip
    server = server_seconds(settings)
    wall = time.perf_counter()
    process = subprocess.Popen(program, env={**os.environ, **settings.environment()}, stdout=subprocess.PIPE)
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - wall
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"lyceum collect failed with exit code {process.returncode}.")
    accepted = json.loads(output)["events_accepted"]
    if accepted != statements:
        sys.exit(
            f"lyceum collect accepted {accepted} of {statements} statements. Expected all: check --as-of and --input."
        )
    return Measurement(statements, seconds, usage.ru_utime + usage.ru_stime, server_seconds(settings) - server)


def server_seconds(settings: Settings) -> float:
    """Return the CPU time of the server's processes, those that have ended included."""
    postmaster = int((settings.server_data / "postmaster.pid").read_text().split()[0])
    ticks = 0
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            values = (folder / "stat").read_text().rpartition(") ")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        # After the name: state, parent, …; then own user and system time at 11 and 12, those of waited-for children after.
        if int(folder.name) == postmaster:
            ticks += sum(map(int, values[11:15]))
        elif int(values[1]) == postmaster:
            ticks += sum(map(int, values[11:13]))
    return ticks / _TICKS


def write_statements(path: Path, count: int, source: Path | None) -> int:
    """Write `count` statements with ids of their own; return the size in bytes."""
    templates = list(_templates(_lines(source) if source else _simulated()))
    chance = random.Random(7)
    with path.open("wb") as file:
        for number in range(count):
            before, after = templates[number % len(templates)]
            new_id = str(uuid.UUID(int=chance.getrandbits(128), version=4)).encode()
            file.write(before + new_id + after + b"\n")
    return path.stat().st_size


def _templates(lines: Iterator[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Yield each statement as what stands before its id and what stands after."""
    for line in lines:
        own_id = json.loads(line)["id"].encode()
        before, found, after = line.partition(b'"id":"' + own_id + b'"')
        if not found:
            before, found, after = line.partition(b'"id": "' + own_id + b'"')
        yield before + found[: -len(own_id) - 1], b'"' + after


def _lines(source: Path) -> Iterator[bytes]:
    content = source.read_bytes()
    yield from (gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content).splitlines()


def _simulated() -> Iterator[bytes]:
    """Yield simulated statements of one organization, all of them in order, none twice."""
    plan = SimulationPlan(
        first_day=_FIRST_DAY,
        days=7,
        organizations=(OrganizationPlan("bench", "Bench", "Europe/Paris", learners=2_000, courses=20),),
        irregularities=Irregularities(),
    )
    found = 0
    for delivery in simulate(plan):
        for line in delivery.lines:
            yield line.encode()
            found += 1
            if found == _BASE_STATEMENTS:
                return


def show(
    copies: Sequence[Measurement], collections: Sequence[Measurement], statements: int, size: int, *, is_json: bool
) -> None:
    """Print both sides and their ratio."""
    sides = {"bare COPY into jsonb": copies, "lyceum collect": collections}
    ratio = statistics.median(one.rate for one in collections) / statistics.median(one.rate for one in copies)
    if is_json:
        figures = {
            name: {
                "statements_per_second": round(statistics.median(one.rate for one in side)),
                "wall_seconds": statistics.median(one.wall_seconds for one in side),
                "client_cpu_seconds": statistics.median(one.client_seconds for one in side),
                "server_cpu_seconds": statistics.median(one.server_seconds for one in side),
            }
            for name, side in sides.items()
        }
        print(json.dumps({"statements": statements, "bytes": size, "ratio": ratio, **figures}))
        return
    print(f"{statements:,} statements of {size // statements:,} bytes, {len(copies)} rounds")
    print(f"{'':24}{'per second':>12}{'wall s':>9}{'client s':>10}{'server s':>10}")
    for name, side in sides.items():
        for one in side:
            print(
                f"{name:24}{one.rate:>12,.0f}{one.wall_seconds:>9.2f}{one.client_seconds:>10.2f}{one.server_seconds:>10.2f}"
            )
    print(f"ratio of the medians: {ratio:.2f}")


if __name__ == "__main__":
    main()
