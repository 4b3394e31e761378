"""Who a roster's people are: users it has named before, users known by their activity alone, or new ones.

Every statement works on the temporary tables of `loading` in the open transaction, which holds the organization's locks.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from lyceum.database import Connection


@dataclass(frozen=True, slots=True)
class PeopleChanges:
    """How many users were created, claimed (known by activity alone before) and merged into another."""

    created: int
    claimed: int
    merged: int
    identities_ambiguous: int


def resolve_people(
    connection: Connection,
    organization_id: int,
    source_id: int,
    roster_id: int,
    as_of: datetime,
    tells_from: date,
    *,
    is_bulk: bool,
) -> PeopleChanges:
    """Give every delivered person a user, and every identity that is theirs alone to that user.

    Identities of one person that belonged to several users are merged: their events of days from `tells_from` on move to
    the user that stays. An identity that several people of the roster share is nobody's.
    """
    values = {
        "organization": organization_id,
        "source": source_id,
        "roster": roster_id,
        "as_of": as_of,
        "tells_from": tells_from,
    }
    ambiguous = _drop_ambiguous_identities(connection, values)
    claimed = _match(connection, values)
    created = _create(connection, values)
    merged = _merge(connection, values)
    _write(connection, values, is_bulk=is_bulk)
    return PeopleChanges(created, claimed, merged, ambiguous)


def _drop_ambiguous_identities(connection: Connection, values: dict[str, object]) -> int:
    """Forget the delivered identities that several people claim, or that another person of this source has already."""
    row = connection.execute(
        """
        with

        shared as (
            select identity_hash
            from delivered_identities
            group by identity_hash
            having count(*) > 1
        ),

        taken as (
            select delivered.identity_hash
            from delivered_identities as delivered
            inner join core.user_identities as identities
                on identities.organization_id = %(organization)s and delivered.identity_hash = identities.identity_hash
            inner join core.roster_people as people
                on
                    people.organization_id = %(organization)s
                    and people.source_id = %(source)s
                    and identities.user_id = people.user_id
                    and delivered.person_hash <> people.person_hash
        ),

        dropped as (
            delete from delivered_identities as delivered
            using (select identity_hash from shared union select identity_hash from taken) as ambiguous
            where delivered.identity_hash = ambiguous.identity_hash
            returning delivered.identity_hash
        )

        select count(distinct identity_hash) from dropped
        """,
        values,
    ).fetchone()
    assert row is not None
    return int(row[0])


def _match(connection: Connection, values: dict[str, object]) -> int:
    """Give delivered people the users that they are; return how many of these were known by their activity alone."""
    connection.execute(
        """
        update delivered_people as delivered
        set user_id = people.user_id
        from core.roster_people as people
        where
            people.organization_id = %(organization)s
            and people.source_id = %(source)s
            and delivered.person_hash = people.person_hash
        """,
        values,
    )
    connection.execute(
        """
        with

        -- Several identities may lead to one user.
        possible as (
            select distinct
                delivered.person_hash,
                users.user_id,
                users.is_provisional
            from delivered_people as delivered
            inner join delivered_identities as identities
                on delivered.person_hash = identities.person_hash
            inner join core.user_identities as known
                on known.organization_id = %(organization)s and identities.identity_hash = known.identity_hash
            inner join core.users
                on users.organization_id = %(organization)s and known.user_id = users.user_id
            where
                delivered.user_id is null
                and not delivered.is_deleted
                and not exists (
                    select 1
                    from core.roster_people as people
                    where
                        people.organization_id = %(organization)s
                        and people.source_id = %(source)s
                        and people.user_id = users.user_id
                )
        ),

        candidates as (
            select
                person_hash,
                user_id,
                row_number() over (partition by person_hash order by is_provisional, user_id) as choice,
                row_number() over (partition by user_id order by person_hash) as claimant
            from possible
        )

        update delivered_people as delivered
        set user_id = candidates.user_id
        from candidates
        where
            delivered.person_hash = candidates.person_hash
            and candidates.choice = 1
            and candidates.claimant = 1
        """,
        values,
    )
    return connection.execute(
        """
        update core.users
        set is_provisional = false
        from delivered_people as delivered
        where
            users.organization_id = %(organization)s
            and users.user_id = delivered.user_id
            and users.is_provisional
            and not delivered.is_deleted
        """,
        values,
    ).rowcount


def _create(connection: Connection, values: dict[str, object]) -> int:
    return connection.execute(
        """
        with

        missing as (
            select
                person_hash,
                row_number() over (order by person_hash) as position
            from delivered_people
            where user_id is null and not is_deleted
        ),

        created as (
            insert into core.users (organization_id, is_provisional, created_at)
            select %(organization)s, false, %(as_of)s from missing
            returning user_id
        ),

        numbered as (
            select
                user_id,
                row_number() over (order by user_id) as position
            from created
        )

        update delivered_people as delivered
        set user_id = numbered.user_id, is_new = true
        from missing
        inner join numbered on missing.position = numbered.position
        where delivered.person_hash = missing.person_hash
        """,
        values,
    ).rowcount


def _merge(connection: Connection, values: dict[str, object]) -> int:
    """Let users known by activity alone, whose identity is a delivered person's, become that person's user."""
    connection.execute(
        """
        create temporary table merged_users on commit drop as
        select distinct on (others.user_id)
            others.user_id as merged_user_id,
            delivered.user_id
        from delivered_people as delivered
        inner join delivered_identities as identities
            on delivered.person_hash = identities.person_hash
        inner join core.user_identities as known
            on known.organization_id = %(organization)s and identities.identity_hash = known.identity_hash
        inner join core.users as others
            on others.organization_id = %(organization)s and known.user_id = others.user_id
        where
            not delivered.is_deleted
            and others.is_provisional
            and others.user_id <> delivered.user_id
        order by others.user_id, delivered.user_id
        """,
        values,
    )
    merged = connection.execute(
        """
        insert into ops.user_merges (organization_id, merged_user_id, user_id, roster_id, merged_at, rekeyed_from)
        select %(organization)s, merged_user_id, user_id, %(roster)s, %(as_of)s, %(tells_from)s
        from merged_users
        """,
        values,
    ).rowcount
    connection.execute(
        """
        update core.user_identities as identities
        set user_id = merged_users.user_id
        from merged_users
        where identities.organization_id = %(organization)s and identities.user_id = merged_users.merged_user_id
        """,
        values,
    )
    return merged


def _write(connection: Connection, values: dict[str, object], *, is_bulk: bool) -> None:
    """Store people, roles and identities; people whom a full delivery leaves out are no longer current."""
    connection.execute(
        """
        insert into core.roster_people (organization_id, source_id, person_hash, user_id, roles, is_current)
        select %(organization)s, %(source)s, person_hash, user_id, roles, not is_deleted
        from delivered_people
        where user_id is not null
        on conflict (organization_id, source_id, person_hash) do update
        set is_current = excluded.is_current
        """,
        values,
    )
    connection.execute(
        """
        update core.roster_people as people
        set roles = case
            when delivered.tells_all_roles then delivered.roles
            else array(select distinct unnest(people.roles || delivered.roles) order by 1)
        end
        from delivered_people as delivered
        where
            people.organization_id = %(organization)s
            and people.source_id = %(source)s
            and people.person_hash = delivered.person_hash
            and not delivered.is_deleted
        """,
        values,
    )
    connection.execute(
        """
        update core.roster_people as people
        set roles = array(
            select unnest(people.roles)
            union
            select role from delivered_roles as added where added.person_hash = people.person_hash and not added.is_deleted
            except
            select removed.role
            from delivered_roles as removed
            where
                removed.person_hash = people.person_hash
                and removed.is_deleted
                and not exists (
                    select 1
                    from delivered_roles as kept
                    where kept.person_hash = removed.person_hash and kept.role = removed.role and not kept.is_deleted
                )
            order by 1
        )
        where
            people.organization_id = %(organization)s
            and people.source_id = %(source)s
            and people.person_hash in (select person_hash from delivered_roles)
        """,
        values,
    )
    if is_bulk:
        connection.execute(
            """
            update core.roster_people as people
            set is_current = false
            where
                people.organization_id = %(organization)s
                and people.source_id = %(source)s
                and people.is_current
                and not exists (select 1 from delivered_people as delivered where delivered.person_hash = people.person_hash)
            """,
            values,
        )
    connection.execute(
        """
        insert into core.user_identities (organization_id, identity_hash, user_id, created_at)
        select %(organization)s, identities.identity_hash, delivered.user_id, %(as_of)s
        from delivered_people as delivered
        inner join delivered_identities as identities
            on delivered.person_hash = identities.person_hash
        where delivered.user_id is not null and not delivered.is_deleted
        on conflict (organization_id, identity_hash) do nothing
        """,
        values,
    )
    connection.execute(
        """
        update core.users
        set role = told.role
        from (
            select
                people.user_id,
                case
                    when bool_or('org_admin' = any(people.roles)) then 'org_admin'
                    when bool_or('trainer' = any(people.roles)) then 'trainer'
                    else 'learner'
                end as role
            from core.roster_people as people
            where
                people.organization_id = %(organization)s
                and people.user_id in (
                    select user_id from core.roster_people
                    where organization_id = %(organization)s and source_id = %(source)s
                )
            group by people.user_id
        ) as told
        where
            users.organization_id = %(organization)s
            and users.user_id = told.user_id
            and users.role <> told.role
        """,
        values,
    )
