"""The tasks of `build_analytics`: each runs one step of the build."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import TypedDict

from airflow.sdk.exceptions import AirflowSkipException

from lyceum.orchestration.task_context import as_of, run_name, settings
from lyceum.orchestration.task_policy import library_task

_log = logging.getLogger(__name__)


class BegunBuild(TypedDict):
    """What the later steps are told: identifiers and counts."""

    build_id: int
    as_of: str
    has_work: bool
    pending_hours: int
    batches: int
    events: int


@library_task
def begin() -> BegunBuild:
    """Open a build for the hours that are pending now; a dead build is abandoned, a build without work is ended."""
    from lyceum.analytics import build
    from lyceum.database import target

    where = settings()
    warehouse = target(where)
    begun = build.begin(warehouse, where, as_of(), run_name())
    has_work = build.has_work(warehouse, begun.build_id)
    if not has_work:
        build.finish_without_work(warehouse, begun.build_id)
    return BegunBuild(
        build_id=begun.build_id,
        as_of=begun.as_of.isoformat(),
        has_work=has_work,
        pending_hours=begun.pending_hours,
        batches=begun.batches,
        events=begun.events,
    )


@library_task
def audit_raw(begun: BegunBuild) -> None:
    """Audit the build's raw rows. Skipped, with the steps after it, when the build has no work."""
    from lyceum.analytics import build
    from lyceum.database import target

    if not begun["has_work"]:
        raise AirflowSkipException("Nothing is pending and no day has closed.")
    where = settings()
    build.audit_raw(target(where), where, begun["build_id"])


@library_task
def stage_two(begun: BegunBuild) -> dict[str, float]:
    """Build the candidates of stage two; return the seconds of each model."""
    return _build_layer(begun, "stage_two")


@library_task
def stage_three(begun: BegunBuild) -> dict[str, float]:
    """Build the candidates of stage three; return the seconds of each model."""
    return _build_layer(begun, "stage_three")


@library_task
def audit_candidates(begun: BegunBuild) -> None:
    """Audit the candidates and reconcile them with what they were built from."""
    from lyceum.analytics import build
    from lyceum.database import target

    where = settings()
    build.audit_candidates(target(where), where, begun["build_id"])


@library_task
def publish(begun: BegunBuild) -> dict[str, int]:
    """Publish the candidates in one transaction; return the rows written per table."""
    from lyceum.analytics import build
    from lyceum.database import target

    where = settings()
    published = build.publish_candidates(target(where), where, begun["build_id"])
    return dict(published.rows)


@library_task
def seal(begun: BegunBuild) -> None:
    """Seal the weeks that are due as of the build, and drop the partitions that nobody needs."""
    from lyceum.analytics import build
    from lyceum.database import target

    where = settings()
    _log.info("%s", build.seal(target(where), where, datetime.fromisoformat(begun["as_of"])))


def _build_layer(begun: BegunBuild, layer: str) -> dict[str, float]:
    from typing import cast

    from lyceum.analytics import build
    from lyceum.analytics.models import Layer
    from lyceum.database import target

    where = settings()
    built = build.build_layer(target(where), where, begun["build_id"], cast("Layer", layer))
    for model, seconds in built.seconds:
        _log.info("%s built in %.2f s", model, seconds)
    return {model: round(seconds, 3) for model, seconds in built.seconds}
