"""The tasks of `collect_audit_logs` and `seal_audit_trail`."""

from __future__ import annotations

import logging

from lyceum.orchestration.task_context import settings
from lyceum.orchestration.task_policy import library_task

_log = logging.getLogger(__name__)


@library_task
def collect() -> dict[str, int]:
    """Collect the server's log and the changes of rights, seal them, and tell of gaps; return the counts."""
    from lyceum import audit
    from lyceum.database import target

    where = settings()
    taken = audit.take_up(target(where), where)
    if taken.log is None:
        _log.info(
            "LYCEUM_SERVER_LOG_FOLDER is not set, and the server is not ours: its log is not collected, the catalogue is."
        )
    report = taken.log or audit.CollectionReport()
    counts = {
        "lines": report.lines,
        "rows": report.rows,
        "changes_of_rights": taken.changes_of_rights,
        "new_gaps": len(report.gaps),
        "unacknowledged_gaps": taken.unacknowledged_gaps,
    }
    _log.info("%s", ", ".join(f"{count:,} {name}" for name, count in counts.items()))
    return counts


@library_task
def seal() -> dict[str, int]:
    """Add what was committed to the chain, and write its head outside the database; return the counts."""
    from lyceum import audit
    from lyceum.database import connect, target

    where = settings()
    warehouse = target(where)
    with connect(warehouse, autocommit=True, application_name="lyceum audit") as connection:
        report = audit.seal_and_tell(connection, warehouse, where)
    return {
        "rows_sealed": report.batch.row_count if report.batch is not None else 0,
        "rows_waiting": report.rows_waiting,
        "heads_missing": report.heads_missing,
    }
