"""How much is let happen at once: a rate for each person or service, a number of requests for the process."""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from lyceum.serving.problems import Problem, unavailable

_REMEMBERED = 20_000


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: float


class Rates:
    """A bucket of tokens for each caller: a minute's worth at first, filled at a steady rate.

    The callers longest unseen are forgotten, and begin anew with a full bucket.
    """

    def __init__(self, requests_per_minute: int, clock: Callable[[], float]) -> None:
        """Take the rate and a clock in seconds that never goes back."""
        self._burst = float(requests_per_minute)
        self._per_second = requests_per_minute / 60
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, caller: str) -> None:
        """Count a request. Raises `Problem` (429) with the seconds after which the next one is let in."""
        now = self._clock()
        bucket = self._buckets.pop(caller, None) or _Bucket(self._burst, now)
        bucket.tokens = min(self._burst, bucket.tokens + (now - bucket.filled_at) * self._per_second)
        bucket.filled_at = now
        self._buckets[caller] = bucket
        if len(self._buckets) > _REMEMBERED:
            self._buckets.popitem(last=False)
        if bucket.tokens < 1:
            seconds = max(1, math.ceil((1 - bucket.tokens) / self._per_second))
            raise Problem(
                429,
                f"More than {self._burst:.0f} requests a minute came from you. Try again in {seconds} s.",
                {"Retry-After": str(seconds)},
            )
        bucket.tokens -= 1


class Turns:
    """Lets so many requests be worked on at a time, and so many more wait for their turn."""

    def __init__(self, at_a_time: int, waiting: int) -> None:
        """Take both numbers."""
        self._free = asyncio.Semaphore(at_a_time)
        self._waiting = 0
        self._most_waiting = waiting

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Work on one request. Raises `Problem` (503) when too many wait already."""
        if self._free.locked():
            if self._waiting >= self._most_waiting:
                raise unavailable("Too many requests are being worked on. Try again in a moment.")
            self._waiting += 1
            try:
                await self._free.acquire()
            finally:
                self._waiting -= 1
        else:
            await self._free.acquire()
        try:
            yield
        finally:
            self._free.release()
