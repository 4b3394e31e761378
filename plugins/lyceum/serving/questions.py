"""Questions: what may be asked, which published things an answer is made of, and how it is told.

An answer is a function of who asks, of the question and of the versions of what it reads (`Versions`), and of nothing else: no
clock, no chance. That is what makes it right to keep one, and to name it by a strong ETag.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final

import msgspec

from lyceum.security.tokens.claims import TenantClaims
from lyceum.serving.figures import Freshness
from lyceum.serving.transactions import AsyncConnection, Statement


class Source(StrEnum):
    """What an answer is made of besides the organization's published version, which every answer names."""

    LEARNER_SUMMARY = "mv_learner_analytics_summary"
    """The materialized view of learners and courses, which a refresh changes."""
    ORGANIZATION_METRICS = "mv_organization_metrics"
    """The materialized view of organizations."""
    TEACHING = "teaching"
    """Whom the asking person teaches when: a roster changes that without publishing anything."""
    DIRECTORY = "directory"
    """Names: of the organization, and of the courses that the asking one may see."""
    REPORTS = "reports"
    """The reports that the asking one may read, as long as they have not expired: they come and go without a publish."""


@dataclass(frozen=True, slots=True)
class Versions:
    """Of which versions everything is that an answer reads, as one snapshot shows them."""

    data_version: int
    first_activity_on: date | None
    closed_through: date | None
    data_as_of: datetime | None
    views: str
    teaching: str
    directory: str
    reports: str

    @property
    def freshness(self) -> Freshness:
        """What people are told of it."""
        return Freshness(
            data_version=self.data_version,
            first_activity_on=self.first_activity_on,
            closed_through=self.closed_through,
            data_as_of=self.data_as_of,
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """A snapshot that is read as the tenant, and what its versions are."""

    connection: AsyncConnection
    claims: TenantClaims
    versions: Versions

    @property
    def organization_id(self) -> int:
        """The organization that every statement names literally, besides what the policies ask."""
        assert self.claims.organization_id is not None
        return self.claims.organization_id

    async def rows(self, statement: Statement) -> list[dict[str, Any]]:
        """Return the rows of a statement by column."""
        cursor = await statement.run_on(self.connection)
        assert cursor.description is not None
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in await cursor.fetchall()]


@dataclass(frozen=True, slots=True)
class Answer:
    """The body of an answer, and how many rows it tells.

    `rest` fetches the body where that takes longer than a transaction should; such an answer is never kept.
    """

    body: bytes
    row_count: int
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    rest: Callable[[], Awaitable[bytes]] | None = None

    async def whole(self) -> Answer:
        """Return the answer with its body. Raises `Problem` when it cannot be fetched."""
        return self if self.rest is None else replace(self, body=await self.rest())


@dataclass(frozen=True, slots=True)
class Question:
    """One question of one request. `parameters` are all that its answer depends on besides who asks, in plain values.

    `action` is what the audit trail calls it, where it has a name of its own there.
    """

    name: str
    parameters: Mapping[str, object]
    sources: frozenset[Source]
    answer: Callable[[Reading], Awaitable[Answer]]
    action: str | None = None


def versions_statement(question: Question, claims: TenantClaims) -> Statement:
    """Return the statement that reads the versions of everything that a question reads, in one row."""
    views = [source for source in question.sources if source in _VIEWS]
    parts = (
        _VIEW_VERSIONS if views else "''",
        _TEACHING if Source.TEACHING in question.sources else "''",
        _DIRECTORY if Source.DIRECTORY in question.sources else "''",
        _REPORTS if Source.REPORTS in question.sources else "''",
    )
    return Statement(
        _VERSIONS.format(*parts),
        {"organization_id": claims.organization_id, "user_id": claims.user_id, "views": sorted(views)},
    )


def versions_of(row: tuple[Any, ...]) -> Versions:
    """Return the versions in the row of `versions_statement`, after what `require_tenant` takes of it."""
    return Versions(*row)


def key_of(question: Question, claims: TenantClaims, subject: str, versions: Versions, form: str) -> str:
    """Return the name of an answer: everything that it depends on, hashed.

    `subject` is whom the token speaks for, so that two people of one organization and role share nothing; `form` is how answers
    look, so that another release shares nothing with this one.
    """
    parts = (
        form,
        claims.organization_id,
        claims.role,
        claims.user_id,
        sorted(claims.scopes),
        subject,
        question.name,
        sorted(question.parameters.items()),
        versions,
    )
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


_VIEWS = frozenset({Source.LEARNER_SUMMARY, Source.ORGANIZATION_METRICS})

# One row also before anything was published.
_VERSIONS = """
select
    auth.claims() is not null,
    coalesce(published.data_version, 0),
    published.first_activity_on,
    published.closed_through,
    published.data_as_of,
    {},
    {},
    {},
    {}
from (select) as asked
left join api.freshness as published on published.organization_id = %(organization_id)s
"""

_VIEW_VERSIONS = """
    coalesce((
        select string_agg(shown.view_name || ' ' || shown.version, ',' order by shown.view_name)
        from (
            select view_name, max(version) as version
            from api.view_versions
            where organization_id = %(organization_id)s and view_name = any(%(views)s)
            group by view_name
        ) as shown
    ), '')"""

_TEACHING = """
    coalesce((
        select md5(string_agg(taught.course_id || ' ' || taught.days, ',' order by taught.course_id))
        from api.enrollments as taught
        where
            taught.organization_id = %(organization_id)s
            and taught.user_id = %(user_id)s
            and taught.role = 'trainer'
    ), '')"""

_DIRECTORY = """
    coalesce((
        select md5(string_agg(courses.course_id || ' ' || coalesce(courses.title, ''), ',' order by courses.course_id))
        from api.courses as courses
        where courses.organization_id = %(organization_id)s
    ), '') || coalesce((
        select organizations.slug || ' ' || organizations.name
        from api.organizations as organizations
        where organizations.organization_id = %(organization_id)s
    ), '')"""

UNEXPIRED: Final = "status <> 'expired' and (expires_at is null or expires_at > now())"
"""Which reports are still to be read, also before the daily clean-up has looked: what is listed is what the version tells."""

_REPORTS = f"""
    coalesce((
        select md5(string_agg(shown::text, ',' order by shown.report_id))
        from api.reports as shown
        where
            shown.organization_id = %(organization_id)s
            and {UNEXPIRED}
    ), '')"""  # noqa: S608
