"""The rows of the audit trail: one an access, committed before anything is handed out.

A request reads in a transaction that cannot write, perhaps on a replica. So its row is a second, short transaction on the primary,
between the reading and the answer: whoever cannot be recorded gets nothing. Requests that end together share a transaction, as a
database's own log does: at a high rate a commit costs each of them little, and none waits for a timer.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

import psycopg

from lyceum.audit import Access
from lyceum.audit.access import RECORD, Decision, record_parameters
from lyceum.serving.databases import Database
from lyceum.serving.problems import Problem, unavailable

_LOG = logging.getLogger(__name__)
_TOGETHER = 100
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class _Waiting:
    access: Access
    decision: Decision
    row_count: int | None
    recorded: asyncio.Future[None] = field(compare=False)


class Trail:
    """Writes the rows of one process, those that wait at the same time in one transaction."""

    def __init__(self, primary: Database) -> None:
        """Take the primary. Begins nothing."""
        self._primary = primary
        self._waiting: asyncio.Queue[_Waiting] = asyncio.Queue()
        self._writer: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Begin to write, in the running loop."""
        self._writer = asyncio.get_running_loop().create_task(self._write_on())

    async def end(self) -> None:
        """Stop. Whatever still waits is refused."""
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        while not self._waiting.empty():
            _refuse(self._waiting.get_nowait())

    async def record(self, access: Access, decision: Decision = "allowed", row_count: int | None = None) -> None:
        """Return once the row is committed. Raises `Problem` (503) when it cannot be."""
        recorded: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait(_Waiting(access, decision, row_count, recorded))
        await recorded

    async def _write_on(self) -> None:
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < _TOGETHER and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            try:
                await self._write(batch)
            finally:
                for one in batch:
                    _refuse(one)

    async def _write(self, batch: list[_Waiting]) -> None:
        for attempt in range(_ATTEMPTS):
            try:
                await self._commit(batch)
                return
            except Problem:
                return
            except psycopg.OperationalError:
                if attempt + 1 < _ATTEMPTS:
                    await self._primary.drop_broken()
            except psycopg.Error as error:
                # Its message may quote the row.
                _LOG.error("Audit rows were not written: %s (SQLSTATE %s)", type(error).__name__, error.sqlstate)
                if len(batch) > 1:
                    for one in batch:
                        await self._write([one])
                return

    async def _commit(self, batch: list[_Waiting]) -> None:
        async with self._primary.connection() as connection:
            # What is sent together without a `begin` is one transaction, and one round trip.
            async with connection.pipeline():
                for one in batch:
                    await connection.execute(RECORD, record_parameters(one.access, one.decision, one.row_count))
            for one in batch:
                if not one.recorded.done():
                    one.recorded.set_result(None)


def _refuse(one: _Waiting) -> None:
    if not one.recorded.done():
        one.recorded.set_exception(
            unavailable("The access could not be written into the audit trail, so nothing is handed out. Try again.")
        )
