"""The archives of a sealed week: one of each of four tables."""

from __future__ import annotations

from datetime import date

from lyceum.archiving import ArchiveScope, StoredArchive
from lyceum.database import Connection
from lyceum.partitions import period_of

ARCHIVED_TABLES = (
    "stage_two.learner_day_states",
    "stage_two.learner_video_day_states",
    "stage_two.trainer_day_states",
    "stage_one.event_keys",
)


def week_scope(table: str, organization_id: int, week_start: date) -> ArchiveScope:
    """Return what the archive of a table's week of one organization is about."""
    return ArchiveScope(table, period_of("week", week_start), organization_id)


def read_archives(connection: Connection, table: str, week_start: date) -> dict[int, StoredArchive]:
    """Return what `ops.archives` has of this table and week, by organization."""
    rows = connection.execute(
        """
        select organization_id, uri, row_count, byte_length, sha256, manifest::text
        from ops.archives
        where table_name = %s and week_start = %s
        """,
        [table, week_start],
    ).fetchall()
    return {
        organization_id: StoredArchive(
            week_scope(table, organization_id, week_start), uri, row_count, byte_length, sha256.hex(), manifest.encode()
        )
        for organization_id, uri, row_count, byte_length, sha256, manifest in rows
    }
