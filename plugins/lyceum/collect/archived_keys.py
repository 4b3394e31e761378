"""Event ids of sealed weeks, whose keys lie in archives: only a void asks for them, to know whether it comes too late."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from lyceum.collect.ledger import Key
from lyceum.database import Connection
from lyceum.settings import Settings

if TYPE_CHECKING:
    from typing import BinaryIO

_LOG = logging.getLogger("lyceum.collect")
_TABLE = "stage_one.event_keys"


def find_archived_keys(
    connection: Connection, settings: Settings, organization_id: int, ids: Collection[bytes]
) -> dict[bytes, Key]:
    """Return what the archives of the organization's sealed weeks hold of these ids.

    An archive that cannot be read is logged and passed over: the void of an event in it is then kept like that of an event
    that has not come yet, and changes nothing.
    """
    rows = connection.execute(
        """
        select archives.uri
        from ops.archives as archives
        inner join ops.week_states as weeks
            on archives.organization_id = weeks.organization_id and archives.week_start = weeks.week_start
        where archives.organization_id = %s and archives.table_name = %s and archives.row_count > 0 and weeks.state = 'sealed'
        order by archives.week_start
        """,
        [organization_id, _TABLE],
    ).fetchall()
    if not rows:
        return {}
    import pyarrow as pa

    from lyceum.archiving.files import archive_files

    files = archive_files(settings)
    wanted = pa.array(sorted(ids), pa.binary(16))
    found: dict[bytes, Key] = {}
    for (uri,) in rows:
        try:
            with files.open(uri) as source:
                found.update(_keys_in(source, wanted))
        except (OSError, pa.ArrowException):
            _LOG.exception(
                "archive of event keys cannot be read", extra={"organization_id": organization_id, "uri": uri}
            )
    return found


def _keys_in(source: BinaryIO, wanted: Any) -> dict[bytes, Key]:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    found: dict[bytes, Key] = {}
    for batch in pq.ParquetFile(source).iter_batches(columns=["event_id", "activity_date", "batch_id", "content_hash"]):
        ids = batch.column("event_id").storage
        rows = batch.filter(pc.is_in(ids, value_set=wanted))
        for event_id, *key in zip(
            rows.column("event_id").storage.to_pylist(),
            rows.column("activity_date").to_pylist(),
            rows.column("batch_id").to_pylist(),
            rows.column("content_hash").to_pylist(),
            strict=True,
        ):
            found[event_id] = Key(*key)
    return found
