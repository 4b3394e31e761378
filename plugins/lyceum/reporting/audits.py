"""What the audits of builds and of views found, as they left it in `ops`, with what their suites and queries say of themselves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from lyceum.database import Connection
from lyceum.errors import ConfigurationError
from lyceum.quality import SUITES, SuiteName, ViewSuiteName
from lyceum.quality.reconciliation import CHECKS
from lyceum.quality.suites import Expectation, read_suite
from lyceum.reporting.facts import (
    Build,
    CheckResult,
    ExpectationResult,
    Offender,
    PastBuild,
    ViewStanding,
    in_order,
)
from lyceum.settings import Settings
from lyceum.views import VIEWS, View

_Declared: TypeAlias = dict[tuple[str, str], Expectation]
_Slugs: TypeAlias = Mapping[int, str]


def build_expectations(
    connection: Connection, settings: Settings, audited: Build, slugs: _Slugs, history: Sequence[PastBuild]
) -> tuple[ExpectationResult, ...]:
    """Return the expectations of a build in the order of the flow, with how many builds of the history failed each."""
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
    return _results(rows, _declared(settings, SUITES), slugs)


def build_checks(connection: Connection, settings: Settings, audited: Build, slugs: _Slugs) -> tuple[CheckResult, ...]:
    """Return the reconciliations of a build in the order of the flow."""
    rows = connection.execute(
        """
        select check_name, organization_id, keys_checked, mismatches, sample
        from ops.reconciliation_results
        where build_id = %s
        order by check_name, organization_id
        """,
        [audited.build_id],
    ).fetchall()
    return _compared(rows, settings.queries / "reconciliation", CHECKS, slugs)


def view_standings(connection: Connection, settings: Settings, slugs: _Slugs) -> tuple[ViewStanding, ...]:
    """Return how every materialized view stands now."""
    return tuple(_standing(connection, settings, view, slugs) for view in VIEWS.values())


def _standing(connection: Connection, settings: Settings, view: View, slugs: _Slugs) -> ViewStanding:
    last = connection.execute(
        "select state, as_of, failure from ops.view_refreshes where view_name = %s order by refresh_id desc limit 1",
        [view.name],
    ).fetchone()
    audited = connection.execute(
        """
        select max(results.refresh_id)
        from ops.view_expectation_results as results
        inner join ops.view_refreshes as refreshes on results.refresh_id = refreshes.refresh_id
        where refreshes.view_name = %s
        """,
        [view.name],
    ).fetchone()
    expectations = connection.execute(
        """
        select %s, expectation, severity, is_success, observed, 0
        from ops.view_expectation_results
        where refresh_id = %s
        order by expectation
        """,
        [view.suite, audited[0] if audited else None],
    ).fetchall()
    checks = connection.execute(
        """
        select check_name, organization_id, keys_checked, mismatches, sample
        from ops.view_reconciliation_results
        where refresh_id = %s
        order by check_name, organization_id
        """,
        [audited[0] if audited else None],
    ).fetchall()
    waiting = connection.execute(
        """
        select
            count(*),
            count(*) filter (where shown.data_version is distinct from watermarks.data_version)
        from ops.organization_watermarks as watermarks
        left join lateral (
            select versions.data_version
            from ops.view_versions as versions
            where versions.organization_id = watermarks.organization_id and versions.view_name = %s
            order by versions.version desc
            limit 1
        ) as shown on true
        where watermarks.closed_through is not null
        """,
        [view.name],
    ).fetchone()
    assert waiting is not None
    state, as_of, failure = last if last is not None else (None, None, None)
    return ViewStanding(
        name=view.name,
        title=view.title,
        state=state,
        as_of=as_of,
        failure=failure,
        organizations=waiting[0],
        outdated=waiting[1],
        expectations=_results(expectations, _declared(settings, (view.suite,)), slugs),
        checks=_compared(checks, settings.queries / "reconciliation" / "views", view.checks, slugs),
    )


def _results(rows: Iterable[tuple[Any, ...]], declared: _Declared, slugs: _Slugs) -> tuple[ExpectationResult, ...]:
    results = []
    for suite, name, severity, is_success, observed, failed_builds in rows:
        says = declared.get((suite, name))
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
                why=says.why if says else "",
                remedy=says.remedy if says else "",
                failed_builds=failed_builds,
            )
        )
    order = {key: position for position, key in enumerate(declared)}
    return tuple(
        sorted(results, key=lambda found: (in_order(found.suite), order.get((found.suite, found.name), len(order))))
    )


def _declared(settings: Settings, suites: Iterable[SuiteName | ViewSuiteName]) -> _Declared:
    """Return what the suites of the checkout say of themselves; a suite that cannot be read has nothing to say."""
    declared: _Declared = {}
    for name in suites:
        try:
            suite = read_suite(settings.expectations, name)
        except ConfigurationError:
            # The build failed on it and has said so; the report must be written all the same.
            continue
        declared.update({(name, expectation.name): expectation for expectation in suite.expectations})
    return declared


def _compared(
    rows: Iterable[tuple[Any, ...]], folder: Path, order: Sequence[str], slugs: _Slugs
) -> tuple[CheckResult, ...]:
    by_check: defaultdict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for check, *found in rows:
        by_check[check].append(tuple(found))
    return tuple(
        CheckResult(
            name=check,
            compares=_opening_comment(folder / f"{check}.sql"),
            organizations=len(by_check[check]),
            keys_checked=sum(keys for _, keys, _, _ in by_check[check]),
            mismatches=sum(mismatches for _, _, mismatches, _ in by_check[check]),
            disagreeing=tuple(
                (slugs.get(organization_id, "?"), mismatches, tuple(sample))
                for organization_id, _, mismatches, sample in by_check[check]
                if mismatches
            ),
        )
        for check in sorted(by_check, key=lambda name: order.index(name) if name in order else len(order))
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
