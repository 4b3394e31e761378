"""The ledger of event ids: which ids an organization has accepted, with the hash of their content."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from psycopg import sql

from lyceum.collect import binary_copy
from lyceum.collect.parameters import UuidArray
from lyceum.collect.weeks import day_ranges
from lyceum.database import Connection

_COPY = "copy stage_one.event_keys (organization_id, event_id, activity_date, batch_id, content_hash) from stdin (format binary)"

# One descent of each leaf's index for each id is right whatever the statistics say, and a plan that reads a leaf from end to
# end is not: the ids come at random and the leaves grow. `offset 0` keeps the planner from turning the loop around.
_PINNED_PLANNER = """
    select
        set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
        set_config('enable_memoize', 'off', true), set_config('jit', 'off', true)
"""

_LOOK_UP = """
    select incoming.position - 1, known.activity_date, known.batch_id, known.content_hash
    from unnest(%(ids)s::uuid[]) with ordinality as incoming (event_id, position)
    cross join lateral (
        select keys.activity_date, keys.batch_id, keys.content_hash
        from stage_one.event_keys as keys
        where
            keys.organization_id = {organization_id}
            and keys.event_id = incoming.event_id
            and keys.activity_date >= {first_day}
            and keys.activity_date < {end_day}
        offset 0
    ) as known
"""


@dataclass(frozen=True, slots=True)
class Key:
    """What the ledger knows about an accepted event id."""

    activity_date: date
    batch_id: int
    content_hash: bytes


@dataclass(frozen=True, slots=True)
class Ledger:
    """The ledger of one organization, inside a transaction that holds the organization's lock."""

    connection: Connection
    organization_id: int

    def look_up(self, ids: NDArray[np.void], weeks: Iterable[date]) -> dict[int, Key]:
        """Return what is known of each id, by position in `ids`, looking through the given weeks (their Mondays)."""
        ranges = day_ranges(weeks)
        if not ranges or not len(ids):
            return {}
        self.connection.execute(_PINNED_PLANNER)
        # Literal days, so that the plan holds the leaves of these weeks and no others.
        query = sql.SQL(" union all ").join(
            sql.SQL(_LOOK_UP).format(
                organization_id=sql.Literal(self.organization_id),
                first_day=sql.Literal(first_day),
                end_day=sql.Literal(end_day),
            )
            for first_day, end_day in ranges
        )
        rows = self.connection.execute(query, {"ids": UuidArray(ids)}, binary=True).fetchall()
        return {position: Key(activity_date, batch_id, content) for position, activity_date, batch_id, content in rows}

    def look_everywhere(self, ids: Iterable[bytes]) -> dict[bytes, Key]:
        """Return what the ledger still holds of a few ids, sealed weeks included; of an id in two weeks, the later."""
        rows = self.connection.execute(
            """
            select event_id, activity_date, batch_id, content_hash
            from stage_one.event_keys
            where organization_id = %s and event_id = any(%s::uuid[])
            order by activity_date
            """,
            [self.organization_id, UuidArray.of(ids)],
            binary=True,
        ).fetchall()
        known: dict[UUID, Key] = {event_id: Key(*columns) for event_id, *columns in rows}
        return {event_id.bytes: key for event_id, key in known.items()}

    def add(
        self, ids: NDArray[np.void], days: NDArray[np.int64], content_hashes: NDArray[np.void], batch_id: int
    ) -> None:
        """Write new ids, which must not be known yet. `days` are days since 1970-01-01, hashes have 32 bytes."""
        if not len(ids):
            return
        rows = binary_copy.fixed_rows(
            [
                ("organization_id", "int8"),
                ("event_id", "uuid"),
                ("activity_date", "date"),
                ("batch_id", "int8"),
                ("hash", "sha256"),
            ],
            {
                "organization_id": self.organization_id,
                "event_id": ids,
                "activity_date": binary_copy.to_server_dates(days),
                "batch_id": batch_id,
                "hash": content_hashes,
            },
            len(ids),
            fields_in_row=5,
        )
        # In the order of the index of each leaf, so that neighbours go to the same page.
        halves = ids.view([("high", ">u8"), ("low", ">u8")])
        order = np.lexsort((halves["low"], halves["high"], days))
        with self.connection.cursor().copy(_COPY) as copy:
            copy.write(binary_copy.HEADER)
            copy.write(rows[order].tobytes())
            copy.write(binary_copy.TRAILER)
