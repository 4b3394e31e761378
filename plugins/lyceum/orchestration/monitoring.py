"""The task of `monitor_warehouse`."""

from __future__ import annotations

import logging

from lyceum.orchestration.task_context import as_of, settings
from lyceum.orchestration.task_policy import library_task

_log = logging.getLogger(__name__)


@library_task
def watch() -> dict[str, int]:
    """Measure the warehouse and its server, keep the measurements, open and end alerts; return the counts."""
    from lyceum.monitoring import watch as look

    found = look(settings(), as_of())
    counts = {
        "samples": len(found.samples),
        "findings": len(found.findings),
        "new_alerts": found.new_alerts,
        "resolved": found.resolved,
    }
    _log.info("%s", ", ".join(f"{count:,} {name}" for name, count in counts.items()))
    return counts
