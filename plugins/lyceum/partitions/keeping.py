"""Who still works on a partition, and who is about to drop it: shared and exclusive locks that no reader ever meets.

Whoever adds rows to a partition that may have expired, or decides by rows in it, keeps it for the transaction. Whoever drops
it claims it first, looks once more whether anybody needs it, and lets go when it is gone. Rows of the table alone would not
do: between the look and the detachment somebody could still change what the look has seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from lyceum.database import Connection

_EPOCH = date(2000, 1, 1)
_KEY = "hashtext('lyceum.partition ' || %s), %s::int"


def keep_partitions(connection: Connection, parent_table: str, first_days: Iterable[date]) -> None:
    """Keep the partitions that begin on these days from being claimed until the open transaction ends.

    Call it before the transaction touches the table: whoever waits here while holding a lock on the table would be waited for.
    """
    for first_day in sorted(set(first_days)):
        connection.execute(
            f"select pg_advisory_xact_lock_shared({_KEY})".encode(), [parent_table, (first_day - _EPOCH).days]
        )


def claim_partition(connection: Connection, parent_table: str, first_day: date) -> None:
    """Wait until nobody keeps the partition that begins on this day, and keep it from everybody until the transaction ends.

    Raises `LockNotAvailable` when `lock_timeout` passes first.
    """
    connection.execute(f"select pg_advisory_xact_lock({_KEY})".encode(), [parent_table, (first_day - _EPOCH).days])
