"""Internal tokens: how the services tell the database, for less than a minute, who is asking.

    v1.<key id>.<claims, JSON in base64>.<HMAC-SHA256 of all before the last dot, hexadecimal>

The function `auth.token_claims` verifies them. The key is a file of the home, `keys/internal_token.key`, made once; the
database holds it as two padded blocks that only its definer role reads (`signing_keys.py`).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeAlias

from lyceum.key_files import KEY_BYTES, make_key, read_key
from lyceum.security.tokens.claims import TenantClaims
from lyceum.security.tokens.errors import Refusal, TokenError, TokenKeyError
from lyceum.settings import Settings

Clock: TypeAlias = Callable[[], datetime]
"""Tells the time as an aware datetime."""

LONGEST_LIFETIME = timedelta(seconds=60)
MAXIMUM_BYTES = 4096
KEY_FILE = "internal_token.key"
_BLOCK = 64


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key of internal tokens: 32 bytes, named by a hash of them."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) != KEY_BYTES:
            raise ValueError(f"A signing key has {KEY_BYTES} bytes, not {len(self.secret)}.")

    @property
    def key_id(self) -> str:
        """Sixteen hexadecimal digits that tell nothing about the key."""
        return hashlib.sha256(b"lyceum internal token key " + self.secret).hexdigest()[:16]

    @property
    def pads(self) -> tuple[bytes, bytes]:
        """The inner and the outer block of HMAC (RFC 2104): the padded key, each byte combined with 0x36 and 0x5c."""
        padded = self.secret.ljust(_BLOCK, b"\0")
        return bytes(byte ^ 0x36 for byte in padded), bytes(byte ^ 0x5C for byte in padded)


class InternalTokens:
    """Mints internal tokens with the key of a home, and with the next one as soon as the key is rotated."""

    def __init__(self, path: Path) -> None:
        """Take the key's file, which exists."""
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._key: SigningKey | None = None

    @classmethod
    def of_home(cls, settings: Settings) -> InternalTokens:
        """Return the minter of a home, making its key if there is none; the warehouse has to know it too: `register`."""
        path = settings.keys / KEY_FILE
        if not path.exists():
            make_key(path)
        return cls(path)

    @property
    def key(self) -> SigningKey:
        """The key as it is now. Raises `TokenKeyError` when there is none, `ConfigurationError` when it is unusable."""
        try:
            status = self._path.stat()
            seen = (status.st_ino, status.st_mtime_ns, status.st_mode)
            if self._key is None or seen != self._seen:
                self._key = SigningKey(read_key(self._path))
                self._seen = seen
        except FileNotFoundError:
            raise TokenKeyError(
                f"{self._path} does not exist, so no token can be minted. Make a key: lyceum token keys rotate"
            ) from None
        return self._key

    def mint(self, claims: TenantClaims, clock: Clock, lifetime: timedelta = LONGEST_LIFETIME) -> str:
        """Return a token that says `claims` from now until `lifetime` has passed, in ASCII without spaces or quotes.

        Raises `TokenError` for a lifetime beyond `LONGEST_LIFETIME` and for claims that do not fit into `MAXIMUM_BYTES`.
        """
        if not timedelta(0) < lifetime <= LONGEST_LIFETIME:
            raise TokenError(
                Refusal.LIFETIME,
                f"An internal token was to live {lifetime.total_seconds():g} seconds. Expected more than 0 and at most "
                f"{LONGEST_LIFETIME.total_seconds():g}.",
            )
        expires_at = clock() + lifetime
        content = asdict(claims) | {"expires_at": int(expires_at.timestamp() * 1000)}
        key = self.key
        payload = base64.b64encode(json.dumps(content, separators=(",", ":")).encode()).decode()
        signed = f"v1.{key.key_id}.{payload}"
        token = f"{signed}.{hmac.digest(key.secret, signed.encode(), 'sha256').hex()}"
        if len(token) > MAXIMUM_BYTES:
            raise TokenError(
                Refusal.TOO_LONG,
                f"The claims make a token of {len(token)} bytes. Expected at most {MAXIMUM_BYTES}: ask for fewer scopes.",
            )
        return token
