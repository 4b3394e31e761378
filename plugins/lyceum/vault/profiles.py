"""The profiles of people: names, addresses and identifiers, encrypted under a key of each person.

Keys are committed before what they encrypt: a crash leaves a key that nobody uses, never a profile that nobody can read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import astuple, dataclass, fields
from datetime import datetime
from types import TracebackType
from typing import Any

import msgspec
from psycopg import sql

from lyceum import faults
from lyceum.database import Connection
from lyceum.settings import Settings
from lyceum.vault.blind_index import INDEXED_COLUMNS, BlindIndex, IndexedColumn, open_blind_index
from lyceum.vault.encryption import Place, PlaceCipher
from lyceum.vault.person_keys import DataKey, PersonKeys, open_person_keys

TABLE = "core.user_profiles"


@dataclass(frozen=True, slots=True, repr=False)
class Profile:
    """What a roster says of a person that names them; None where it does not tell. Printing it shows nothing.

    `user_ids` are (type, identifier) pairs.
    """

    sourced_id: str | None = None
    username: str | None = None
    email: str | None = None
    given_name: str | None = None
    middle_name: str | None = None
    family_name: str | None = None
    preferred_given_name: str | None = None
    preferred_middle_name: str | None = None
    preferred_family_name: str | None = None
    identifier: str | None = None
    user_ids: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return "Profile(…)"


COLUMNS: tuple[str, ...] = tuple(field.name for field in fields(Profile))
"""The encrypted columns of `core.user_profiles`, and the fields of `Profile`."""

_LIST_COLUMN = "user_ids"
_WRITTEN = (
    "user_id",
    "key_version",
    *COLUMNS,
    *(f"{column}_index" for column in INDEXED_COLUMNS),
    "content_hash",
)


class ProfileWriter:
    """Writes the profiles of one organization in the caller's transaction; use it as a context, and `finish` in it.

    The key database is opened only when a profile has changed. `written` counts the profiles that were.
    """

    def __init__(self, connection: Connection, settings: Settings, organization_id: int, as_of: datetime) -> None:
        self._connection = connection
        self._settings = settings
        self._organization_id = organization_id
        self._as_of = as_of
        self._index = open_blind_index(connection, settings, organization_id)
        self._opened = ExitStack()
        self._keys: PersonKeys | None = None
        self.written = 0

    def __enter__(self) -> ProfileWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._opened.close()

    def write(self, people: Iterable[tuple[int, bytes | None, Profile]]) -> None:
        """Write the profiles that have changed: (user id, `content_hash` of the stored profile, profile).

        Nothing is written of people whose key was destroyed. Raises `WrongKeyError` when keys are missing or are not the right ones.
        """
        changed = []
        for user_id, stored, profile in people:
            content_hash = self._index.of_content(user_id, _content(profile))
            if content_hash != stored:
                changed.append((user_id, stored, profile, content_hash))
        if not changed:
            return
        if self._keys is None:
            self._keys = self._opened.enter_context(open_person_keys(self._settings, self._connection))
            self._connection.execute(_temporary_table())
        keys = self._keys.ensure(
            self._organization_id,
            [user_id for user_id, *_ in changed],
            with_profile={user_id for user_id, stored, *_ in changed if stored is not None},
        )
        faults.reach("roster.keys_made")
        columns = sql.SQL(", ").join(map(sql.Identifier, _WRITTEN))
        with (
            self._connection.cursor() as cursor,
            cursor.copy(sql.SQL("copy written_profiles ({}) from stdin (format binary)").format(columns)) as copy,
        ):
            copy.set_types(["int8", "int4", *["bytea"] * (len(_WRITTEN) - 2)])
            for user_id, _, profile, content_hash in changed:
                if user_id in keys:
                    copy.write_row(self._row(user_id, keys[user_id], profile, content_hash))
                    self.written += 1

    def finish(self) -> None:
        """Put what was written in the place of the stored profiles."""
        if not self.written:
            return
        columns = sql.SQL(", ").join(map(sql.Identifier, _WRITTEN))
        replaced = sql.SQL(", ").join(
            sql.SQL("{0} = excluded.{0}").format(sql.Identifier(column)) for column in _WRITTEN[1:]
        )
        self._connection.execute(
            sql.SQL(
                """
                insert into core.user_profiles (organization_id, updated_at, {columns})
                select %s, %s, {columns} from written_profiles
                on conflict (organization_id, user_id) do update
                set updated_at = excluded.updated_at, {replaced}
                """
            ).format(columns=columns, replaced=replaced),
            [self._organization_id, self._as_of],
        )
        self._connection.execute("truncate written_profiles")

    def _row(self, user_id: int, key: DataKey, profile: Profile, content_hash: bytes) -> tuple[object, ...]:
        return (
            user_id,
            key.version,
            *_encrypted(self._organization_id, user_id, key, profile),
            *_indexes(self._index, profile),
            content_hash,
        )


def read_profiles(
    connection: Connection, keys: PersonKeys, organization_id: int, user_ids: Sequence[int]
) -> dict[int, Profile]:
    """Return the profiles of people of an organization by user id, without those who have none or whose key was destroyed.

    Raises `UnreadableCiphertextError` when a value does not open where it stands.
    """
    rows = _stored(connection, organization_id, user_ids)
    data_keys = keys.fetch(organization_id, [row[0] for row in rows])
    return {
        row[0]: _decrypted(organization_id, row[0], row[1], data_keys[row[0]], row[2:])
        for row in rows
        if row[0] in data_keys
    }


def find_people(
    connection: Connection, settings: Settings, organization_id: int, column: IndexedColumn, text: str
) -> list[int]:
    """Return the user ids of the people of an organization whose profile has this value, by the blind index, ascending."""
    index = open_blind_index(connection, settings, organization_id).of(column, text)
    statement = sql.SQL(
        "select user_id from core.user_profiles where organization_id = %s and {} = %s order by user_id"
    ).format(sql.Identifier(f"{column}_index"))
    return [user_id for (user_id,) in connection.execute(statement, [organization_id, index]).fetchall()]


def move_profiles(
    connection: Connection,
    settings: Settings,
    organization_id: int,
    moves: Sequence[tuple[int, int]],
    as_of: datetime,
) -> int:
    """Give the profiles of users that became others, (user id before, user id), to those; return how many moved.

    A user who has a profile keeps it. Each is decrypted and encrypted anew, under the key of whom it belongs to now; the one that
    it left is gone. Happens in the caller's transaction.
    """
    if not moves:
        return 0
    with_profile = {row[0] for row in _stored(connection, organization_id, [user for move in moves for user in move])}
    due = [(left, joined) for left, joined in moves if left in with_profile]
    if not due:
        return 0
    with (
        open_person_keys(settings, connection) as keys,
        ProfileWriter(connection, settings, organization_id, as_of) as writer,
    ):
        profiles = read_profiles(connection, keys, organization_id, [left for left, _ in due])
        moved = {joined: profiles[left] for left, joined in due if left in profiles and joined not in with_profile}
        writer.write((user_id, None, profile) for user_id, profile in moved.items())
        writer.finish()
    forget_profiles(connection, organization_id, [left for left, _ in due])
    return len(moved)


def forget_profiles(connection: Connection, organization_id: int, user_ids: Sequence[int]) -> int:
    """Remove the profiles of people, blind indexes included, in the caller's transaction; return how many there were."""
    return connection.execute(
        "delete from core.user_profiles where organization_id = %s and user_id = any(%s)",
        [organization_id, list(user_ids)],
    ).rowcount


def profiles_without_key(connection: Connection, keys: PersonKeys) -> int:
    """Return how many profiles nobody can read, because the key of their person was destroyed or is not there."""
    lost = 0
    for (organization_id,) in connection.execute("select organization_id from core.organizations").fetchall():
        rows = connection.execute(
            "select user_id from core.user_profiles where organization_id = %s", [organization_id]
        ).fetchall()
        lost += len(rows) - keys.count_living(organization_id, [user_id for (user_id,) in rows])
    return lost


def _temporary_table() -> sql.Composed:
    """Return the statement that makes the table in which rows wait: ciphertexts and keyed hashes only."""
    types = ["bigint", "integer", *["bytea"] * (len(_WRITTEN) - 2)]
    columns = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind)) for name, kind in zip(_WRITTEN, types, strict=True)
    )
    return sql.SQL("create temporary table if not exists written_profiles ({}) on commit drop").format(columns)


def _stored(connection: Connection, organization_id: int, user_ids: Sequence[int]) -> list[tuple[Any, ...]]:
    """Return (user id, key version, ciphertexts in the order of `COLUMNS`) of those who have a profile."""
    statement = sql.SQL(
        "select user_id, key_version, {} from core.user_profiles where organization_id = %s and user_id = any(%s)"
    ).format(sql.SQL(", ").join(map(sql.Identifier, COLUMNS)))
    return connection.execute(statement, [organization_id, list(user_ids)], binary=True).fetchall()


def _encrypted(organization_id: int, user_id: int, key: DataKey, profile: Profile) -> list[bytes | None]:
    cipher = PlaceCipher(key.key, Place(TABLE, organization_id, user_id, key.version))
    *texts, user_ids = astuple(profile)
    texts.append(msgspec.json.encode(user_ids).decode() if user_ids else None)
    return [None if text is None else cipher.encrypt(column, text) for column, text in zip(COLUMNS, texts, strict=True)]


def _decrypted(
    organization_id: int, user_id: int, key_version: int, key: DataKey, ciphertexts: Sequence[bytes | None]
) -> Profile:
    cipher = PlaceCipher(key.key, Place(TABLE, organization_id, user_id, key_version))
    texts = {
        column: cipher.decrypt(column, ciphertext)
        for column, ciphertext in zip(COLUMNS, ciphertexts, strict=True)
        if ciphertext is not None
    }
    pairs = texts.pop(_LIST_COLUMN, None)
    user_ids = msgspec.json.decode(pairs, type=tuple[tuple[str, str], ...]) if pairs else ()
    return Profile(**texts, user_ids=user_ids)


def _indexes(index: BlindIndex, profile: Profile) -> list[bytes | None]:
    found: list[bytes | None] = []
    for column in INDEXED_COLUMNS:
        text: str | None = getattr(profile, column)
        found.append(None if text is None else index.of(column, text))
    return found


def _content(profile: Profile) -> bytes:
    return msgspec.json.encode(astuple(profile))
