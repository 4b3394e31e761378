"""How fast the simulator writes: statements and rosters of large organizations, in one process and in several.

    python bench/simulate.py [--organizations 2] [--learners 10000] [--days 1] [--workers 1 2]

Counts everything: deciding what people do, rendering and compressing statements, rosters, files. Prints the rate of each number
of workers, in elapsed time and per second of processor time, because other work on the machine takes from the first.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

from lyceum.simulator import RosterPlan, SimulationPlan, sample_organizations, write_deliveries


def processor_seconds() -> float:
    """Return what this process and its ended children have used."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def main() -> None:
    """Measure and print one line for each number of workers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--organizations", type=int, default=2)
    parser.add_argument("--learners", type=int, default=10_000)
    parser.add_argument("--courses", type=int, default=60)
    parser.add_argument("--days", type=int, default=1)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    organizations = sample_organizations(
        arguments.organizations, learners=arguments.learners, courses=arguments.courses
    )
    plan = SimulationPlan(days=arguments.days, organizations=organizations, roster=RosterPlan())
    for workers in arguments.workers:
        with tempfile.TemporaryDirectory() as folder:
            began, used = time.perf_counter(), processor_seconds()
            report = write_deliveries(plan, Path(folder), workers=workers)
            elapsed, used = time.perf_counter() - began, processor_seconds() - used
        statements = report.counts.records
        print(
            f"{workers} workers: {statements:,} statements and {report.roster_rows:,} roster rows, "
            f"{report.byte_length / 1e6:.0f} MB in {elapsed:.1f} s: {statements / elapsed:,.0f} statements/s, "
            f"{statements / used:,.0f} per processor second"
        )


if __name__ == "__main__":
    main()
