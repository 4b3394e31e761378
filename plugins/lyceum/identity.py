"""The identity seam: an identifier becomes a keyed hash at the door, and only the hash leads to a user.

The key of an organization is derived from one root key and the organization's id (HKDF-Expand of RFC 5869 with SHA-256, one
block), so the same person has unrelated hashes in two organizations. The root key is a file of the home; whoever holds the
database alone cannot test a guess.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from lyceum.database import Connection
from lyceum.errors import ConfigurationError
from lyceum.settings import Settings

PSEUDONYM_HOME_PAGE = "urn:lyceum:identity"
"""`account.homePage` of an identity that is a pseudonym already: its `name` is the hash in hexadecimal."""

ROOT_KEY_FILE = "identity.key"
_KEY_BYTES = 32
_CACHE_ENTRIES = 200_000
_PSEUDONYM = re.compile(re.escape(f"account:{PSEUDONYM_HOME_PAGE} ") + "([0-9a-f]{64})")


class OrganizationHasher:
    """Hashes the identifiers of one organization; implements `lyceum.records.IdentityHasher`. Remembers a bounded number."""

    def __init__(self, key: bytes) -> None:
        """Take the organization's key: 32 bytes."""
        if len(key) != _KEY_BYTES:
            raise ValueError(f"An organization's key has {_KEY_BYTES} bytes, not {len(key)}.")
        self._key = key
        self._known: dict[str, bytes] = {}

    def hash(self, identifier: str) -> bytes:
        """Return the 32-byte pseudonym of a canonical identifier; of a pseudonym, that pseudonym."""
        known = self._known.get(identifier)
        if known is not None:
            return known
        match = _PSEUDONYM.fullmatch(identifier)
        value = bytes.fromhex(match[1]) if match else hmac.digest(self._key, identifier.encode(), "sha256")
        if len(self._known) >= _CACHE_ENTRIES:
            self._known.clear()
        self._known[identifier] = value
        return value


def organization_hasher(connection: Connection, settings: Settings, organization_id: int) -> OrganizationHasher:
    """Return the hasher of an organization, creating the home's root key if no identity has ever been stored.

    Raises `ConfigurationError` when the root key is unusable, or is missing although the warehouse holds identities:
    with a new key every known person would become somebody else.
    """
    path = settings.keys / ROOT_KEY_FILE
    if not path.exists() and connection.execute("select exists (select from core.user_identities)").fetchone() == (
        True,
    ):
        raise ConfigurationError(
            f"{path} does not exist, but the warehouse holds identities that were hashed with it. Restore that file from a "
            "backup, or point LYCEUM_HOME at the home in which it lies."
        )
    return OrganizationHasher(organization_key(root_key(settings), organization_id))


def organization_key(root: bytes, organization_id: int) -> bytes:
    """Return the organization's 32-byte key: HKDF-Expand(root, "lyceum identity " + id, 32)."""
    information = b"lyceum identity " + str(organization_id).encode()
    return hmac.digest(root, information + b"\x01", "sha256")


def root_key(settings: Settings) -> bytes:
    """Return the home's root key; the first call makes it. Concurrent first calls agree on one key.

    Raises `ConfigurationError` when the file has another length or others may read it.
    """
    path = settings.keys / ROOT_KEY_FILE
    if not path.exists():
        _create_once(path, secrets.token_bytes(_KEY_BYTES))
    mode = path.stat().st_mode & 0o077
    if mode:
        raise ConfigurationError(
            f"{path} can be read by others (mode {mode:03o} beyond the owner's). Expected 0600: chmod 600 {path}"
        )
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        raise ConfigurationError(f"{path} has {len(key)} bytes. Expected {_KEY_BYTES}: restore it from a backup.")
    return key


def resolve_users(connection: Connection, organization_id: int, hashes: Sequence[bytes], as_of: datetime) -> list[int]:
    """Return the user id of each identity hash, in order, creating a provisional user for each hash that is unknown.

    Creation takes a lock of the organization until the caller's transaction ends, so that no hash ever gets two users and
    no id is drawn in vain; call it in a transaction of its own. Commits nothing itself unless the connection is autocommit.
    """
    wanted = list(dict.fromkeys(hashes))
    with connection.transaction():
        known = _known_users(connection, organization_id, wanted)
        missing = [value for value in wanted if value not in known]
        if missing:
            connection.execute(
                "select pg_advisory_xact_lock(hashtext('lyceum.identities'), %s::int)", [organization_id]
            )
            known.update(_known_users(connection, organization_id, missing))
            known.update(
                _create_users(connection, organization_id, [value for value in missing if value not in known], as_of)
            )
    return [known[value] for value in hashes]


def _known_users(connection: Connection, organization_id: int, hashes: list[bytes]) -> dict[bytes, int]:
    rows = connection.execute(
        "select identity_hash, user_id from core.user_identities where organization_id = %s and identity_hash = any(%s)",
        [organization_id, hashes],
        binary=True,
    ).fetchall()
    return dict(rows)


def _create_users(
    connection: Connection, organization_id: int, hashes: list[bytes], as_of: datetime
) -> dict[bytes, int]:
    if not hashes:
        return {}
    ids = connection.execute(
        """
        insert into core.users (organization_id, created_at)
        select %s, %s from generate_series(1, %s)
        returning user_id
        """,
        [organization_id, as_of, len(hashes)],
        binary=True,
    ).fetchall()
    created = {value: user_id for value, (user_id,) in zip(hashes, ids, strict=True)}
    connection.execute(
        """
        insert into core.user_identities (organization_id, identity_hash, user_id, created_at)
        select %s, created.identity_hash, created.user_id, %s
        from unnest(%s::bytea[], %s::bigint[]) as created (identity_hash, user_id)
        """,
        [organization_id, as_of, list(created), list(created.values())],
    )
    return created


def _create_once(path: Path, content: bytes) -> None:
    """Write the file completely and closed to others, unless it exists: then that one stays."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            # A link, unlike a rename, never replaces a key that another process has just made.
            os.link(unfinished, path)
        except FileExistsError:
            return
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        unfinished.unlink()
