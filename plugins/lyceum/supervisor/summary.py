"""What the warehouse tells of each organization, for the end of `lyceum run`: published numbers, read as anyone would."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from lyceum.database import Connection, ConnectionTarget, connect
from lyceum.organizations import Organization, list_organizations


@dataclass(frozen=True, slots=True)
class OrganizationSummary:
    """One organization: what was collected, what is published, and its last closed day. None where nothing is published."""

    slug: str
    name: str
    time_zone: str
    events: int
    quarantined: int
    duplicates: int
    learners: int
    published_days: int
    data_version: int
    data_as_of: datetime | None
    closed_through: date | None
    learners_active: int | None
    weekly_active_learners: int | None
    enrollments_open: int | None
    learners_at_risk: int | None
    stickiness: Decimal | None
    hours_on_task: Decimal | None
    completions: int | None


@dataclass(frozen=True, slots=True)
class CourseSummary:
    """One course in the latest week that has numbers, over its learners."""

    organization: str
    course: str
    week: date
    learners_active: int
    hours_on_task: Decimal
    score_mean: Decimal | None


_COLLECTED = """
    select
        coalesce(sum(events_accepted), 0)::bigint,
        coalesce(sum(quarantined), 0)::bigint,
        coalesce(sum(duplicates), 0)::bigint
    from ops.batches
    where organization_id = %(organization)s
"""

_PUBLISHED = """
    select data_version, data_as_of, closed_through
    from ops.organization_watermarks
    where organization_id = %(organization)s
"""

_LEARNERS = """
    select count(distinct subject_id)
    from stage_three.aggregated_analytics
    where organization_id = %(organization)s and subject_type = 'learner' and period_type = 'year'
"""

_DAYS = """
    select count(distinct period_start)
    from stage_three.aggregated_analytics
    where organization_id = %(organization)s and subject_type = 'organization' and period_type = 'day'
"""

_LAST_DAY = """
    select learners_active, weekly_active_learners, enrollments_open, learners_at_risk, stickiness
    from stage_three.aggregated_analytics
    where
        organization_id = %(organization)s and subject_type = 'organization' and period_type = 'day'
        and period_start = %(day)s
"""

_ALL_DAYS = """
    select round(sum(time_on_task_seconds) / 3600.0, 1), sum(completions)::bigint
    from stage_three.aggregated_analytics
    where organization_id = %(organization)s and subject_type = 'organization' and period_type = 'day'
"""

_COURSES = """
    with latest as (
        select max(period_start) as week
        from stage_three.aggregated_analytics
        where
            organization_id = %(organization)s and subject_type = 'learner' and period_type = 'week'
            and period_start <= %(day)s
    )

    select
        aliases.activity_iri,
        numbers.period_start,
        count(*) filter (where numbers.is_active),
        round(coalesce(sum(numbers.time_on_task_seconds), 0) / 3600.0, 1),
        round(sum(numbers.score_sum) / nullif(sum(numbers.score_count), 0), 2)
    from stage_three.aggregated_analytics as numbers
    inner join latest on numbers.period_start = latest.week
    inner join lateral (
        select min(course_aliases.activity_iri) as activity_iri
        from core.course_aliases
        where
            course_aliases.organization_id = numbers.organization_id
            and course_aliases.course_id = numbers.course_id
    ) as aliases on aliases.activity_iri is not null
    where
        numbers.organization_id = %(organization)s and numbers.subject_type = 'learner'
        and numbers.period_type = 'week' and numbers.scope = 'course'
    group by aliases.activity_iri, numbers.period_start
    order by 3 desc, 1
    limit %(limit)s
"""


def summarize(target: ConnectionTarget) -> list[OrganizationSummary]:
    """Return what is collected and published of every organization, by slug."""
    with connect(target) as connection:
        return [_summarize(connection, organization) for organization in list_organizations(connection)]


def busiest_courses(target: ConnectionTarget, limit: int = 3) -> list[CourseSummary]:
    """Return the courses of every organization with most active learners in its latest week, up to `limit` each."""
    courses = []
    with connect(target) as connection:
        for organization in list_organizations(connection):
            published = _row(connection, _PUBLISHED, organization)
            if published is None or published[2] is None:
                continue
            parameters = {"organization": organization.organization_id, "day": published[2], "limit": limit}
            rows = connection.execute(_COURSES, parameters).fetchall()
            courses += [CourseSummary(organization.name, *row) for row in rows]
    return courses


def _summarize(connection: Connection, organization: Organization) -> OrganizationSummary:
    events, quarantined, duplicates = _row(connection, _COLLECTED, organization) or (0, 0, 0)
    version, as_of, closed_through = _row(connection, _PUBLISHED, organization) or (0, None, None)
    (learners,) = _row(connection, _LEARNERS, organization) or (0,)
    (days,) = _row(connection, _DAYS, organization) or (0,)
    hours, completions = _row(connection, _ALL_DAYS, organization) or (None, None)
    parameters = {"organization": organization.organization_id, "day": closed_through}
    last_day = connection.execute(_LAST_DAY, parameters).fetchone() or (None,) * 5
    active, weekly_active, enrolled, at_risk, stickiness = last_day
    return OrganizationSummary(
        slug=organization.slug,
        name=organization.name,
        time_zone=organization.time_zone,
        events=events,
        quarantined=quarantined,
        duplicates=duplicates,
        learners=learners,
        published_days=days,
        data_version=version,
        data_as_of=as_of,
        closed_through=closed_through,
        learners_active=active,
        weekly_active_learners=weekly_active,
        enrollments_open=enrolled,
        learners_at_risk=at_risk,
        stickiness=stickiness,
        hours_on_task=hours,
        completions=completions,
    )


def _row(connection: Connection, statement: str, organization: Organization) -> tuple[Any, ...] | None:
    # A literal organization lets the server skip the partitions of all others.
    return connection.execute(statement, {"organization": organization.organization_id}).fetchone()
