"""Reads the facts of the data-quality report in one snapshot of the database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from lyceum.database import Connection
from lyceum.errors import ConfigurationError
from lyceum.reporting.audits import build_checks, build_expectations, view_standings
from lyceum.reporting.facts import (
    HISTORY_BUILDS,
    HISTORY_DAYS,
    Build,
    DayVolume,
    Freshness,
    NothingBuiltError,
    OpenAlert,
    PastBuild,
    QualityFacts,
    Refusals,
    SuiteTally,
    in_order,
)
from lyceum.settings import Settings


def gather(
    connection: Connection, settings: Settings, build_id: int | None = None, as_of: datetime | None = None
) -> QualityFacts:
    """Read everything about a build, or about the latest, in one read-only snapshot; `connection` is in no transaction.

    `as_of` is the clock of the report, by default that of the build. Raises `ConfigurationError` when there is no such build.
    """
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read, read only")
        return read_facts(connection, settings, build_id, as_of)


def read_facts(
    connection: Connection, settings: Settings, build_id: int | None = None, as_of: datetime | None = None
) -> QualityFacts:
    """Do what `gather` does in the caller's transaction."""
    build = _build(connection, build_id)
    clock = as_of or build.as_of
    audited = build if build.has_work else _last_with_work(connection, build)
    slugs: dict[int, str] = dict(connection.execute("select organization_id, slug from core.organizations").fetchall())
    history = _history(connection, build)
    return QualityFacts(
        as_of=clock,
        build=build,
        audited=audited,
        expectations=build_expectations(connection, settings, audited, slugs, history) if audited else (),
        checks=build_checks(connection, settings, audited, slugs) if audited else (),
        history=history,
        volumes=_volumes(connection, clock),
        refusals=_refusals(connection, clock),
        freshness=_freshness(connection, clock),
        views=view_standings(connection, settings, slugs),
        alerts=_alerts(connection),
        later_builds=_number(
            connection, "select count(*) from ops.builds where build_id > %(build)s", {"build": build.build_id}
        ),
    )


_BUILDS = """
    select
        builds.build_id,
        builds.as_of,
        builds.run_id,
        builds.state,
        builds.step,
        builds.failure,
        coalesce(scope.batches, 0),
        coalesce(scope.organizations, 0)
    from ops.builds as builds
    left join lateral (
        select
            count(*) as batches,
            count(distinct organization_id) as organizations
        from ops.build_batches
        where build_batches.build_id = builds.build_id
    ) as scope on true
"""


def _build(connection: Connection, build_id: int | None) -> Build:
    row = connection.execute(
        _BUILDS
        + "where %(build)s::bigint is null or builds.build_id = %(build)s order by builds.build_id desc limit 1",
        {"build": build_id},
    ).fetchone()
    if row is None:
        if build_id is None:
            raise NothingBuiltError("Nothing was ever built here, so there is nothing to report. Run 'lyceum build'.")
        raise ConfigurationError(
            f"There is no build {build_id}. Leave --build out for the latest, or look at 'lyceum status' for its number."
        )
    return Build(*row)


def _last_with_work(connection: Connection, build: Build) -> Build | None:
    row = connection.execute(
        _BUILDS
        + """
        where builds.build_id < %(build)s and not (builds.state = 'published' and builds.step = 'begin')
        order by builds.build_id desc
        limit 1
        """,
        {"build": build.build_id},
    ).fetchone()
    return None if row is None else Build(*row)


def _history(connection: Connection, build: Build) -> tuple[PastBuild, ...]:
    rows = connection.execute(
        _BUILDS
        + """
        where builds.build_id <= %(build)s and not (builds.state = 'published' and builds.step = 'begin')
        order by builds.build_id desc
        limit %(limit)s
        """,
        {"build": build.build_id, "limit": HISTORY_BUILDS},
    ).fetchall()
    builds = [Build(*row) for row in reversed(rows)]
    ids = [past.build_id for past in builds]
    tallies: defaultdict[int, list[SuiteTally]] = defaultdict(list)
    for past_id, *tally in connection.execute(
        """
        select
            build_id,
            suite,
            count(*),
            count(*) filter (where severity = 'critical' and not is_success),
            count(*) filter (where severity = 'warning' and not is_success),
            count(*) filter (where severity = 'info' and not is_success)
        from ops.expectation_results
        where build_id = any(%s)
        group by build_id, suite
        order by build_id
        """,
        [ids],
    ).fetchall():
        tallies[past_id].append(SuiteTally(*tally))
    compared = {
        past_id: (int(keys), int(mismatches))
        for past_id, keys, mismatches in connection.execute(
            """
            select build_id, sum(keys_checked), sum(mismatches)
            from ops.reconciliation_results
            where build_id = any(%s)
            group by build_id
            """,
            [ids],
        ).fetchall()
    }
    seconds: defaultdict[int, dict[str, float]] = defaultdict(dict)
    for past_id, step, taken in connection.execute(
        "select build_id, step, seconds from ops.build_steps where build_id = any(%s)", [ids]
    ).fetchall():
        seconds[past_id][step] = float(taken)
    return tuple(
        PastBuild(
            past,
            tuple(sorted(tallies[past.build_id], key=lambda tally: in_order(tally.suite))),
            *compared.get(past.build_id, (0, 0)),
            seconds[past.build_id],
        )
        for past in builds
    )


def _volumes(connection: Connection, as_of: datetime) -> tuple[DayVolume, ...]:
    rows = connection.execute(
        """
        select
            (batches.collected_at at time zone 'UTC')::date,
            organizations.slug,
            sum(batches.records_read)::bigint,
            sum(batches.events_accepted)::bigint,
            sum(batches.duplicates)::bigint,
            sum(batches.quarantined)::bigint
        from ops.batches as batches
        inner join core.organizations as organizations on batches.organization_id = organizations.organization_id
        where batches.collected_at >= %(since)s and batches.collected_at <= %(as_of)s
        group by 1, 2
        order by 1, 2
        """,
        _window(as_of),
    ).fetchall()
    return tuple(DayVolume(*row) for row in rows)


def _refusals(connection: Connection, as_of: datetime) -> tuple[Refusals, ...]:
    rows = connection.execute(
        """
        with

        refused as (

            select organization_id, source_id, reason, quarantined_at, resolution
            from stage_one.quarantine
            where quarantined_at >= %(since)s and quarantined_at <= %(as_of)s
            union all
            select rows.organization_id, rosters.source_id, rows.reason, rows.quarantined_at, null
            from stage_one.roster_quarantine as rows
            inner join ops.rosters as rosters
                on rows.organization_id = rosters.organization_id
                and rows.roster_id = rosters.roster_id
            where rows.quarantined_at >= %(since)s and rows.quarantined_at <= %(as_of)s

        )

        select
            (refused.quarantined_at at time zone 'UTC')::date,
            organizations.slug,
            sources.name,
            refused.reason,
            count(*),
            count(*) filter (where refused.resolution is null),
            count(*) filter (where refused.resolution = 'replayed'),
            count(*) filter (where refused.resolution = 'discarded')
        from refused
        inner join core.organizations as organizations on refused.organization_id = organizations.organization_id
        inner join core.sources as sources
            on refused.organization_id = sources.organization_id
            and refused.source_id = sources.source_id
        group by 1, 2, 3, 4
        order by 1, 2, 3, 4
        """,
        _window(as_of),
    ).fetchall()
    return tuple(Refusals(*row) for row in rows)


def _freshness(connection: Connection, as_of: datetime) -> tuple[Freshness, ...]:
    rows = connection.execute(
        """
        select
            organizations.slug,
            organizations.name,
            zones.time_zone,
            coalesce(watermarks.data_version, 0),
            watermarks.data_as_of,
            watermarks.closed_through,
            (%(as_of)s at time zone zones.time_zone)::date - 1,
            coalesce(pending.hours, 0),
            pending.oldest,
            (
                select max(batches.collected_at)
                from ops.batches as batches
                where batches.organization_id = organizations.organization_id and batches.collected_at <= %(as_of)s
            )
        from core.organizations as organizations
        cross join lateral (
            select candidates.time_zone
            from core.organization_time_zones as candidates
            where candidates.organization_id = organizations.organization_id
            -- The zone in force; for a clock before the first, the first.
            order by
                candidates.effective_from <= %(as_of)s desc,
                case when candidates.effective_from <= %(as_of)s then candidates.effective_from end desc,
                candidates.effective_from
            limit 1
        ) as zones
        left join ops.organization_watermarks as watermarks
            on organizations.organization_id = watermarks.organization_id
        left join lateral (
            select count(*) as hours, min(hours.collected_hour) as oldest
            from ops.pending_hours as hours
            where hours.organization_id = organizations.organization_id
        ) as pending on true
        order by organizations.slug
        """,
        {"as_of": as_of},
    ).fetchall()
    order = {"behind": 0, "waiting": 1, "current": 2, "empty": 3}
    found = [Freshness(*row) for row in rows]
    return tuple(sorted(found, key=lambda entry: (order[entry.state], -entry.days_behind, entry.slug)))


def _alerts(connection: Connection) -> tuple[OpenAlert, ...]:
    rows = connection.execute(
        "select kind, subject, message, raised_at from ops.alerts where resolved_at is null order by raised_at desc limit 50"
    ).fetchall()
    return tuple(OpenAlert(*row) for row in rows)


def _window(as_of: datetime) -> dict[str, datetime]:
    first = as_of.astimezone(UTC).date() - timedelta(days=HISTORY_DAYS - 1)
    return {"as_of": as_of, "since": datetime(first.year, first.month, first.day, tzinfo=UTC)}


def _number(connection: Connection, statement: Any, parameters: Mapping[str, object]) -> int:
    row = connection.execute(statement, parameters).fetchone()
    assert row is not None
    value: int | Decimal = row[0]
    return int(value)
