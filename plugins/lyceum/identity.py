"""The identity seam: an identifier becomes a keyed hash at the door, and only the hash leads to a user.

The key of an organization is derived from one root key and the organization's id (HKDF-Expand of RFC 5869 with SHA-256, one
block), so the same person has unrelated hashes in two organizations. The root key is a file of the home; whoever holds the
database alone cannot test a guess.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from datetime import datetime

from lyceum.database import Connection
from lyceum.errors import ConfigurationError
from lyceum.key_files import KEY_BYTES, make_key, read_key
from lyceum.settings import Settings

PSEUDONYM_HOME_PAGE = "urn:lyceum:identity"
"""`account.homePage` of an identity that is a pseudonym already: its `name` is the hash in hexadecimal."""

ROOT_KEY_FILE = "identity.key"
_CACHE_ENTRIES = 200_000


class OrganizationHasher:
    """Hashes the identifiers of one organization; implements `lyceum.records.IdentityHasher`. Remembers a bounded number."""

    def __init__(self, key: bytes) -> None:
        """Take the organization's key: 32 bytes."""
        if len(key) != KEY_BYTES:
            raise ValueError(f"An organization's key has {KEY_BYTES} bytes, not {len(key)}.")
        self._key = key
        self._known: dict[str, bytes] = {}

    def hash(self, identifier: str) -> bytes:
        """Return the 32-byte pseudonym of a canonical identifier.

        A text that looks like a pseudonym of ours is hashed like any other: whoever takes pseudonyms as they are (a replay of our
        own payloads) must know where they come from.
        """
        known = self._known.get(identifier)
        if known is not None:
            return known
        value = hmac.digest(self._key, identifier.encode(), "sha256")
        if len(self._known) >= _CACHE_ENTRIES:
            self._known.clear()
        self._known[identifier] = value
        return value


def organization_hasher(connection: Connection, settings: Settings, organization_id: int) -> OrganizationHasher:
    """Return the hasher of an organization, creating the home's root key if no identity has ever been stored.

    Raises `ConfigurationError` as `proven_root_key` does.
    """
    return OrganizationHasher(organization_key(proven_root_key(connection, settings), organization_id))


def proven_root_key(connection: Connection, settings: Settings) -> bytes:
    """Return the home's root key, creating it if no identity has ever been stored.

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
    return root_key(settings)


def organization_key(root: bytes, organization_id: int, purpose: str = "identity") -> bytes:
    """Return the organization's 32-byte key for a purpose: HKDF-Expand(root, "lyceum <purpose> <id>", 32)."""
    information = f"lyceum {purpose} {organization_id}".encode()
    return hmac.digest(root, information + b"\x01", "sha256")


def root_key(settings: Settings) -> bytes:
    """Return the home's root key; the first call makes it. Concurrent first calls agree on one key.

    Raises `ConfigurationError` when the file has another length or others may read it.
    """
    path = settings.keys / ROOT_KEY_FILE
    if not path.exists():
        make_key(path)
    return read_key(path)


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
