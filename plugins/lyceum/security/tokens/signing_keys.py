"""The keys of internal tokens as the warehouse knows them: register, rotate, look.

A key is first known to the database and then used; a key that is no longer used counts until the last token that it signed
has expired. A rotation that died is finished by the next one.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from lyceum.audit import Access, prepare_trail, record_access
from lyceum.database import Connection, ConnectionTarget, connect
from lyceum.key_files import make_key, read_key
from lyceum.security.tokens.errors import TokenKeyError
from lyceum.security.tokens.internal import KEY_FILE, LONGEST_LIFETIME, SigningKey
from lyceum.settings import Settings

# The last token of a key is minted while its file is being replaced, and clocks may differ.
GRACE = LONGEST_LIFETIME + timedelta(seconds=60)
_REMEMBERED = timedelta(days=30)

ROTATED = "token_key_rotated"
RESOURCE = "auth.signing_keys"


@dataclass(frozen=True, slots=True)
class KeyState:
    """A key as the warehouse knows it. `retired_at` is the instant from which none of its tokens counts."""

    key_id: str
    created_at: datetime
    retired_at: datetime | None
    is_ours: bool


@dataclass(frozen=True, slots=True)
class Rotation:
    """What a rotation did: the key that signs from now on, and the one before it with the instant until which it counts."""

    key_id: str
    retired_key_id: str | None
    retired_at: datetime | None


def ensure_signing_key(administrator: ConnectionTarget, settings: Settings) -> None:
    """Make the home's key where absent and known to the warehouse, as a part of migrating it. A second call changes nothing.

    A key that the warehouse has retired stays so: whoever uses it is told.
    """
    with (
        connect(administrator, autocommit=True, application_name="lyceum migrate") as connection,
        _turns(settings) as path,
    ):
        make_key(path)
        row = connection.execute("select clock_timestamp()").fetchone()
        assert row is not None
        _insert(connection, SigningKey(read_key(path)), row[0])


def register(connection: Connection, settings: Settings, at: datetime) -> str:
    """Make sure that the home has a key and the warehouse knows it; return its id. A second call changes nothing.

    Raises `TokenKeyError` when the warehouse knows the key as retired, as after a backup of the home was restored.
    """
    with _turns(settings) as path:
        make_key(path)
        key = SigningKey(read_key(path))
        with connection.transaction():
            _insert(connection, key, at)
            row = connection.execute(
                "select retired_at from auth.signing_keys where key_id = %s", [key.key_id]
            ).fetchone()
    if row != (None,):
        raise TokenKeyError(
            f"The warehouse has retired the key in {path}: its tokens count no longer. Make a new one: lyceum token keys rotate"
        )
    return key.key_id


def rotate(connection: Connection, settings: Settings, at: datetime, *, at_once: bool = False) -> Rotation:
    """Give the home a new key, known to the warehouse before it is used, and retire the one before it.

    The old one counts until its last token has expired; with `at_once`, because somebody has seen it, no longer at all, and
    requests under way find nothing. Minters notice the new file by themselves. The trail tells it in the same transaction.
    """
    prepare_trail(connection)
    with _turns(settings) as path:
        following = path.with_name(f"{path.name}.next")
        make_key(following)
        new = SigningKey(read_key(following))
        old = SigningKey(read_key(path)) if path.exists() else None
        retired_at: datetime | None = None
        with connection.transaction():
            _insert(connection, new, at)
            if old is not None:
                row = connection.execute(
                    """
                    update auth.signing_keys
                    set retired_at = greatest(created_at, least(retired_at, %s))
                    where key_id = %s
                    returning retired_at
                    """,
                    [at if at_once else at + GRACE, old.key_id],
                ).fetchone()
                retired_at = row[0] if row else None
            if at_once:
                # Keys that an earlier rotation left to expire, too: nobody knows which one was seen.
                connection.execute(
                    "update auth.signing_keys set retired_at = greatest(created_at, %(at)s) where retired_at > %(at)s",
                    {"at": at},
                )
            connection.execute("delete from auth.signing_keys where retired_at < %s", [at - _REMEMBERED])
            detail = {"key_id": new.key_id, "retired_key_id": old.key_id if old else None, "at_once": at_once}
            record_access(connection, Access(ROTATED, RESOURCE, detail=detail))
        following.replace(path)
        _flush(path.parent)
    return Rotation(new.key_id, old.key_id if old else None, retired_at)


def key_states(connection: Connection, settings: Settings) -> list[KeyState]:
    """Return the keys that the warehouse knows, the newest first, and which of them is the home's."""
    path = settings.keys / KEY_FILE
    ours = SigningKey(read_key(path)).key_id if path.exists() else None
    rows = connection.execute(
        "select key_id, created_at, retired_at from auth.signing_keys order by created_at desc, key_id"
    ).fetchall()
    return [KeyState(key_id, created_at, retired_at, key_id == ours) for key_id, created_at, retired_at in rows]


def _insert(connection: Connection, key: SigningKey, at: datetime) -> None:
    connection.execute(
        """
        insert into auth.signing_keys (key_id, inner_pad, outer_pad, created_at)
        values (%s, %s, %s, %s)
        on conflict (key_id) do nothing
        """,
        [key.key_id, *key.pads, at],
    )


@contextmanager
def _turns(settings: Settings) -> Iterator[Path]:
    """Put those who change the home's key in order."""
    path = settings.keys / KEY_FILE
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (path.parent / f".{KEY_FILE}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield path


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
