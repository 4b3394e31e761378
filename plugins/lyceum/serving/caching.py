"""Answers that are kept: in the process, and in a Redis that several processes share, if there is one.

A key is the hash of everything that an answer depends on (`questions.key_of`): organization, role, user, subject and scopes of
whoever asks, the question, and the version of all that it reads. The versions are read in the transaction of each request, so a
kept answer is only ever found by somebody who may read it, and only while nothing that it was made of has changed. What is no
longer found falls out at the end.
"""

from __future__ import annotations

import logging
import os
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from lyceum.serving.questions import Answer

_LOG = logging.getLogger(__name__)
_NONCE_BYTES = 12
_COUNT_BYTES = 8
_ENTRY_BYTES = 200
"""About what a key and its place in the table take beside the answer."""
_KEPT_SECONDS = 24 * 60 * 60
_PATIENCE_SECONDS = 0.1
_PAUSE_SECONDS = 5.0


class Cache(Protocol):
    """What keeps answers by their key."""

    async def find(self, key: str) -> Answer | None:
        """Return the answer of a key, if it is kept."""
        ...

    async def keep(self, key: str, answer: Answer) -> None:
        """Keep an answer for a while."""
        ...

    async def close(self) -> None:
        """Let go of whatever it holds."""
        ...


class ProcessCache:
    """Answers in the memory of this process, so many bytes at most; the one longest unasked for goes first."""

    def __init__(self, most_bytes: int) -> None:
        """Take how many bytes may be kept."""
        self._most_bytes = most_bytes
        self._answers: OrderedDict[str, Answer] = OrderedDict()
        self.bytes = 0

    def has(self, key: str) -> bool:
        """Say whether the answer of a key is kept."""
        return key in self._answers

    async def find(self, key: str) -> Answer | None:
        """Return the answer of a key, if it is kept."""
        answer = self._answers.get(key)
        if answer is not None:
            self._answers.move_to_end(key)
        return answer

    async def keep(self, key: str, answer: Answer) -> None:
        """Keep an answer; one that takes more than a tenth of the room is not worth the others."""
        if _size(answer) * 10 > self._most_bytes:
            return
        if (replaced := self._answers.pop(key, None)) is not None:
            self.bytes -= _size(replaced)
        self._answers[key] = answer
        self.bytes += _size(answer)
        while self.bytes > self._most_bytes:
            _, gone = self._answers.popitem(last=False)
            self.bytes -= _size(gone)

    async def close(self) -> None:
        """Forget everything."""
        self._answers.clear()
        self.bytes = 0


class SharedCache:
    """Answers in a Redis, sealed with AES-256-GCM under a key of the home and bound to their own name.

    Whoever reads or writes that Redis learns and forges nothing: a value that was changed, or put under another name, is none.
    Redis never fails a request: what it cannot do in a tenth of a second is a miss, and after a failure it is left alone for five
    seconds.
    """

    def __init__(self, url: str, secret: bytes, clock: Callable[[], float] = time.monotonic) -> None:
        """Take the address and 32 bytes that the processes of one home share. Connects to nothing."""
        self._redis = Redis.from_url(
            url,
            socket_timeout=_PATIENCE_SECONDS,
            socket_connect_timeout=_PATIENCE_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._cipher = AESGCM(secret)
        self._clock = clock
        self._left_alone_until = 0.0

    async def find(self, key: str) -> Answer | None:
        """Return the answer of a key, if it is kept and is what we put there."""
        if self._clock() < self._left_alone_until:
            return None
        try:
            sealed = await self._redis.get(_name(key))
        except (TimeoutError, RedisError, OSError) as error:
            self._leave_alone(error)
            return None
        if not isinstance(sealed, bytes) or len(sealed) <= _NONCE_BYTES:
            return None
        try:
            opened = self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], key.encode())
        except InvalidTag:
            _LOG.warning("A shared answer was not made by this home, and is left out.")
            return None
        return Answer(opened[_COUNT_BYTES:], int.from_bytes(opened[:_COUNT_BYTES], "big"))

    async def keep(self, key: str, answer: Answer) -> None:
        """Keep an answer for a day."""
        if self._clock() < self._left_alone_until:
            return
        nonce = os.urandom(_NONCE_BYTES)
        opened = answer.row_count.to_bytes(_COUNT_BYTES, "big") + answer.body
        sealed = nonce + self._cipher.encrypt(nonce, opened, key.encode())
        try:
            await self._redis.set(_name(key), sealed, ex=_KEPT_SECONDS)
        except (TimeoutError, RedisError, OSError) as error:
            self._leave_alone(error)

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    def _leave_alone(self, error: Exception) -> None:
        _LOG.warning("The shared cache does not answer (%s); it is left alone for a while.", type(error).__name__)
        self._left_alone_until = self._clock() + _PAUSE_SECONDS


class Caches:
    """The process's own cache, and behind it the shared one."""

    def __init__(self, near: ProcessCache, far: Cache | None = None) -> None:
        """Take both."""
        self._near = near
        self._far = far

    async def find(self, key: str) -> Answer | None:
        """Return the answer of a key from the nearer cache that has it."""
        answer = await self._near.find(key)
        if answer is None and self._far is not None:
            answer = await self._far.find(key)
            if answer is not None:
                await self._near.keep(key, answer)
        return answer

    def has_near(self, key: str) -> bool:
        """Say whether the process has the answer of a key."""
        return self._near.has(key)

    async def keep(self, key: str, answer: Answer) -> None:
        """Keep an answer in both, unless its body is yet to be fetched: what is fetched is decrypted for one person."""
        if answer.rest is not None:
            return
        await self._near.keep(key, answer)
        if self._far is not None:
            await self._far.keep(key, answer)

    async def close(self) -> None:
        """Let go of both."""
        await self._near.close()
        if self._far is not None:
            await self._far.close()


def _name(key: str) -> str:
    return f"lyceum:answer:{key}"


def _size(answer: Answer) -> int:
    return len(answer.body) + _ENTRY_BYTES
