"""Which courses a roster's classes are: those it has named before, those that activity has made known, or new ones."""

from __future__ import annotations

from datetime import datetime

from lyceum.database import Connection


def resolve_classes(
    connection: Connection, organization_id: int, source_id: int, speaks_for: str, as_of: datetime
) -> int:
    """Give every delivered class a course and its activity IRIs; return how many classes were delivered.

    A class takes over the course that activity has made under one of its IRIs, unless another class has. From now on the
    roster speaks for the course on the days `speaks_for`. Works in the open transaction, which holds the organization's locks.
    """
    values = {"organization": organization_id, "source": source_id, "speaks_for": speaks_for, "as_of": as_of}
    # The lock under which collection makes courses.
    connection.execute("select pg_advisory_xact_lock(hashtext('lyceum.dictionaries'), %s::int)", [organization_id])
    for statement in (_KNOWN, _BY_ACTIVITY, _NEW, _ALIASES, _CLASSES, _TITLES):
        connection.execute(statement, values)
    row = connection.execute("select count(*) from delivered_classes").fetchone()
    assert row is not None
    return int(row[0])


_KNOWN = """
    update delivered_classes as delivered
    set course_id = classes.course_id
    from core.roster_classes as classes
    where
        classes.organization_id = %(organization)s
        and classes.source_id = %(source)s
        and delivered.sourced_id = classes.sourced_id
"""

_BY_ACTIVITY = """
    with

    -- Several activities of a class may lead to one course.
    matches as (
        select
            delivered.sourced_id,
            aliases.course_id,
            min(activities.rank) as rank
        from delivered_classes as delivered
        inner join delivered_activities as activities
            on delivered.sourced_id = activities.sourced_id
        inner join core.course_aliases as aliases
            on aliases.organization_id = %(organization)s and activities.activity_iri = aliases.activity_iri
        where
            delivered.course_id is null
            and not delivered.is_deleted
            and not exists (
                select 1
                from core.roster_classes as classes
                where
                    classes.organization_id = %(organization)s
                    and classes.source_id = %(source)s
                    and classes.course_id = aliases.course_id
            )
        group by
            delivered.sourced_id,
            aliases.course_id
    ),

    candidates as (
        select
            sourced_id,
            course_id,
            row_number() over (partition by sourced_id order by rank, course_id) as choice,
            row_number() over (partition by course_id order by rank, sourced_id) as claimant
        from matches
    )

    update delivered_classes as delivered
    set course_id = candidates.course_id, is_new = true
    from candidates
    where
        delivered.sourced_id = candidates.sourced_id
        and candidates.choice = 1
        and candidates.claimant = 1
"""

_NEW = """
    with

    missing as (
        select
            sourced_id,
            row_number() over (order by sourced_id) as position
        from delivered_classes
        where course_id is null and not is_deleted
    ),

    created as (
        insert into core.courses (organization_id, created_at)
        select %(organization)s, %(as_of)s from missing
        returning course_id
    ),

    numbered as (
        select
            course_id,
            row_number() over (order by course_id) as position
        from created
    )

    update delivered_classes as delivered
    set course_id = numbered.course_id, is_new = true
    from missing
    inner join numbered on missing.position = numbered.position
    where delivered.sourced_id = missing.sourced_id
"""

_ALIASES = """
    insert into core.course_aliases (organization_id, activity_iri, course_id)
    select distinct on (activities.activity_iri) %(organization)s, activities.activity_iri, delivered.course_id
    from delivered_activities as activities
    inner join delivered_classes as delivered
        on activities.sourced_id = delivered.sourced_id
    where delivered.course_id is not null
    order by activities.activity_iri, activities.rank, delivered.sourced_id
    on conflict (organization_id, activity_iri) do nothing
"""

_CLASSES = """
    insert into core.roster_classes as classes (
        organization_id, source_id, sourced_id, course_id, starts_on, rostered_days
    )
    select %(organization)s, %(source)s, sourced_id, course_id, starts_on, %(speaks_for)s::datemultirange
    from delivered_classes
    where course_id is not null
    on conflict (organization_id, source_id, sourced_id) do update
    set
        starts_on = coalesce(excluded.starts_on, classes.starts_on),
        rostered_days = classes.rostered_days + excluded.rostered_days
"""

_TITLES = """
    update core.courses
    set title = delivered.title
    from delivered_classes as delivered
    where
        courses.organization_id = %(organization)s
        and courses.course_id = delivered.course_id
        and delivered.title is not null
        and courses.title is distinct from delivered.title
"""
