"""One read-only snapshot of the warehouse for one page, as the login of monitoring, which reads no table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from lyceum.database import Connection, ConnectionTarget, connect

_STATEMENT_TIMEOUT = "10s"


@contextmanager
def snapshot(target: ConnectionTarget) -> Iterator[Connection]:
    """Lend a connection in a transaction that reads one state and can write nothing; a statement has ten seconds.

    Raises as `connect` does, and `psycopg.Error` for what the server refuses.
    """
    with connect(target, application_name="lyceum pages") as connection, connection.transaction():
        connection.execute("set transaction isolation level repeatable read, read only")
        connection.execute("select set_config('statement_timeout', %s, true)", [_STATEMENT_TIMEOUT])
        # Weeks of seven years of partitions are small; compiling a query for them is not.
        connection.execute("set local jit = off")
        yield connection


def age_seconds(since: datetime | None, as_of: datetime) -> float | None:
    """Return how long before `as_of` an instant lies; None where there is none."""
    return None if since is None else (as_of - since).total_seconds()
