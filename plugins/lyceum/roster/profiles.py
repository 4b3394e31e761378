"""What a delivery says of people that names them: from its rows into the vault, past every table of the warehouse.

The values are in the memory of this process alone; what reaches the database is encrypted.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import islice

from lyceum.adapters.oneroster import RosterDelivery, UserRow
from lyceum.database import Connection
from lyceum.roster.loading import Pseudonyms
from lyceum.settings import Settings
from lyceum.vault import Profile, ProfileWriter, move_profiles

_BATCH = 2000


def write_profiles(
    connection: Connection,
    settings: Settings,
    organization_id: int,
    delivery: RosterDelivery,
    pseudonyms: Pseudonyms,
    as_of: datetime,
) -> int:
    """Write the profiles that the delivery changes, in the open transaction in which `resolve_people` ran; return how many.

    A user that became another gives its profile to that one. People whom the delivery removes or leaves out keep theirs.
    """
    moves = connection.execute("select merged_user_id, user_id from merged_users order by merged_user_id").fetchall()
    moved = move_profiles(connection, settings, organization_id, [(left, joined) for left, joined in moves], as_of)
    rows = (row for row in delivery.users() if isinstance(row, UserRow) and not row.is_deleted)
    with ProfileWriter(connection, settings, organization_id, as_of) as writer:
        while batch := list(islice(rows, _BATCH)):
            writer.write(_people(connection, organization_id, pseudonyms, batch))
        writer.finish()
        return moved + writer.written


def _people(
    connection: Connection, organization_id: int, pseudonyms: Pseudonyms, rows: Sequence[UserRow]
) -> list[tuple[int, bytes | None, Profile]]:
    """Return user id, content hash of the stored profile, and profile of the people of some rows."""
    by_hash = {pseudonyms.of_person(row.sourced_id): row for row in rows}
    known = connection.execute(
        """
        select
            delivered.person_hash,
            delivered.user_id,
            profiles.content_hash
        from delivered_people as delivered
        left join core.user_profiles as profiles
            on profiles.organization_id = %s and delivered.user_id = profiles.user_id
        where delivered.person_hash = any(%s) and delivered.user_id is not null and not delivered.is_deleted
        """,
        [organization_id, list(by_hash)],
        binary=True,
    ).fetchall()
    return [(user_id, stored, _profile(by_hash[person_hash])) for person_hash, user_id, stored in known]


def _profile(row: UserRow) -> Profile:
    return Profile(
        sourced_id=row.sourced_id,
        username=row.username,
        email=row.email,
        given_name=row.given_name,
        middle_name=row.middle_name,
        family_name=row.family_name,
        preferred_given_name=row.preferred_given_name,
        preferred_middle_name=row.preferred_middle_name,
        preferred_family_name=row.preferred_family_name,
        identifier=row.identifier,
        user_ids=row.user_ids,
    )
