"""Restoring: a sealed week takes events again, with exactly the rows that it had when it was sealed."""

from __future__ import annotations

import logging
from datetime import date

from lyceum import faults, partitions
from lyceum.archiving import (
    ArchiveError,
    ArchiveFiles,
    ArchiveScope,
    Manifest,
    StoredArchive,
    archive_files,
    find_rows,
    has_rows,
    load_archive,
    open_archive,
    pin_text_forms,
    summarize_rows,
)
from lyceum.audit import Access, ensure_audit_partitions, record_access
from lyceum.database import Connection
from lyceum.sealing.weeks import ARCHIVED_TABLES, read_archives, week_scope
from lyceum.settings import Settings

_LOG = logging.getLogger("lyceum.sealing")


def restore_week(
    connection: Connection, maintenance: Connection, settings: Settings, organization_id: int, week_start: date
) -> bool:
    """Reopen a sealed week inside the transaction of `connection`; return False when it is open already.

    The transaction must be read committed and hold the organization's lock. `maintenance` is another connection, in
    autocommit mode, on which the week's partitions are made. Rows that were not dropped yet are compared with what was
    archived; otherwise the archives are proven, loaded, and compared with what the table then holds. A row of the audit trail
    tells of it in the same transaction.

    Raises `ArchiveError` when an archive is missing or damaged, or when the rows are not those that were sealed; the
    transaction is then as it was before the call, but for settings of how values are written.
    """
    with connection.transaction():
        row = connection.execute(
            """
            update ops.week_states set state = 'open', sealed_at = null
            where organization_id = %s and week_start = %s and state = 'sealed'
            returning 1
            """,
            [organization_id, week_start],
        ).fetchone()
        if row is None:
            return False
        faults.reach("restore.week_opened")
        # From here on no partition of the week is dropped (see release.py).
        pin_text_forms(connection)
        partitions.let_go_of_snapshot(connection)
        for table in ARCHIVED_TABLES:
            partitions.ensure_for_dates(maintenance, table, [week_start])
        ensure_audit_partitions(maintenance)
        faults.reach("restore.partitions_ensured")
        files = archive_files(settings)
        weeks = [week_scope(table, organization_id, week_start) for table in ARCHIVED_TABLES]
        rows = sum(_restore_table(connection, files, week) for week in weeks)
        faults.reach("restore.rows_restored")
        record_access(connection, Access("week_restored", f"week {week_start}", organization_id), row_count=rows)
    _LOG.info(
        "restored week %s of organization %d: %d rows",
        week_start,
        organization_id,
        rows,
        extra={"organization_id": organization_id, "week": week_start.isoformat(), "rows": rows},
    )
    return True


def _restore_table(connection: Connection, files: ArchiveFiles, week: ArchiveScope) -> int:
    archive = read_archives(connection, week.table, week.period.lower).get(week.organization_id or 0)
    if archive is None:
        raise ArchiveError(
            f"ops.archives has no row for {week}, although the week is sealed. Expected one for each of "
            f"{', '.join(ARCHIVED_TABLES)}: bring the row back from a backup of the database. Nothing was changed."
        )
    if has_rows(connection, find_rows(connection, week)):
        _require_sealed_rows(connection, archive)
    else:
        manifest = open_archive(files, archive)
        if manifest.rows:
            load_archive(connection, files, archive, manifest)
    return archive.rows


def _require_sealed_rows(connection: Connection, archive: StoredArchive) -> None:
    """Compare the rows that are still in the table with the manifest; the file is not needed then."""
    manifest = Manifest.from_json(archive.manifest)
    if summarize_rows(connection, manifest) != manifest:
        raise ArchiveError(
            f"The table holds other rows of {archive.scope} than were sealed. Expected no change after the seal: find out what "
            "wrote to a sealed week, remove its rows so that the archive can be loaded, and try again. Nothing was changed."
        )
