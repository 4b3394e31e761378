"""Sessions that are handed on instead of ended: a step opens dozens, and a new one costs more than what it is opened for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import psycopg
from psycopg.pq import TransactionStatus

from lyceum.database import ConnectionTarget, connection


class _Kept(psycopg.Connection[Any]):
    """A connection that is as good as new when it is closed, and is lent again."""

    idle: list[_Kept] | None = None
    is_lent = True

    def close(self) -> None:
        """End what is open, forget all that the session was told, and wait for the next who connects."""
        if self.idle is None or self.info.transaction_status == TransactionStatus.UNKNOWN:
            super().close()
            return
        if not self.is_lent:
            return
        self.is_lent = False
        self.rollback()
        self.autocommit = True
        self.execute("discard all")
        self.idle.append(self)


@contextmanager
def kept_sessions() -> Iterator[None]:
    """Lend sessions again to whoever connects in the same way while the block runs, and end them with it."""
    idle: dict[tuple[str, str], list[_Kept]] = defaultdict(list)
    connect_as = connection.connect_as

    def lend(kind: Any, target: ConnectionTarget, *, autocommit: bool = False, application_name: str = "lyceum") -> Any:
        if kind is not psycopg.Connection:
            return connect_as(kind, target, autocommit=autocommit, application_name=application_name)
        waiting = idle[target.conninfo(application_name=application_name), application_name]
        if waiting:
            lent = waiting.pop()
            lent.autocommit = autocommit
            lent.is_lent = True
            return lent
        fresh = connect_as(_Kept, target, autocommit=autocommit, application_name=application_name)
        fresh.idle = waiting
        # What was prepared would be forgotten with all the rest.
        fresh.prepare_threshold = None
        return fresh

    with patch.object(connection, "connect_as", lend):
        yield
    for sessions in idle.values():
        for session in sessions:
            session.idle = None
            session.close()
