"""Who is enrolled from when until when, as versions: what a delivery changes is a new version, what was said before stays."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from lyceum.database import Connection

# A date that every client can read stands for "no end".
NO_END = date(9999, 12, 31)


@dataclass(frozen=True, slots=True)
class EnrollmentChanges:
    """Versions written, and delivered rows that neither learn nor teach."""

    changed: int
    ignored: int


def apply_enrollments(
    connection: Connection,
    organization_id: int,
    source_id: int,
    roster_id: int,
    as_of: datetime,
    known_on: date,
    speaks_for: str,
    *,
    is_bulk: bool,
) -> EnrollmentChanges:
    """Take over the delivered enrollments and write a version for each person's part in a course that has changed.

    `known_on` is the local day of the delivery: on it ends what is deleted, or what a full delivery leaves out. Rows that
    refer to a class or a person that no delivery has named go to `refused_rows`. The changed keys are left in the temporary
    table `changed_enrollments`. Works in the open transaction, which holds the organization's locks.
    """
    values = {
        "organization": organization_id,
        "source": source_id,
        "roster": roster_id,
        "as_of": as_of,
        "known_on": known_on,
        "no_end": NO_END,
        "speaks_for": speaks_for,
    }
    ignored = connection.execute("delete from delivered_enrollments where role is null and not is_deleted").rowcount
    connection.execute(_REFUSE, values)
    connection.execute(_UPSERT, values)
    connection.execute(_END_DELETED, values)
    if is_bulk:
        connection.execute(_END_ABSENT, values)
    connection.execute(_CHANGED, values)
    changed = connection.execute(_WRITE_VERSIONS, values).rowcount
    return EnrollmentChanges(changed, ignored)


_REFUSE = """
    with

    resolved as (
        select
            delivered.ctid as place,
            delivered.line,
            classes.course_id is null as lacks_class,
            people.user_id is null as lacks_person
        from delivered_enrollments as delivered
        left join core.roster_classes as classes
            on
                classes.organization_id = %(organization)s
                and classes.source_id = %(source)s
                and delivered.class_sourced_id = classes.sourced_id
        left join core.roster_people as people
            on
                people.organization_id = %(organization)s
                and people.source_id = %(source)s
                and delivered.person_hash = people.person_hash
        where not delivered.is_deleted
    ),

    refused as (
        delete from delivered_enrollments as delivered
        using resolved
        where
            delivered.ctid = resolved.place
            and (resolved.lacks_class or resolved.lacks_person)
        returning resolved.line, resolved.lacks_class
    )

    insert into refused_rows (file_name, line, reason, detail)
    select
        'enrollments.csv',
        line,
        'unknown_reference',
        case
            when lacks_class then 'classSourcedId names a class that no delivery of this source has told'
            else 'userSourcedId names a user that no delivery of this source has told'
        end
    from refused
"""

_UPSERT = """
    insert into core.roster_enrollments as records (
        organization_id, source_id, record_hash, course_id, user_id, role, first_named_on, valid_days, is_current
    )
    select
        %(organization)s,
        %(source)s,
        delivered.record_hash,
        classes.course_id,
        people.user_id,
        delivered.role,
        coalesce(before.first_named_on, %(known_on)s),
        case
            when days.begin_on < days.end_on then datemultirange(daterange(days.begin_on, days.end_on))
            else '{}'::datemultirange
        end,
        true
    from delivered_enrollments as delivered
    inner join core.roster_classes as classes
        on
            classes.organization_id = %(organization)s
            and classes.source_id = %(source)s
            and delivered.class_sourced_id = classes.sourced_id
    inner join core.roster_people as people
        on
            people.organization_id = %(organization)s
            and people.source_id = %(source)s
            and delivered.person_hash = people.person_hash
    left join core.roster_enrollments as before
        on
            before.organization_id = %(organization)s
            and before.source_id = %(source)s
            and delivered.record_hash = before.record_hash
    cross join lateral (
        select
            coalesce(delivered.begin_on, classes.starts_on, before.first_named_on, %(known_on)s) as begin_on,
            coalesce(delivered.end_on, %(no_end)s) as end_on
    ) as days
    where not delivered.is_deleted
    on conflict (organization_id, source_id, record_hash) do update
    set
        course_id = excluded.course_id,
        user_id = excluded.user_id,
        role = excluded.role,
        valid_days = excluded.valid_days,
        is_current = true
"""

_END_DELETED = """
    update core.roster_enrollments as records
    set
        valid_days = records.valid_days * datemultirange(daterange(null, %(known_on)s)),
        is_current = false
    from delivered_enrollments as delivered
    where
        records.organization_id = %(organization)s
        and records.source_id = %(source)s
        and records.record_hash = delivered.record_hash
        and delivered.is_deleted
        and records.is_current
"""

_END_ABSENT = """
    update core.roster_enrollments as records
    set
        valid_days = records.valid_days * datemultirange(daterange(null, %(known_on)s)),
        is_current = false
    where
        records.organization_id = %(organization)s
        and records.source_id = %(source)s
        and records.is_current
        and not exists (
            select 1
            from delivered_enrollments as delivered
            where delivered.record_hash = records.record_hash
        )
"""

_CHANGED = """
    create temporary table changed_enrollments on commit drop as
    with

    current_days as (
        select
            course_id,
            user_id,
            role,
            range_agg(valid_days) as valid_days
        from core.roster_enrollments
        where organization_id = %(organization)s and source_id = %(source)s
        group by
            course_id,
            user_id,
            role
    ),

    last_versions as (
        select distinct on (course_id, user_id, role)
            course_id,
            user_id,
            role,
            valid_days,
            speaks_for
        from core.enrollments
        where organization_id = %(organization)s and source_id = %(source)s
        order by
            course_id,
            user_id,
            role,
            known_at desc,
            roster_id desc
    )

    select
        course_id,
        user_id,
        role,
        coalesce(current_days.valid_days, '{}'::datemultirange) as valid_days
    from current_days
    full join last_versions using (course_id, user_id, role)
    where
        coalesce(current_days.valid_days, '{}'::datemultirange)
        <> coalesce(last_versions.valid_days, '{}'::datemultirange)
        -- What is unchanged is said anew for days that the last version does not speak for.
        or not %(speaks_for)s::datemultirange <@ last_versions.speaks_for
"""

_WRITE_VERSIONS = """
    insert into core.enrollments (
        organization_id, source_id, course_id, user_id, role, roster_id, known_at, valid_days, speaks_for
    )
    select
        %(organization)s, %(source)s, course_id, user_id, role, %(roster)s, %(as_of)s, valid_days,
        %(speaks_for)s::datemultirange
    from changed_enrollments
"""
