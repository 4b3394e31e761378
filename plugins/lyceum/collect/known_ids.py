"""A filter that says of most new event ids, without asking the server, that no open week of the organization has them.

The ledger is looked through week by week, so an id costs one descent for each open week. While history is loaded there are
hundreds of them, and nearly all ids are new. A run therefore keeps a Bloom filter of the ids in all open weeks, once it has
spent as much on looking as reading them all costs. The filter only ever errs by asking too much.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray
from psycopg import sql

from lyceum.collect import binary_copy
from lyceum.collect.weeks import day_ranges
from lyceum.database import Connection

_FEW_WEEKS = 4
"""So many descents cost no more than what the filter would save."""
_HASHES = 4
_BITS_AN_ID = 12
_SMALLEST_BITS = 1 << 24
_LARGEST_BITS = 1 << 30
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_SPREAD_AGAIN = np.uint64(0xC2B2AE3D27D4EB4F)


class BloomFilter:
    """A set of 16-byte ids that may claim to hold an id that it does not hold, but never the other way round."""

    def __init__(self, expected: int) -> None:
        """Make an empty filter for about so many ids: with that many, one id in 400 is claimed wrongly."""
        bits = 1 << max(expected * _BITS_AN_ID - 1, 1).bit_length()
        self._bits = min(max(bits, _SMALLEST_BITS), _LARGEST_BITS)
        self._words = np.zeros(self._bits // 64, dtype=np.uint64)

    def add(self, ids: NDArray[np.void]) -> None:
        """Add the ids."""
        for positions in self._positions(ids):
            np.bitwise_or.at(self._words, positions >> np.uint64(6), np.uint64(1) << (positions & np.uint64(63)))

    def may_hold(self, ids: NDArray[np.void]) -> NDArray[np.bool_]:
        """Return for each id whether the filter may hold it; false is certain."""
        held = np.ones(len(ids), dtype=np.bool_)
        for positions in self._positions(ids):
            held &= (self._words[positions >> np.uint64(6)] >> (positions & np.uint64(63)) & np.uint64(1)).astype(
                np.bool_
            )
        return held

    def _positions(self, ids: NDArray[np.void]) -> list[NDArray[np.uint64]]:
        """Return `_HASHES` bit positions of each id. Ids need not be random, so both halves are mixed."""
        halves = np.ascontiguousarray(ids).view(np.uint64).reshape(-1, 2)
        first = _mixed(halves[:, 0] * _SPREAD ^ halves[:, 1])
        step = _mixed(halves[:, 1] * _SPREAD_AGAIN ^ first) | np.uint64(1)
        mask = np.uint64(self._bits - 1)
        return [first + np.uint64(number) * step & mask for number in range(_HASHES)]


@dataclass(slots=True)
class KnownIds:
    """What a run knows of the ids in the ledger of one organization. Every method is called under its lock.

    `batches` is how many batches of the organization the filter covers: one more than that, and somebody else has added.
    """

    organization_id: int
    looked_up: int = 0
    bloom: BloomFilter | None = None
    batches: int = 0

    def may_be_known(self, connection: Connection, ids: NDArray[np.void], weeks: Collection[date]) -> NDArray[np.bool_]:
        """Return for each id whether the ledger must be asked about it; `weeks` are those that it would look through."""
        everything = np.ones(len(ids), dtype=np.bool_)
        if len(weeks) <= _FEW_WEEKS:
            return everything
        if self.bloom is not None and self.batches != self._count_batches(connection):
            self.forget()
        if self.bloom is None:
            self.looked_up += len(ids) * len(weeks)
            keys = self._count_keys(connection)
            if self.looked_up < keys:
                return everything
            self._read(connection, weeks, keys)
        return everything if self.bloom is None else self.bloom.may_hold(ids)

    def add(self, ids: NDArray[np.void]) -> None:
        """Take note of ids that a batch of this run adds. Should it be rolled back, the filter only asks too much."""
        if self.bloom is not None:
            self.bloom.add(ids)

    def committed(self) -> None:
        """Take note that a batch of this run is committed."""
        self.batches += 1

    def forget(self) -> None:
        """Know nothing any more: somebody else may have added ids."""
        self.bloom = None
        self.looked_up = 0

    def _read(self, connection: Connection, weeks: Collection[date], keys: int) -> None:
        """Read the ids of the weeks. What follows in this run is expected to be as much again."""
        bloom = BloomFilter(2 * keys + 1_000_000)
        for first_day, end_day in day_ranges(weeks):
            query = sql.SQL(
                """
                copy (
                    select event_id from stage_one.event_keys
                    where organization_id = {} and activity_date >= {} and activity_date < {}
                ) to stdout (format binary)
                """
            ).format(sql.Literal(self.organization_id), sql.Literal(first_day), sql.Literal(end_day))
            with connection.cursor().copy(query) as copy:
                for ids in binary_copy.read_fixed_rows(copy, [("event_id", "uuid")]):
                    bloom.add(ids["event_id"])
        self.bloom = bloom
        self.batches = self._count_batches(connection)

    def _count_batches(self, connection: Connection) -> int:
        row = connection.execute(
            "select count(*) from ops.batches where organization_id = %s", [self.organization_id]
        ).fetchone()
        assert row is not None
        return int(row[0])

    def _count_keys(self, connection: Connection) -> int:
        """Return how many ids the ledger holds at most."""
        row = connection.execute(
            "select coalesce(sum(events_accepted), 0) from ops.batches where organization_id = %s and has_event_keys",
            [self.organization_id],
        ).fetchone()
        assert row is not None
        return int(row[0])


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the values so that every bit depends on every bit (the finalizer of MurmurHash3)."""
    values = (values ^ values >> np.uint64(33)) * np.uint64(0xFF51AFD7ED558CCD)
    values = (values ^ values >> np.uint64(33)) * np.uint64(0xC4CEB9FE1A85EC53)
    return values ^ values >> np.uint64(33)
