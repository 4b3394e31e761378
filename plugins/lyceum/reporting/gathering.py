"""Reads the facts of the data-quality report in one snapshot of the database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from lyceum.database import Connection
from lyceum.errors import ConfigurationError
from lyceum.reporting.audits import build_checks, build_expectations, view_standings
from lyceum.reporting.counts import read_alerts, read_freshness, read_refusals, read_volumes
from lyceum.reporting.facts import (
    HISTORY_BUILDS,
    Build,
    NothingBuiltError,
    PastBuild,
    QualityFacts,
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
        volumes=read_volumes(connection, clock),
        refusals=read_refusals(connection, clock),
        freshness=read_freshness(connection, clock),
        views=view_standings(connection, settings, slugs),
        alerts=read_alerts(connection),
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


def _number(connection: Connection, statement: Any, parameters: Mapping[str, object]) -> int:
    row = connection.execute(statement, parameters).fetchone()
    assert row is not None
    value: int | Decimal = row[0]
    return int(value)
