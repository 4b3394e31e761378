"""Who is meant by a user id: every id of the person, and every keyed hash that leads to them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import astuple, dataclass, field

from lyceum.database import Connection
from lyceum.errors import ConfigurationError
from lyceum.identity import organization_hasher
from lyceum.organizations import Organization
from lyceum.settings import Settings
from lyceum.vault import Profile, UnreadableCiphertextError, WrongKeyError, open_person_keys, read_profiles


@dataclass(frozen=True, slots=True)
class Person:
    """Everything that a person is known by. Printing it shows nothing of it."""

    user_ids: tuple[int, ...] = field(repr=False)
    identity_hashes: tuple[bytes, ...] = field(repr=False)
    profiles: tuple[Profile, ...] = field(repr=False)


class UnknownPersonError(ConfigurationError):
    """The organization has no such user, or the user was erased."""


def find_person(connection: Connection, settings: Settings, organization: Organization, user_id: int) -> Person:
    """Return the person of a user id, merged ids included, whichever of them is asked for.

    Raises `UnknownPersonError` where there is nobody: the message names the organization and the id, nothing else.
    """
    user_ids = _all_ids(connection, organization, user_id)
    hashes = {
        value
        for (value,) in connection.execute(
            "select identity_hash from core.user_identities where organization_id = %s and user_id = any(%s)",
            [organization.organization_id, list(user_ids)],
            binary=True,
        ).fetchall()
    }
    profiles = _profiles(connection, settings, organization.organization_id, user_ids)
    told = _hashes_of(connection, settings, organization.organization_id, profiles)
    hashes |= told - _of_others(connection, organization.organization_id, told, user_ids)
    return Person(user_ids, tuple(sorted(hashes)), profiles)


def require_impersonal(text: str, profiles: Iterable[Profile]) -> None:
    """Raise `ConfigurationError` where a text that stays would say who was erased. The message does not repeat it."""
    found = text.casefold()
    if "@" in found or any(value.casefold() in found for profile in profiles for value in _values(profile)):
        raise ConfigurationError(
            "The reason names the person, or an address. Expected one that says nothing about them, such as a ticket's number: it is "
            "kept with the certificate. Nothing was erased."
        )


def _all_ids(connection: Connection, organization: Organization, user_id: int) -> tuple[int, ...]:
    row = connection.execute(
        "select is_erased from core.users where organization_id = %s and user_id = %s",
        [organization.organization_id, user_id],
    ).fetchone()
    if row is None or row[0]:
        state = "has no user" if row is None else "has erased the person who was behind what is now user"
        raise UnknownPersonError(
            f"The organization {organization.slug!r} {state} {user_id}. Expected the id of somebody whom it knows: "
            "look it up with `lyceum people find`. Nothing was erased."
        )
    rows = connection.execute(
        """
        with recursive

        same as (
            select %(user)s::bigint as user_id

            union

            select case when merges.user_id = same.user_id then merges.merged_user_id else merges.user_id end
            from same
            inner join ops.user_merges as merges
                on merges.organization_id = %(organization)s and same.user_id in (merges.user_id, merges.merged_user_id)
        )

        select user_id from same order by user_id
        """,
        {"organization": organization.organization_id, "user": user_id},
    ).fetchall()
    return tuple(found for (found,) in rows)


def _profiles(
    connection: Connection, settings: Settings, organization_id: int, user_ids: tuple[int, ...]
) -> tuple[Profile, ...]:
    # A person whose names nobody can read any more must be erased all the same.
    with suppress(WrongKeyError, UnreadableCiphertextError), open_person_keys(settings, connection) as keys:
        return tuple(read_profiles(connection, keys, organization_id, user_ids).values())
    return ()


def _hashes_of(
    connection: Connection, settings: Settings, organization_id: int, profiles: tuple[Profile, ...]
) -> set[bytes]:
    """Return what the addresses of a profile become in payloads, also where no rule of a source made them an identity."""
    hasher = organization_hasher(connection, settings, organization_id)
    return {
        hasher.hash(identifier)
        for profile in profiles
        if profile.email
        for identifier in (
            f"mbox:mailto:{profile.email.lower()}",
            *(f"mbox_sha1sum:{_sha1(address)}" for address in {profile.email, profile.email.lower()}),
        )
    }


def _sha1(address: str) -> str:
    return hashlib.sha1(f"mailto:{address}".encode(), usedforsecurity=False).hexdigest()


def _of_others(
    connection: Connection, organization_id: int, hashes: set[bytes], user_ids: tuple[int, ...]
) -> set[bytes]:
    """Return those that lead to somebody else: an address that two people share is not only this person's."""
    rows = connection.execute(
        """
        select identity_hash from core.user_identities
        where organization_id = %s and identity_hash = any(%s) and user_id <> all(%s)
        """,
        [organization_id, list(hashes), list(user_ids)],
        binary=True,
    ).fetchall()
    return {value for (value,) in rows}


def _values(profile: Profile) -> Iterator[str]:
    *texts, pairs = astuple(profile)
    # A name of one or two letters is in every sentence.
    yield from (text for text in (*texts, *(value for _, value in pairs)) if text and len(text) > 2)
