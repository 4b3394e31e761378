"""The tasks of `backup_warehouse`."""

from __future__ import annotations

import logging

from airflow.sdk.exceptions import AirflowSkipException

from lyceum.errors import RetryableError
from lyceum.orchestration.task_context import as_of, settings
from lyceum.orchestration.task_policy import library_task
from lyceum.settings import Settings

_log = logging.getLogger(__name__)

_SUNDAY = 6


@library_task
def create() -> dict[str, int | str]:
    """Make a base backup; return its name and size. Fails when the log after it does not reach the archive."""
    from lyceum.backup import back_up

    report = back_up(_backed_up(), lambda step: _log.info("%s", step))
    if report.wal_problem is not None:
        raise RetryableError(report.wal_problem)
    return {"backup": report.backup.name, "bytes": report.backup.byte_length, "seconds": round(report.seconds)}


@library_task
def prune() -> dict[str, int]:
    """Remove all but the newest backups, and what only the removed ones needed; return the counts."""
    from lyceum.backup import prune as remove

    where = _backed_up()
    report = remove(where, where.backups_kept, None, as_of())
    return {
        "removed": len(report.removed),
        "kept": len(report.kept),
        "segments": report.segments,
        "bytes": report.byte_length,
    }


@library_task
def drill() -> dict[str, int | str]:
    """On Sundays restore the latest state, check it and throw it away; return what was in it."""
    from lyceum import backup

    where = _backed_up()
    if as_of().weekday() != _SUNDAY:
        raise AirflowSkipException("The drill is on Sundays. To run one now: lyceum restore --drill")
    report = backup.drill(where, tell=lambda step: _log.info("%s", step))
    return {"backup": report.backup, "archives": report.archives, **report.rows}


def _backed_up() -> Settings:
    where = settings()
    if where.database_url is not None and where.backup_database_url is None:
        raise AirflowSkipException(
            "The server is not ours, and LYCEUM_BACKUP_DATABASE_URL names no login that may copy it: its operator's own means back it up."
        )
    return where
