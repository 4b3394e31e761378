"""The data key of each person: made, fetched, wrapped anew, destroyed."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from lyceum import faults
from lyceum.database import Connection
from lyceum.errors import ConfigurationError, RetryableError
from lyceum.key_files import KEY_BYTES
from lyceum.settings import Settings
from lyceum.vault.errors import WrongKeyError
from lyceum.vault.key_database import connect_keys
from lyceum.vault.keyring import Keyring, open_keyring
from lyceum.vault.providers import PlainKey, WrappedKey

_log = logging.getLogger(__name__)

_REWRAP_BATCH = 1000
_SAMPLE_CONTEXT = b"sample"


@dataclass(frozen=True, slots=True)
class DataKey:
    """A person's data key, unwrapped, and its version."""

    key: bytes = field(repr=False)
    version: int


@dataclass(frozen=True, slots=True)
class VersionCount:
    """How many people's keys one version of one provider wraps."""

    provider: str
    version: int
    people: int
    is_current: bool


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """What wraps the keys of people. `old` are those that a rotation would wrap anew; `destroyed` are gone for good."""

    provider: str
    current_version: int | None
    people: int
    old: int
    destroyed: int
    versions: tuple[VersionCount, ...]


@dataclass(frozen=True, slots=True)
class RotationReport:
    """One rotation: the version that wraps everything now. `is_new_version` is False where the rotation went on with an earlier one,
    or moved keys from another provider.
    """

    provider: str
    version: int
    rewrapped: int
    is_new_version: bool


class PersonKeys:
    """The data keys of one warehouse's people. Make it with `open_person_keys`."""

    def __init__(self, connection: Connection, warehouse_id: UUID, keyring: Keyring) -> None:
        self._connection = connection
        self._warehouse_id = warehouse_id
        self._keyring = keyring
        self._proven: set[tuple[str, int]] = set()

    def fetch(self, organization_id: int, user_ids: Sequence[int]) -> dict[int, DataKey]:
        """Return the data keys of people of an organization by user id, without those who have none or whose was destroyed."""
        return self._unwrapped(organization_id, self._rows(organization_id, user_ids))

    def ensure(
        self, organization_id: int, user_ids: Sequence[int], *, with_profile: Collection[int] = ()
    ) -> dict[int, DataKey]:
        """Return the data keys of people, making those that they lack; committed when this returns.

        People whose key was destroyed are left out and never get another. Raises `WrongKeyError` when somebody in `with_profile`,
        who has been encrypted before, never had a key here: the key database is not the one that belongs to the warehouse.
        """
        rows = self._rows(organization_id, user_ids)
        known = {row[0] for row in rows}
        missing = [user_id for user_id in dict.fromkeys(user_ids) if user_id not in known]
        lost = [user_id for user_id in missing if user_id in with_profile]
        if lost:
            raise WrongKeyError(
                f"The key database has no key of {len(lost)} people whose profiles are encrypted, such as user {lost[0]} of "
                f"organization {organization_id}. Expected the key database that belongs to this warehouse: restore it from a "
                "backup, or set LYCEUM_KEYS_DATABASE_URL to it."
            )
        if missing:
            self._make(organization_id, missing)
            rows = self._rows(organization_id, user_ids)
        return self._unwrapped(organization_id, rows)

    def wrap_for(self, purpose: str, key: bytes) -> WrappedKey:
        """Wrap a data key of something that is no person, bound to this warehouse and to `purpose`, which names it."""
        self._prove(self._current_version())
        (wrapped,) = self._keyring.current.wrap([PlainKey(key, _context_of(self._warehouse_id, purpose))])
        return wrapped

    def unwrap_for(self, purpose: str, provider: str, version: int, content: bytes) -> bytes:
        """Return what `wrap_for` wrapped for this purpose. Raises `WrongKeyError` when it was another."""
        return unwrap_for(self._keyring, self._warehouse_id, purpose, provider, version, content)

    def count_living(self, organization_id: int, user_ids: Sequence[int]) -> int:
        """Return how many of these people have a key."""
        row = self._connection.execute(
            """
            select count(*)
            from keys.person_keys
            where organization_id = %s and user_id = any(%s) and wrapped_key is not null
            """,
            [organization_id, list(user_ids)],
        ).fetchone()
        assert row is not None
        return int(row[0])

    def destroy(self, organization_id: int, user_id: int, at: datetime) -> bool:
        """Destroy the data key of a person, for good: what it encrypts is unreadable from then on. Return whether there was one.

        The person never gets another key, also where there was none. Copies of the key database that were made before hold the
        wrapped key still; retiring the version that wrapped it (`retire`) makes those useless, too.
        """
        with self._connection.transaction():
            row = self._connection.execute(
                """
                select wrapped_key is not null
                from keys.person_keys
                where organization_id = %s and user_id = %s
                for update
                """,
                [organization_id, user_id],
            ).fetchone()
            self._connection.execute(
                """
                insert into keys.person_keys as person_keys (organization_id, user_id, destroyed_at)
                values (%s, %s, %s)
                on conflict (organization_id, user_id) do update
                set
                    provider = null,
                    provider_version = null,
                    wrapped_key = null,
                    wrapped_at = null,
                    destroyed_at = coalesce(person_keys.destroyed_at, excluded.destroyed_at)
                """,
                [organization_id, user_id, at],
            )
        _log.info("person key destroyed", extra={"organization_id": organization_id})
        return row == (True,)

    def status(self) -> KeyStatus:
        """Count the people whose keys each version wraps."""
        provider = self._keyring.current
        available = provider.versions()
        current = available[-1] if available else None
        rows = self._connection.execute(
            """
            select provider, provider_version, count(*)
            from keys.person_keys
            where wrapped_key is not null
            group by provider, provider_version
            order by provider, provider_version
            """
        ).fetchall()
        counts = {(name, version): people for name, version, people in rows}
        named = sorted(set(counts) | {(provider.name, version) for version in available})
        destroyed = self._connection.execute(
            "select count(*) from keys.person_keys where wrapped_key is null"
        ).fetchone()
        assert destroyed is not None
        versions = tuple(
            VersionCount(name, version, counts.get((name, version), 0), (name, version) == (provider.name, current))
            for name, version in named
        )
        return KeyStatus(
            provider=provider.name,
            current_version=current,
            people=sum(counts.values()),
            old=sum(one.people for one in versions if not one.is_current),
            destroyed=int(destroyed[0]),
            versions=versions,
        )

    def rotate(
        self, on_progress: Callable[[int, int], None] = lambda done, total: None, batch_size: int = _REWRAP_BATCH
    ) -> RotationReport:
        """Make a new version of the current provider's key and wrap every person's data key under it; profiles stay as they are.

        A rotation that did not come to its end is gone on with, and no further version is made; so is a change of the provider.
        Batches commit by themselves and everybody goes on reading. `on_progress` receives how many keys are done, and of how
        many. Raises `RetryableError` while another rotation runs.
        """
        with self._alone():
            provider = self._keyring.current
            version = self._current_version()
            is_new = self._old(version) == 0
            if is_new:
                version = provider.add_version()
            faults.reach("keys.version_made")
            self._prove(version)
            total = self._old(version)
            rewrapped = 0
            after = (0, 0)
            while batch := self._rewrap(version, after, batch_size):
                after = batch[-1]
                rewrapped += len(batch)
                on_progress(rewrapped, total)
                faults.reach("keys.batch_rewrapped")
        _log.info("keys rotated", extra={"provider": provider.name, "version": version, "keys": rewrapped})
        return RotationReport(provider.name, version, rewrapped, is_new)

    def retire(self, version: int) -> None:
        """Destroy a version of the current provider's key that wraps nothing any more, so that old copies stay closed.

        Raises `ConfigurationError` for the current version, one that does not exist, or one that still wraps keys.
        """
        with self._alone():
            status = self.status()
            found = next(
                (one for one in status.versions if (one.provider, one.version) == (status.provider, version)), None
            )
            if found is None:
                raise ConfigurationError(
                    f"The provider {status.provider!r} has no version {version}. Expected one that `lyceum keys status` lists."
                )
            if found.is_current:
                raise ConfigurationError(f"Version {version} is the current one. Rotate first: lyceum keys rotate")
            # A transit engine retires a version together with those before it.
            people = sum(
                one.people for one in status.versions if one.provider == status.provider and one.version <= version
            )
            if people:
                raise ConfigurationError(
                    f"Version {version}, or one before it, wraps the keys of {people} people. Rotate first: lyceum keys rotate"
                )
            self._keyring.current.retire_version(version)
            self._connection.execute(
                "delete from keys.provider_versions where provider = %s and version = %s", [status.provider, version]
            )

    # One key

    def _context(self, organization_id: int, user_id: int, key_version: int) -> bytes:
        return f"{self._warehouse_id}:{organization_id}:{user_id}:{key_version}".encode()

    def _rows(self, organization_id: int, user_ids: Sequence[int]) -> list[tuple[Any, ...]]:
        return self._connection.execute(
            """
            select user_id, key_version, provider, provider_version, wrapped_key
            from keys.person_keys
            where organization_id = %s and user_id = any(%s)
            """,
            [organization_id, list(user_ids)],
            binary=True,
        ).fetchall()

    def _unwrapped(self, organization_id: int, rows: Sequence[tuple[Any, ...]]) -> dict[int, DataKey]:
        living = [row for row in rows if row[4] is not None]
        wrapped = [
            WrappedKey(provider, provider_version, content, self._context(organization_id, user_id, key_version))
            for user_id, key_version, provider, provider_version, content in living
        ]
        if not wrapped:
            return {}
        keys = self._keyring.unwrap(wrapped)
        return {row[0]: DataKey(key, row[1]) for row, key in zip(living, keys, strict=True)}

    def _make(self, organization_id: int, user_ids: Sequence[int]) -> None:
        self._prove(self._current_version())
        wrapped = self._keyring.current.wrap(
            [PlainKey(os.urandom(KEY_BYTES), self._context(organization_id, user_id, 1)) for user_id in user_ids]
        )
        # Whoever comes second takes the key of the first.
        self._connection.execute(
            """
            insert into keys.person_keys (organization_id, user_id, provider, provider_version, wrapped_key, wrapped_at)
            select %s, made.user_id, made.provider, made.provider_version, made.wrapped_key, clock_timestamp()
            from unnest(%s::bigint[], %s::text[], %s::integer[], %s::bytea[])
                as made (user_id, provider, provider_version, wrapped_key)
            on conflict (organization_id, user_id) do nothing
            """,
            [
                organization_id,
                list(user_ids),
                [key.provider for key in wrapped],
                [key.version for key in wrapped],
                [key.content for key in wrapped],
            ],
        )

    # What wraps them

    def _current_version(self) -> int:
        """Return the current provider's version. A first one is made only where this provider never had any."""
        provider = self._keyring.current
        if not provider.versions():
            row = self._connection.execute(
                "select max(version) from keys.provider_versions where provider = %s", [provider.name]
            ).fetchone()
            if row is not None and row[0] is not None:
                raise WrongKeyError(
                    f"The provider {provider.name!r} has no key, but had version {row[0]}. Restore its keys from a backup, or point "
                    "LYCEUM_HOME at the home in which they lie."
                )
        return provider.current_version()

    def _prove(self, version: int) -> None:
        """Make sure that this version is the one that wrapped before: its sample must open. The first use leaves the sample."""
        provider = self._keyring.current
        if (provider.name, version) in self._proven:
            return
        sample = os.urandom(KEY_BYTES)
        (wrapped,) = provider.wrap([PlainKey(sample, _SAMPLE_CONTEXT)])
        self._connection.execute(
            """
            insert into keys.provider_versions (provider, version, wrapped_sample, sample_hash)
            values (%s, %s, %s, %s)
            on conflict (provider, version) do nothing
            """,
            [provider.name, wrapped.version, wrapped.content, hashlib.sha256(sample).digest()],
        )
        row = self._connection.execute(
            "select wrapped_sample, sample_hash from keys.provider_versions where provider = %s and version = %s",
            [provider.name, wrapped.version],
        ).fetchone()
        assert row is not None
        (opened,) = provider.unwrap([WrappedKey(provider.name, wrapped.version, row[0], _SAMPLE_CONTEXT)])
        if hashlib.sha256(opened).digest() != row[1]:
            raise WrongKeyError(
                f"Version {wrapped.version} of the provider {provider.name!r} is not the key that it was. Restore it from a backup."
            )
        self._proven.add((provider.name, wrapped.version))

    def _old(self, version: int) -> int:
        row = self._connection.execute(
            """
            select count(*)
            from keys.person_keys
            where wrapped_key is not null and (provider, provider_version) <> (%s, %s)
            """,
            [self._keyring.current.name, version],
        ).fetchone()
        assert row is not None
        return int(row[0])

    def _rewrap(self, version: int, after: tuple[int, int], batch_size: int) -> list[tuple[int, int]]:
        """Wrap the next keys anew, in one transaction; return whose they were."""
        with self._connection.transaction():
            rows = self._connection.execute(
                """
                select organization_id, user_id, key_version, provider, provider_version, wrapped_key
                from keys.person_keys
                where
                    wrapped_key is not null
                    and (provider, provider_version) <> (%s, %s)
                    and (organization_id, user_id) > (%s, %s)
                order by organization_id, user_id
                limit %s
                for update
                """,
                [self._keyring.current.name, version, *after, batch_size],
                binary=True,
            ).fetchall()
            if not rows:
                return []
            contexts = [self._context(*row[:3]) for row in rows]
            plain = self._keyring.unwrap(
                [WrappedKey(row[3], row[4], row[5], context) for row, context in zip(rows, contexts, strict=True)]
            )
            wrapped = self._keyring.current.wrap(
                [PlainKey(key, context) for key, context in zip(plain, contexts, strict=True)]
            )
            self._connection.execute(
                """
                update keys.person_keys
                set
                    provider = rewrapped.provider,
                    provider_version = rewrapped.provider_version,
                    wrapped_key = rewrapped.wrapped_key,
                    wrapped_at = clock_timestamp()
                from unnest(%s::bigint[], %s::bigint[], %s::text[], %s::integer[], %s::bytea[])
                    as rewrapped (organization_id, user_id, provider, provider_version, wrapped_key)
                where
                    person_keys.organization_id = rewrapped.organization_id
                    and person_keys.user_id = rewrapped.user_id
                """,
                [
                    [row[0] for row in rows],
                    [row[1] for row in rows],
                    [key.provider for key in wrapped],
                    [key.version for key in wrapped],
                    [key.content for key in wrapped],
                ],
            )
        return [(row[0], row[1]) for row in rows]

    @contextmanager
    def _alone(self) -> Iterator[None]:
        lock = "hashtextextended('lyceum.keys.rotation', 0)"
        if self._connection.execute(f"select pg_try_advisory_lock({lock})".encode()).fetchone() != (True,):
            raise RetryableError(
                "Another rotation of keys runs. Wait until it has ended (`lyceum keys status`), then try again."
            )
        try:
            yield
        finally:
            if not self._connection.closed:
                self._connection.execute(f"select pg_advisory_unlock({lock})".encode())


def unwrap_for(
    keyring: Keyring, warehouse_id: UUID, purpose: str, provider: str, version: int, content: bytes
) -> bytes:
    """Return what `PersonKeys.wrap_for` wrapped in this warehouse for this purpose, without the key database.

    Raises `WrongKeyError` when it was another, or the settings do not tell what the provider needs.
    """
    (key,) = keyring.unwrap([WrappedKey(provider, version, content, _context_of(warehouse_id, purpose))])
    return key


def _context_of(warehouse_id: UUID, purpose: str) -> bytes:
    return f"{warehouse_id}:{purpose}".encode()


@contextmanager
def open_person_keys(settings: Settings, warehouse: Connection) -> Iterator[PersonKeys]:
    """Lend the keys of a warehouse's people. The key database is made where absent."""
    with open_keyring(settings) as keyring, connect_keys(settings, warehouse) as (connection, warehouse_id):
        yield PersonKeys(connection, warehouse_id, keyring)


def destroy_person_key(
    settings: Settings, warehouse: Connection, organization_id: int, user_id: int, at: datetime
) -> bool:
    """Destroy the data key of a person, see `PersonKeys.destroy`. It is done when this returns, whatever the warehouse does."""
    with open_person_keys(settings, warehouse) as keys:
        return keys.destroy(organization_id, user_id, at)
