"""The build: from pending hours to published numbers, step by step (docs/architecture.md, Build).

Each step is a function of its own, so that Airflow can show and retry it; `build` runs them all in one process.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from psycopg import sql

from lyceum import partitions
from lyceum.analytics import scope
from lyceum.analytics.models import Layer, ModelRun, ensure_models_prepared, run_models
from lyceum.analytics.publish import Publication, needed_partitions, publish, written_tables
from lyceum.analytics.scope import BuildScope, build_lock
from lyceum.analytics.step_seconds import timed
from lyceum.database import ConnectionTarget, connect
from lyceum.errors import LyceumError, RetryableError
from lyceum.faults import reach
from lyceum.lineage.runs import tell_publication
from lyceum.quality import reconcile, validate_suite
from lyceum.roster.rekeying import rekey_merged_users
from lyceum.sealing import SealReport, seal_due_weeks
from lyceum.settings import Settings

STEPS = ("begin", "audit_raw", "stage_two", "stage_three", "audit_candidates", "publish", "seal")
"""The steps of a build in order, as `ops.builds.step` and the Airflow tasks name them."""

Tell = Callable[[str], None]
"""Is told the name of each step as it begins."""

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What one build did. `publication` is None when there was nothing to tell: no pending hour, no day closed."""

    scope: BuildScope
    publication: Publication | None
    seal: SealReport


def build(
    target: ConnectionTarget, settings: Settings, as_of: datetime, run_id: str, tell: Tell = lambda step: None
) -> BuildReport:
    """Build, audit, publish and seal everything that is pending or due at `as_of`.

    Raises `RetryableError` when another build runs, `AuditError` when an expectation or a reconciliation fails (nothing is
    published then), `ModelError` when a model fails.
    """
    with build_lock(target):
        tell("begin")
        begun = _begin(target, settings, as_of, run_id)
        publication = None
        if has_work(target, begun.build_id):
            tell("audit_raw")
            _step(target, begun.build_id, "audit_raw", lambda: _audit_raw(target, settings, begun.build_id))
            for layer in LAYERS:
                tell(layer)
                _step(target, begun.build_id, layer, lambda layer=layer: run_models(target, settings, layer))  # type: ignore[misc]
            tell("audit_candidates")
            _step(
                target, begun.build_id, "audit_candidates", lambda: _audit_candidates(target, settings, begun.build_id)
            )
            tell("publish")
            publication = _step(target, begun.build_id, "publish", lambda: _publish(target, begun))
            _tell_publication(target, settings, begun.build_id, publication)
        else:
            _close_without_work(target, begun.build_id)
        tell("seal")
        return BuildReport(begun, publication, _seal(target, settings, as_of))


LAYERS: tuple[Layer, ...] = ("stage_two", "stage_three")


def begin(target: ConnectionTarget, settings: Settings, as_of: datetime, run_id: str) -> BuildScope:
    """Step `begin`: open a build for the hours that are pending now."""
    with build_lock(target):
        return _begin(target, settings, as_of, run_id)


def audit_raw(target: ConnectionTarget, settings: Settings, build_id: int) -> None:
    """Step `audit_raw`: the raw contract of the build's batches. Raises `AuditError`."""
    _locked_step(target, build_id, "audit_raw", lambda: _audit_raw(target, settings, build_id))


def build_layer(target: ConnectionTarget, settings: Settings, build_id: int, layer: Layer) -> ModelRun:
    """Steps `stage_two` and `stage_three`: the candidates of one layer. Raises `ModelError`."""
    return _locked_step(target, build_id, layer, lambda: run_models(target, settings, layer))


def audit_candidates(target: ConnectionTarget, settings: Settings, build_id: int) -> None:
    """Step `audit_candidates`: expectations and reconciliation of the candidates. Raises `AuditError`."""
    _locked_step(target, build_id, "audit_candidates", lambda: _audit_candidates(target, settings, build_id))


def publish_candidates(target: ConnectionTarget, settings: Settings, build_id: int) -> Publication:
    """Step `publish`: the candidates become the published version, in one transaction."""
    with connect(target) as connection:
        running = scope.running_build(connection, build_id)
    publication = _locked_step(target, build_id, "publish", lambda: _publish(target, running))
    _tell_publication(target, settings, build_id, publication)
    return publication


def finish_without_work(target: ConnectionTarget, build_id: int) -> None:
    """End a build that has nothing to tell."""
    _close_without_work(target, build_id)


def seal(target: ConnectionTarget, settings: Settings, as_of: datetime) -> SealReport:
    """Step `seal`: archive and seal the weeks that are due, drop the partitions that nobody needs any more."""
    with build_lock(target):
        return _seal(target, settings, as_of)


def has_work(target: ConnectionTarget, build_id: int) -> bool:
    """Tell whether a build has anything to tell.

    It has when it covers a pending hour or a person marked by a roster, or when a local day has closed for an organization
    since its last build.
    """
    with connect(target) as connection:
        row = connection.execute(
            """
            select
                exists (select 1 from ops.build_batches where build_id = %(build)s)
                or exists (select 1 from ops.build_users where build_id = %(build)s)
                or exists (
                    select 1
                    from build.stg_ops__organizations
                    where local_today - 1 > previous_closed_through
                )
            """,
            {"build": build_id},
        ).fetchone()
    return row == (True,)


def validate(
    target: ConnectionTarget, settings: Settings, as_of: datetime, run_id: str, tell: Tell = lambda step: None
) -> BuildScope:
    """Build and audit the candidates of everything that is pending, and publish nothing: a rehearsal of `build`.

    Raises what `build` raises. The pending hours stay pending.
    """
    with build_lock(target):
        tell("begin")
        begun = _begin(target, settings, as_of, run_id)
        build_id = begun.build_id
        tell("audit_raw")
        _step(target, build_id, "audit_raw", lambda: _audit_raw(target, settings, build_id))
        for layer in LAYERS:
            tell(layer)
            _step(target, build_id, layer, lambda layer=layer: run_models(target, settings, layer))  # type: ignore[misc]
        tell("audit_candidates")
        _step(target, build_id, "audit_candidates", lambda: _audit_candidates(target, settings, build_id))
        with connect(target) as connection:
            scope.abandon(connection, build_id, "a rehearsal: audited, not meant to be published")
        return begun


def _begin(target: ConnectionTarget, settings: Settings, as_of: datetime, run_id: str) -> BuildScope:
    ensure_models_prepared(target, settings)
    rekey_merged_users(target)
    reach("build.users_merged")
    with connect(target) as connection:
        begun = scope.begin(connection, as_of, run_id)
    if begun.events:
        _tell_planner(target)
    reach("build.begun")
    return begun


def _tell_planner(target: ConnectionTarget) -> None:
    """Give the planner statistics of what the build reads before autovacuum does.

    Without them it takes the raw events of a build for a handful and puts them into the hash of a join whose keys are all
    alike, which no limit of memory splits: 1.8 GB for seven million events.
    """
    with connect(target, autocommit=True) as connection:
        for table in ("ops.batches", "ops.build_batches", "core.verbs", "stage_one.raw_data_collection"):
            connection.execute(sql.SQL("analyze {}").format(sql.Identifier(*table.split("."))))


def _audit_raw(target: ConnectionTarget, settings: Settings, build_id: int) -> None:
    with connect(target) as connection:
        validate_suite(connection, settings, "raw_contract", build_id)
    reach("build.raw_audited")


def _audit_candidates(target: ConnectionTarget, settings: Settings, build_id: int) -> None:
    with connect(target) as connection:
        validate_suite(connection, settings, "stage_two_candidates", build_id)
        validate_suite(connection, settings, "stage_three_candidates", build_id)
        reconcile(connection, settings, build_id)
    reach("build.candidates_audited")


def _publish(target: ConnectionTarget, running: BuildScope) -> Publication:
    with connect(target, autocommit=True) as connection:
        partitions.ensure_ahead(connection, running.as_of)
        for parent_table, dates in needed_partitions(connection):
            if dates:
                partitions.ensure_for_dates(connection, parent_table, dates)
    reach("build.partitions_made")
    with connect(target) as connection:
        published = publish(connection, running.build_id)
    reach("build.published")
    return published


def _tell_publication(target: ConnectionTarget, settings: Settings, build_id: int, publication: Publication) -> None:
    tell_publication(settings.openlineage_url, target, build_id, written_tables(publication))


def _close_without_work(target: ConnectionTarget, build_id: int) -> None:
    with connect(target) as connection:
        connection.execute(
            "update ops.builds set state = 'published', step = 'begin' where build_id = %s and state = 'running'",
            (build_id,),
        )


def _seal(target: ConnectionTarget, settings: Settings, as_of: datetime) -> SealReport:
    return seal_due_weeks(target, settings, as_of)


def _locked_step(target: ConnectionTarget, build_id: int, step: str, work: Callable[[], _Result]) -> _Result:
    with build_lock(target):
        return _step(target, build_id, step, work)


def _step(target: ConnectionTarget, build_id: int, step: str, work: Callable[[], _Result]) -> _Result:
    """Run one step of a running build; a failure that retrying cannot mend ends the build."""
    with connect(target) as connection:
        scope.running_build(connection, build_id)
        scope.enter_step(connection, build_id, step)
    try:
        with timed(target, build_id, step):
            return work()
    except RetryableError:
        raise
    except LyceumError as error:
        with connect(target) as connection:
            scope.fail(connection, build_id, f"{step}: {error}")
        raise
