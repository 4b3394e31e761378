"""What grows old in tests of the lifecycle: partitions by name, clean-ups as a fixture gives them, hours as if they were built."""

from __future__ import annotations

from collections.abc import Callable

from lyceum.database import Connection
from lyceum.lifecycle import CleanupReport
from lyceum.partitions import Patience

Cleanup = Callable[..., CleanupReport]

# A lock that is not free within this time is one that a test holds on purpose.
IMPATIENT = Patience(attempts=2, lock_timeout_seconds=0.05, first_pause_seconds=0.0)


def leaves(connection: Connection, prefix: str) -> list[str]:
    """Return the partitions whose names begin so, those that are detached included."""
    rows = connection.execute(
        """
        select relname from pg_class
        where relnamespace = 'partitions'::regnamespace and relkind in ('r', 'p') and starts_with(relname, %s)
        order by 1
        """,
        [prefix],
    ).fetchall()
    return [name for (name,) in rows]


def as_if_built(connection: Connection) -> None:
    """Take every hour off the list, as a build would that has published it."""
    connection.execute("delete from ops.pending_hours")
