"""What the data-quality report tells: read in one snapshot of the database, free of anything about a person.

Keys of rows at fault are pseudonymous ids and days, as the audits stored them. Quarantined records are counted by reason;
their details, which may quote a record, stay where they are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias

from lyceum.database import Connection
from lyceum.errors import ConfigurationError
from lyceum.quality import SUITES
from lyceum.quality.reconciliation import CHECKS
from lyceum.quality.suites import Expectation, read_suite
from lyceum.settings import Settings

HISTORY_BUILDS = 40
"""Builds with work that the history shows, the reported one included."""

HISTORY_DAYS = 90
"""Days of volumes and quarantine that the charts show at most."""

Verdict: TypeAlias = Literal["published", "published_with_warnings", "not_published", "unfinished", "rehearsed"]


@dataclass(frozen=True)
class Build:
    """One build: `state` and `step` are those of `ops.builds`. `has_work` is false where nothing was pending."""

    build_id: int
    as_of: datetime
    run_id: str
    state: str
    step: str
    failure: str | None
    batches: int
    organizations: int

    @property
    def has_work(self) -> bool:
        """Whether the build got beyond its first step; one that found nothing to do ends there as published."""
        return not (self.state == "published" and self.step == "begin")

    @property
    def is_rehearsal(self) -> bool:
        """Whether it was audited without being meant to be published."""
        return self.state == "abandoned" and (self.failure or "").startswith("a rehearsal")


@dataclass(frozen=True)
class Offender:
    """What one organization's profile said where an expectation was not met."""

    organization: str
    value: float | int | None


@dataclass(frozen=True)
class ExpectationResult:
    """One expectation of one suite in the reported build. `failed_builds` counts those of the history that failed it."""

    suite: str
    name: str
    severity: str
    is_success: bool
    expected: str
    offenders: tuple[Offender, ...]
    keys: tuple[Mapping[str, Any], ...]
    why: str
    remedy: str
    failed_builds: int


@dataclass(frozen=True)
class CheckResult:
    """One reconciliation over all organizations of the reported build."""

    name: str
    compares: str
    organizations: int
    keys_checked: int
    mismatches: int
    disagreeing: tuple[tuple[str, int, tuple[Mapping[str, Any], ...]], ...]


@dataclass(frozen=True)
class SuiteTally:
    """How many expectations of a suite one build did not meet, by severity."""

    suite: str
    expectations: int
    critical: int
    warning: int
    info: int

    @property
    def worst(self) -> str:
        """The gravest severity that was not met; `met` when all were."""
        for severity in ("critical", "warning", "info"):
            if getattr(self, severity):
                return severity
        return "met"


@dataclass(frozen=True)
class PastBuild:
    """What the history shows of one build; `seconds` per step."""

    build: Build
    suites: tuple[SuiteTally, ...]
    keys_checked: int
    mismatches: int
    seconds: Mapping[str, float]

    def suite(self, name: str) -> SuiteTally | None:
        """Return the tally of one suite, None where the build did not come so far."""
        return next((tally for tally in self.suites if tally.suite == name), None)


@dataclass(frozen=True)
class DayVolume:
    """Records collected on one UTC day in one organization: read = accepted + duplicates + quarantined."""

    day: date
    organization: str
    read: int
    accepted: int
    duplicates: int
    quarantined: int


@dataclass(frozen=True)
class Refusals:
    """Refused records of one day, organization, source and reason."""

    day: date
    organization: str
    source: str
    reason: str
    records: int
    open: int
    replayed: int
    discarded: int


@dataclass(frozen=True)
class Freshness:
    """How current one organization is at the report's clock."""

    slug: str
    name: str
    time_zone: str
    data_version: int
    data_as_of: datetime | None
    closed_through: date | None
    due_through: date
    pending_hours: int
    oldest_pending: datetime | None
    last_collected_at: datetime | None

    @property
    def days_behind(self) -> int:
        """Closed local days that are not published yet; 0 for an organization without data."""
        return (self.due_through - self.closed_through).days if self.closed_through else 0

    @property
    def state(self) -> Literal["current", "waiting", "behind", "empty"]:
        """`waiting`: collected hours or a day that closed wait for the next build; `behind`: for more than a day already."""
        if self.data_as_of is None and not self.pending_hours:
            return "empty"
        if self.days_behind > 1:
            return "behind"
        return "waiting" if self.pending_hours or self.days_behind else "current"


@dataclass(frozen=True)
class QualityFacts:
    """Everything one data-quality page tells.

    `build` is the reported build, `audited` the one whose audits are shown: the same, or the last with work where the
    reported build found nothing to do. `history` is in order of time and ends with `audited`. `as_of` is the clock of the
    report: that of the build, or a later one at which somebody looks. `later_builds` tells how many builds began after the
    reported one: freshness is told as it is now.
    """

    as_of: datetime
    build: Build
    audited: Build | None
    expectations: tuple[ExpectationResult, ...]
    checks: tuple[CheckResult, ...]
    history: tuple[PastBuild, ...]
    volumes: tuple[DayVolume, ...]
    refusals: tuple[Refusals, ...]
    freshness: tuple[Freshness, ...]
    later_builds: int

    @cached_property
    def failures(self) -> tuple[ExpectationResult, ...]:
        """Expectations that were not met, the gravest first."""
        rank = {"critical": 0, "warning": 1, "info": 2}
        return tuple(
            sorted(
                (found for found in self.expectations if not found.is_success), key=lambda found: rank[found.severity]
            )
        )

    @cached_property
    def critical(self) -> tuple[ExpectationResult, ...]:
        """Failed expectations that keep a build from being published."""
        return tuple(found for found in self.failures if found.severity == "critical")

    @cached_property
    def mismatches(self) -> tuple[CheckResult, ...]:
        """Reconciliations in which keys disagree."""
        return tuple(check for check in self.checks if check.mismatches)

    @property
    def verdict(self) -> Verdict:
        """What became of the audited build."""
        judged = self.audited or self.build
        if judged.state == "published":
            return "published_with_warnings" if self.failures else "published"
        if judged.is_rehearsal:
            return "rehearsed"
        return "unfinished" if judged.state == "running" else "not_published"

    @property
    def headline(self) -> str:
        """One sentence or two: what became of the build, and why."""
        judged = self.audited or self.build
        if self.verdict == "published":
            return "Every expectation was met and the layers add up."
        if self.verdict == "published_with_warnings":
            return (
                f"The layers add up; without being critical, {_named([found.name for found in self.failures])} failed."
            )
        if self.critical or self.mismatches:
            blockers = [found.name for found in self.critical] + [check.name for check in self.mismatches]
            return f"{_named(blockers)} failed. The last published version stays up."
        if self.verdict == "rehearsed":
            return "Audited and found good; a rehearsal is not meant to be published."
        if self.verdict == "unfinished":
            return (
                f"The step {judged.step} did not come to its end; the next build takes over. The last version stays up."
            )
        if judged.state == "abandoned":
            return f"It ended in the step {judged.step} before it published; a later build took over."
        return f"The step {judged.step} ended with an error. The last published version stays up."


class NothingBuiltError(ConfigurationError):
    """There is nothing to report yet."""


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
        expectations=_expectations(connection, settings, audited, slugs, history) if audited else (),
        checks=_checks(connection, settings, audited, slugs) if audited else (),
        history=history,
        volumes=_volumes(connection, clock),
        refusals=_refusals(connection, clock),
        freshness=_freshness(connection, clock),
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


def in_order(suite: str) -> tuple[int, str]:
    """Return the sorting key of a suite: the order in which a build meets it; suites nobody knows any more come last."""
    known: tuple[str, ...] = SUITES
    return (known.index(suite) if suite in known else len(known), suite)


def _expectations(
    connection: Connection,
    settings: Settings,
    audited: Build,
    slugs: Mapping[int, str],
    history: tuple[PastBuild, ...],
) -> tuple[ExpectationResult, ...]:
    known = _known_expectations(settings)
    rows = connection.execute(
        """
        select
            results.suite,
            results.expectation,
            results.severity,
            results.is_success,
            results.observed,
            (
                select count(*)
                from ops.expectation_results as past
                where
                    past.build_id = any(%(history)s)
                    and past.suite = results.suite
                    and past.expectation = results.expectation
                    and not past.is_success
            )
        from ops.expectation_results as results
        where results.build_id = %(build)s
        order by results.suite, results.expectation
        """,
        {"build": audited.build_id, "history": [past.build.build_id for past in history]},
    ).fetchall()
    results = []
    for suite, name, severity, is_success, observed, failed_builds in rows:
        declared = known.get((suite, name))
        results.append(
            ExpectationResult(
                suite=suite,
                name=name,
                severity=severity,
                is_success=is_success,
                expected=str(observed.get("expected", "")),
                offenders=tuple(
                    Offender(slugs.get(entry["organization_id"], "?"), entry.get("value"))
                    for entry in observed.get("found", ())
                ),
                keys=tuple(observed.get("keys", ())),
                why=declared.why if declared else "",
                remedy=declared.remedy if declared else "",
                failed_builds=failed_builds,
            )
        )
    order = {key: position for position, key in enumerate(known)}
    return tuple(
        sorted(results, key=lambda found: (in_order(found.suite), order.get((found.suite, found.name), len(order))))
    )


def _known_expectations(settings: Settings) -> dict[tuple[str, str], Expectation]:
    """Return what the suites of the checkout say of themselves; a suite that cannot be read has nothing to say."""
    known: dict[tuple[str, str], Expectation] = {}
    for name in SUITES:
        try:
            suite = read_suite(settings.expectations, name)
        except ConfigurationError:
            # The build failed on it and has said so; the report must be written all the same.
            continue
        known.update({(name, expectation.name): expectation for expectation in suite.expectations})
    return known


def _checks(
    connection: Connection, settings: Settings, audited: Build, slugs: Mapping[int, str]
) -> tuple[CheckResult, ...]:
    rows = connection.execute(
        """
        select check_name, organization_id, keys_checked, mismatches, sample
        from ops.reconciliation_results
        where build_id = %s
        order by check_name, organization_id
        """,
        [audited.build_id],
    ).fetchall()
    by_check: defaultdict[str, list[tuple[int, int, int, list[dict[str, Any]]]]] = defaultdict(list)
    for check, *found in rows:
        by_check[check].append(tuple(found))
    folder = settings.queries / "reconciliation"
    in_order = sorted(by_check, key=lambda check: CHECKS.index(check) if check in CHECKS else len(CHECKS))
    return tuple(
        CheckResult(
            name=check,
            compares=_opening_comment(folder / f"{check}.sql"),
            organizations=len(found),
            keys_checked=sum(keys for _, keys, _, _ in found),
            mismatches=sum(mismatches for _, _, mismatches, _ in found),
            disagreeing=tuple(
                (slugs.get(organization_id, "?"), mismatches, tuple(sample))
                for organization_id, _, mismatches, sample in found
                if mismatches
            ),
        )
        for check, found in ((check, by_check[check]) for check in in_order)
    )


def _opening_comment(file: Path) -> str:
    """Return the sentence that a query begins with: what it compares with what."""
    if not file.is_file():
        return ""
    words = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("--"):
            break
        words.append(line.removeprefix("--").strip())
    return " ".join(words)


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


def _window(as_of: datetime) -> dict[str, datetime]:
    first = as_of.astimezone(UTC).date() - timedelta(days=HISTORY_DAYS - 1)
    return {"as_of": as_of, "since": datetime(first.year, first.month, first.day, tzinfo=UTC)}


def _number(connection: Connection, statement: Any, parameters: Mapping[str, object]) -> int:
    row = connection.execute(statement, parameters).fetchone()
    assert row is not None
    value: int | Decimal = row[0]
    return int(value)


def _named(names: list[str]) -> str:
    """Name one or two; of more, the first and how many others."""
    if len(names) <= 2:
        return " and ".join(names)
    return f"{names[0]} and {len(names) - 1} others"
