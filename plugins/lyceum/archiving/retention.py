"""How long archives stay. One goes when its own policy is over, and nothing can ask for its rows any more.

A sealed week is asked for by late events as long as stage three keeps a year that the week lies in; an archived partition
is proven by its archive as long as it is there. Those archives stay, whatever the policy says.
"""

from __future__ import annotations

import logging
from datetime import datetime

from lyceum.archiving.files import archive_files
from lyceum.archiving.listing import ArchiveEntry, read_expired
from lyceum.database import Connection
from lyceum.settings import Settings

_LOG = logging.getLogger("lyceum.archiving")


def expired_archives(connection: Connection, as_of: datetime) -> list[ArchiveEntry]:
    """Return the archives that may go at `as_of`, by table and time."""
    return [entry for entry, _ in read_expired(connection, as_of)]


def remove_expired_archives(connection: Connection, settings: Settings, as_of: datetime) -> list[ArchiveEntry]:
    """Remove the archives that may go at `as_of`, files first; return them.

    `connection` must be idle and in autocommit mode. Each archive is a transaction: whatever interrupts it, its record goes last,
    so that calling again removes what was left. Raises `RetryableError` when the place of the archives cannot be written to.
    """
    files = archive_files(settings)
    removed = []
    for entry, archive in read_expired(connection, as_of):
        with connection.transaction():
            # Whoever archives or restores meanwhile changes the record, and the archive stays.
            gone = connection.execute(
                """
                with
                weeks as (
                    delete from ops.archives
                    where organization_id = %(organization_id)s and table_name = %(table)s and week_start = %(lower)s and uri = %(uri)s
                    returning 1
                ),

                partitions as (
                    delete from ops.partition_archives
                    where
                        organization_id is not distinct from %(organization_id)s
                        and table_name = %(table)s
                        and partition_name = %(name)s
                        and uri = %(uri)s
                        and (restored_until is null or restored_until <= %(as_of)s)
                    returning 1
                )

                select count(*) from (select * from weeks union all select * from partitions) as removed
                """,
                {
                    "organization_id": archive.scope.organization_id,
                    "table": entry.table,
                    "lower": entry.period_start,
                    "name": entry.name,
                    "uri": entry.uri,
                    "as_of": as_of,
                },
            ).fetchone()
            if gone == (0,):
                continue
            files.remove(archive.names)
        removed.append(entry)
        _LOG.info("removed archive %s", entry.uri, extra={"archive": entry.uri, "rows": entry.rows})
    return removed
