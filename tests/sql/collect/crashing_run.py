"""A process that collects what its caller has made, and may be told to die on the way. Run by test_crashes.py."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from lyceum import database
from lyceum.collect.reports import silent
from lyceum.collect.runs import Collector, open_run
from lyceum.settings import Settings
from tenants import AS_OF, deliver, event, refusal, void


def main() -> None:
    """Collect three batches of one input: two weeks, a duplicate, a conflict, a void and a refusal."""
    settings = Settings.from_environment(os.environ, Path.cwd())
    entry = deliver(
        event(1, "05-07 10:00"), event(2), refusal(),
        event(3, "04-30 10:00", learner="grace"), event(2), void(4, 1),
        event(5), event(1, content="other"),
        chunk_records=3,
    )  # fmt: skip
    with (
        open_run(
            database.target(settings),
            settings,
            organization=sys.argv[1],
            source="xapi",
            source_format="xapi",
            as_of=AS_OF,
            is_history=True,
            run_id="crash",
        ) as run,
        Collector(run, silent) as collector,
    ):
        collector.collect([entry])


if __name__ == "__main__":
    main()
