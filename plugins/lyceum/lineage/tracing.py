"""From a published row back to builds, batches and inputs. Everything is about organizations and days; no learner's row is read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from lyceum.analytics.publish import published_tables
from lyceum.database import Connection
from lyceum.errors import ConfigurationError
from lyceum.lineage.models import published_is_view
from lyceum.lineage.periods import Period, Span, span_of
from lyceum.organizations import Organization
from lyceum.security.rights import RELATIONS
from lyceum.views import VIEWS

PUBLISHED: dict[str, str] = {
    **{table: model for model, table in published_tables()},
    **{f"stage_three.{view.name}": view.name for view in VIEWS.values()},
}
"""The model of each table and view that people read."""

# Days before its period that a column of the row counts, too.
_LOOKS_BACK = {"stage_two.organization_analytics": 27, "stage_three.aggregated_analytics": 27}


@dataclass(frozen=True, slots=True)
class Source:
    """Where a batch came from: an input by the SHA-256 of its content, or None for what was in quarantine."""

    source: str
    name: str | None
    fingerprint: bytes | None
    byte_length: int | None
    first_seen_at: datetime | None


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch that brought events of the days. `events` count, `voided_events` did and were voided; both of these days alone."""

    batch_id: int
    first_ordinal: int
    last_ordinal: int
    collected_at: datetime
    run_id: str
    build_id: int
    first_day: date
    last_day: date
    events: int
    voided_events: int
    origin: Source


@dataclass(frozen=True, slots=True)
class Build:
    """A build that told these days last for some of the batches."""

    build_id: int
    as_of: datetime
    run_id: str
    events: int


@dataclass(frozen=True, slots=True)
class Roster:
    """A roster that decides enrollments of the days: what stock columns follow from."""

    roster_id: int
    source: str
    name: str
    fingerprint: bytes
    known_at: datetime
    run_id: str


@dataclass(frozen=True, slots=True)
class Shown:
    """The version of a view that is shown: the refresh that told it, and the published version that it was told from."""

    version: int
    refresh_id: int
    data_version: int
    data_as_of: datetime


@dataclass(frozen=True, slots=True)
class Version:
    """The organization's published version: the build that made it, with its clock."""

    data_version: int
    build_id: int | None
    data_as_of: datetime | None
    closed_through: date | None


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where the rows of a table came from that speak for `span` of an organization."""

    table: str
    model: str
    organization: str
    span: Span
    looks_back_days: int
    version: Version
    shown: Shown | None
    builds: tuple[Build, ...]
    batches: tuple[Batch, ...]
    rosters: tuple[Roster, ...]

    @property
    def inputs(self) -> tuple[tuple[Source, int], ...]:
        """The inputs of the batches with the events that count, in the order in which they were first collected."""
        events: dict[Source, int] = {}
        for batch in self.batches:
            events[batch.origin] = events.get(batch.origin, 0) + batch.events
        return tuple(events.items())


def published_relation(name: str) -> str:
    """Return the published table or view that is meant: its own name, with or without its schema, or that of a view of `api`.

    Raises `ConfigurationError` with what there is.
    """
    shown = {relation.name: relation.source for relation in RELATIONS if relation.source is not None}
    found = shown.get(name, name)
    matching = [known for known in PUBLISHED if found in (known, known.partition(".")[2])]
    if len(matching) == 1:
        return matching[0]
    raise ConfigurationError(
        f"{name} is no table of published numbers. Expected one of {', '.join(sorted(PUBLISHED))}, or a view of api that shows one."
    )


def trace(
    connection: Connection,
    table: str,
    organization: Organization,
    day: date | None = None,
    period: Period = "day",
    back_days: int = 0,
) -> Lineage:
    """Return where the rows of `table` for the period that holds `day` came from; without a day for the last closed one.

    `back_days` before the period are taken with it, for columns that look back. Views and `learner_courses` speak for everything
    up to their last day, whatever day is asked for. Raises `ConfigurationError` where nothing is published.
    """
    version, shown = _version(connection, organization), None
    if published_is_view(PUBLISHED[table]):
        last, shown = _shown(connection, table, organization)
        span = Span(None, last)
    elif table == "stage_three.learner_courses":
        span = Span(None, _last_day(version, organization))
    else:
        span = span_of(day or _last_day(version, organization), period)
        assert span.first is not None
        span = replace(span, first=span.first - timedelta(days=back_days))
    batches = _batches(connection, organization, span)
    return Lineage(
        table=table,
        model=PUBLISHED[table],
        organization=organization.slug,
        span=span,
        looks_back_days=_LOOKS_BACK.get(table, 0) if back_days == 0 and span.first is not None else 0,
        version=version,
        shown=shown,
        builds=_builds(connection, batches),
        batches=batches,
        rosters=_rosters(connection, organization, span),
    )


def _version(connection: Connection, organization: Organization) -> Version:
    row = connection.execute(
        "select data_version, build_id, data_as_of, closed_through from ops.organization_watermarks where organization_id = %s",
        [organization.organization_id],
    ).fetchone()
    if row is None:
        raise ConfigurationError(
            f"Nothing is published of {organization.slug}. Expected a build that published: run `lyceum build`."
        )
    return Version(*row)


def _last_day(version: Version, organization: Organization) -> date:
    if version.closed_through is None:
        raise ConfigurationError(
            f"No day of {organization.slug} has closed yet. Expected --day with a day that has numbers."
        )
    return version.closed_through


def _shown(connection: Connection, table: str, organization: Organization) -> tuple[date, Shown]:
    row = connection.execute(
        """
        select window_ends_on, version, refresh_id, data_version, data_as_of
        from ops.view_versions
        where organization_id = %s and view_name = %s
        order by version desc
        limit 1
        """,
        [organization.organization_id, PUBLISHED[table]],
    ).fetchone()
    if row is None:
        raise ConfigurationError(
            f"{table} shows nothing of {organization.slug} yet. Expected a refresh: run `lyceum refresh learner` or "
            "`lyceum refresh organization`."
        )
    return row[0], Shown(*row[1:])


def _batches(connection: Connection, organization: Organization, span: Span) -> tuple[Batch, ...]:
    rows = connection.execute(
        """
        select
            batches.batch_id,
            batches.first_ordinal,
            batches.last_ordinal,
            batches.collected_at,
            batches.run_id,
            max(days.build_id),
            min(days.activity_date),
            max(days.activity_date),
            sum(days.events)::bigint,
            sum(days.voided_events)::bigint,
            sources.name,
            inputs.name,
            inputs.fingerprint,
            inputs.byte_length,
            inputs.first_seen_at
        from ops.batch_days as days
        inner join ops.batches as batches
            on days.organization_id = batches.organization_id and days.batch_id = batches.batch_id
        inner join core.sources as sources
            on batches.organization_id = sources.organization_id and batches.source_id = sources.source_id
        left join ops.inputs as inputs
            on batches.organization_id = inputs.organization_id and batches.input_id = inputs.input_id
        where
            days.organization_id = %(organization)s
            and days.activity_date between coalesce(%(first)s::date, '-infinity') and %(last)s::date
        group by
            batches.organization_id,
            batches.batch_id,
            sources.organization_id,
            sources.source_id,
            inputs.organization_id,
            inputs.input_id
        order by batches.batch_id
        """,
        {"organization": organization.organization_id, "first": span.first, "last": span.last},
    ).fetchall()
    return tuple(Batch(*(*row[:10], Source(*row[10:]))) for row in rows)


def _builds(connection: Connection, batches: tuple[Batch, ...]) -> tuple[Build, ...]:
    events: dict[int, int] = {}
    for batch in batches:
        events[batch.build_id] = events.get(batch.build_id, 0) + batch.events
    rows: list[tuple[Any, ...]] = connection.execute(
        "select build_id, as_of, run_id from ops.builds where build_id = any(%s) order by build_id", [list(events)]
    ).fetchall()
    return tuple(Build(*(*row, events[row[0]])) for row in rows)


def _rosters(connection: Connection, organization: Organization, span: Span) -> tuple[Roster, ...]:
    rows = connection.execute(
        """
        select rosters.roster_id, sources.name, rosters.name, rosters.fingerprint, rosters.known_at, rosters.run_id
        from ops.rosters as rosters
        inner join core.sources as sources
            on rosters.organization_id = sources.organization_id and rosters.source_id = sources.source_id
        where
            rosters.organization_id = %(organization)s
            and rosters.speaks_for && datemultirange(daterange(%(first)s::date, %(last)s::date, '[]'))
        order by rosters.roster_id
        """,
        {"organization": organization.organization_id, "first": span.first, "last": span.last},
    ).fetchall()
    return tuple(Roster(*row) for row in rows)
