"""An issuer's key set, kept for a while: fetched again when it is old or when a token names a key that is new.

Whoever sends tokens can make up key ids. However many come, the issuer is asked at most every `ASKED_AGAIN_AFTER`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

import httpx

from lyceum.errors import LyceumError
from lyceum.security.tokens.errors import IssuerUnavailableError, Refusal, TokenError, TokenKeyError
from lyceum.security.tokens.key_set import MAXIMUM_BYTES, VerificationKey, read_key_set
from lyceum.token_settings import is_address

_LOG = logging.getLogger(__name__)

FRESH_FOR = timedelta(minutes=10)
"""How long a key that the issuer took back may count, as long as the issuer answers."""
USED_FOR = timedelta(hours=1)
"""How long the keys are used while the issuer does not answer."""
ASKED_AGAIN_AFTER = timedelta(seconds=30)
_TIMEOUT_SECONDS = 5.0

Fetch: TypeAlias = Callable[[], bytes]
"""Returns the key set as it is now. Raises `LyceumError` when it cannot be had."""


@dataclass(frozen=True, slots=True)
class _Snapshot:
    keys: Mapping[str, VerificationKey | None]
    fetched_at: datetime


class IssuerKeys:
    """The keys of one issuer. Threads may share it: one of them fetches, and nobody who knows the key waits for that."""

    def __init__(self, fetch: Fetch) -> None:
        """Take what fetches the key set; nothing is fetched before the first token."""
        self._fetch = fetch
        self._lock = threading.Lock()
        self._snapshot: _Snapshot | None = None
        self._asked_at: datetime | None = None
        self._problem: LyceumError | None = None

    @classmethod
    def of(cls, jwks: str) -> IssuerKeys:
        """Return the keys at an address (https, or http on loopback) or in a file."""
        return cls(lambda: fetch_key_set(jwks) if is_address(jwks) else read_key_file(Path(jwks)))

    def find(self, key_id: str, at: datetime) -> VerificationKey | None:
        """Return the key of this id, None when two keys have it.

        Raises `TokenError` (`unknown_key`) when the issuer has no such key, `IssuerUnavailableError` when its keys cannot
        be fetched and none are known that are recent enough, `TokenKeyError` when what it answers is no key set.
        """
        snapshot = self._snapshot
        if snapshot is None or key_id not in snapshot.keys:
            snapshot = self._fetched_again(at, wait=True)
        elif at - snapshot.fetched_at >= FRESH_FOR:
            snapshot = self._fetched_again(at, wait=at - snapshot.fetched_at >= USED_FOR)
        if snapshot is None or at - snapshot.fetched_at >= USED_FOR:
            if isinstance(self._problem, TokenKeyError):
                raise TokenKeyError(str(self._problem))
            raise IssuerUnavailableError(
                "The issuer's keys cannot be fetched, so no token can be verified. Look at LYCEUM_JWKS and try again."
            )
        if key_id not in snapshot.keys:
            raise TokenError(
                Refusal.UNKNOWN_KEY,
                "The token names a key that its issuer does not have. Ask for a new token; after a change of the issuer's "
                f"keys it may take {ASKED_AGAIN_AFTER.total_seconds():.0f} seconds.",
            )
        return snapshot.keys[key_id]

    def _fetched_again(self, at: datetime, *, wait: bool) -> _Snapshot | None:
        if not self._lock.acquire(blocking=wait):
            return self._snapshot
        try:
            # Backwards, too: a clock that was put right must not keep the issuer from being asked.
            if self._asked_at is None or abs(at - self._asked_at) >= ASKED_AGAIN_AFTER:
                self._asked_at = at
                try:
                    self._snapshot = _Snapshot(read_key_set(self._fetch()), at)
                    self._problem = None
                except LyceumError as error:
                    self._problem = error
                    _LOG.warning("The issuer's keys were not fetched: %s", error)
            return self._snapshot
        finally:
            self._lock.release()


def read_key_file(path: Path) -> bytes:
    """Return a key set in a file. Raises `TokenKeyError` when it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(MAXIMUM_BYTES + 1)
    except OSError as error:
        raise TokenKeyError(
            f"{path} cannot be read ({error.strerror}). Set LYCEUM_JWKS to the issuer's key set."
        ) from None


def fetch_key_set(address: str) -> bytes:
    """Return a key set from an address, without following it elsewhere and without reading more than is allowed.

    Raises `IssuerUnavailableError` for everything but a complete answer of status 200.
    """
    host = urlsplit(address).hostname or ""
    deadline = time.monotonic() + 2 * _TIMEOUT_SECONDS
    try:
        with (
            httpx.Client(
                timeout=_TIMEOUT_SECONDS,
                follow_redirects=False,
                headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "lyceum"},
                # A proxy that the environment names has no business with this machine itself.
                trust_env=host not in ("127.0.0.1", "::1", "localhost"),
            ) as client,
            client.stream("GET", address) as answer,
        ):
            if answer.status_code != 200:
                raise IssuerUnavailableError(f"The issuer answered {answer.status_code} for its keys. Expected 200.")
            content = bytearray()
            for piece in answer.iter_bytes(64 * 1024):
                content += piece
                if len(content) > MAXIMUM_BYTES or time.monotonic() > deadline:
                    raise IssuerUnavailableError(
                        f"The issuer's answer is too large or too slow. Expected at most {MAXIMUM_BYTES} bytes within "
                        f"{2 * _TIMEOUT_SECONDS:.0f} seconds."
                    )
            return bytes(content)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise IssuerUnavailableError(f"The issuer cannot be reached ({type(error).__name__}). Try again.") from None
