"""Named places at which a process can be killed on purpose, so that tests prove what survives a crash there.

`LYCEUM_CRASH_AT` holds one name of `POINTS`; the process that reaches that point kills itself with SIGKILL, as a lost
machine would. This module is the only one that reads the variable.
"""

from __future__ import annotations

import os
import signal

VARIABLE = "LYCEUM_CRASH_AT"

POINTS: tuple[str, ...] = (
    # One input and one batch, in the order in which they are reached (docs/architecture.md, Collect).
    "collect.input_registered",
    "collect.names_resolved",
    "collect.partitions_ensured",
    "collect.organization_locked",
    "collect.weeks_restored",
    "collect.events_judged",
    "collect.keys_written",
    "collect.events_written",
    "collect.voids_applied",
    "collect.quarantine_written",
    "collect.batch_recorded",
    "collect.batch_committed",
    "collect.input_completed",
    # One delivery of a roster.
    "roster.loaded",
    "roster.keys_made",
    "roster.written",
    "roster.committed",
    # One rotation of the keys that wrap those of people.
    "keys.version_made",
    "keys.batch_rewrapped",
    # One piece of the server's log, and one batch of the audit trail.
    "audit.rows_written",
    "audit.offset_moved",
    "audit.lines_committed",
    "audit.batch_written",
    "audit.batch_committed",
    # One pull of a Learning Record Store, around the points of what it collects.
    "lrs.pages_spooled",
    "lrs.spool_collected",
    "lrs.cursor_moved",
    # One build (docs/architecture.md, Build).
    "build.users_merged",
    "build.begun",
    "build.raw_audited",
    "build.candidates_audited",
    "build.partitions_made",
    "build.rows_replaced",
    "build.published",
    # Replay: the batch's own points above, and these.
    "replay.rows_resolved",
    "replay.committed",
    # A partition between its detachment and its end.
    "partitions.detached",
    # One archive, of a sealed week or of a partition.
    "archive.staged",
    "archive.verified",
    "archive.published",
    # The archive of a partition between its record and what is cleared away; a partition that comes back from its archive.
    "partition_archive.recorded",
    "partition_restore.protected",
    "partition_restore.partition_made",
    "partition_restore.rows_loaded",
    # One week of one organization that is sealed, then one partition of which every organization has sealed the week.
    "seal.week_marked",
    "seal.week_committed",
    "seal.archives_proven",
    "seal.partition_dropped",
    # One sealed week that is opened again inside a batch.
    "restore.week_opened",
    "restore.partitions_ensured",
    "restore.rows_restored",
    # One refresh of a materialized view (docs/architecture.md, Views).
    "refresh.begun",
    "refresh.candidate_built",
    "refresh.candidate_audited",
    "refresh.rows_replaced",
    "refresh.view_refreshed",
    "refresh.committed",
    # One clean-up: a partition that goes (`partitions.detached` lies in between), one that is archived, rows of small tables.
    "cleanup.drop_recorded",
    "cleanup.partition_dropped",
    "cleanup.archived",
    "cleanup.rows_removed",
    "cleanup.holds_kept",
    # One person who is erased.
    "erasure.begun",
    "erasure.registered",
    "erasure.keys_destroyed",
    "erasure.rows_rekeyed",
    "erasure.tables_committed",
    "erasure.archive_recorded",
    "erasure.archives_rewritten",
    "erasure.reports_cleared",
    "erasure.logins_dropped",
    "erasure.certified",
    "erasure.committed",
    # One report: written, then one that goes.
    "reports.begun",
    "reports.file_written",
    "reports.committed",
    "reports.key_destroyed",
    "reports.file_removed",
)


def reach(name: str) -> None:
    """Kill this process if `LYCEUM_CRASH_AT` names this point; otherwise do nothing.

    Raises `ValueError` for a name that is not one of `POINTS`, so that no point escapes the tests that enumerate them.
    """
    if name not in _KNOWN:
        raise ValueError(f"{name!r} is not one of lyceum.faults.POINTS. Add it there.")
    if os.environ.get(VARIABLE) == name:
        os.kill(os.getpid(), signal.SIGKILL)


_KNOWN = frozenset(POINTS)
