"""The task of `restore_archive`, and what `archive_yearly` does with archives."""

from __future__ import annotations

import logging
from datetime import timedelta

from lyceum.orchestration.task_context import as_of, settings
from lyceum.orchestration.task_policy import library_task

_log = logging.getLogger(__name__)


@library_task
def restore_archived_partition(name: str, keep_days: str) -> dict[str, int | str]:
    """Bring a partition back from its archive; return how many rows it has and until when it stays.

    Raises `ConfigurationError` when there is no such archive, `ArchiveError` when it is not whole.
    """
    from lyceum.archiving import restore_partition
    from lyceum.archiving.listing import find_archive
    from lyceum.database import connect, target

    where = settings()
    with connect(target(where), autocommit=True) as connection:
        entry = find_archive(connection, name)
        restored = restore_partition(
            connection, where, entry.table, entry.name, as_of(), timedelta(days=int(keep_days))
        )
    _log.info("%s has %d rows and stays until %s", restored.name, restored.rows, restored.restored_until.isoformat())
    return {"rows": restored.rows, "restored_until": restored.restored_until.isoformat()}


@library_task
def remove_old_archives() -> dict[str, int]:
    """Remove the archives whose retention is over and that nothing can ask for any more; return the counts."""
    from lyceum.archiving.retention import remove_expired_archives
    from lyceum.database import connect, target

    where = settings()
    with connect(target(where), autocommit=True) as connection:
        removed = remove_expired_archives(connection, where, as_of())
    return {"archives": len(removed), "bytes": sum(entry.byte_length for entry in removed)}
