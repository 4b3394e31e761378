"""The refresh of one materialized view: begin, build its candidate, audit it, show it.

A refresh does not keep builds out. It writes down the published versions of its organizations, builds and audits the
candidate, and makes sure that the versions are still the same where it audits: then everything it has read was of one
version. When a build has published in between, it starts over.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter

import psycopg

from lyceum.analytics.models import are_models_prepared, ensure_models_prepared, run_models
from lyceum.analytics.scope import build_lock
from lyceum.database import ConnectionTarget, connect
from lyceum.errors import LyceumError, RetryableError
from lyceum.faults import reach
from lyceum.lineage.runs import tell_refresh
from lyceum.settings import Settings
from lyceum.views import auditing, versions
from lyceum.views.catalogue import View
from lyceum.views.showing import Change, show

_log = logging.getLogger(__name__)

ATTEMPTS = 5
"""How often a refresh starts over because a build has published meanwhile."""

Tell = Callable[[str], None]
"""Is told the name of each step as it begins."""


@dataclass(frozen=True, slots=True)
class RefreshReport:
    """What one refresh did: organizations told anew, rows that the view lost and gained, and the seconds of it all."""

    view: str
    refresh_id: int
    as_of: datetime
    organizations: int
    rows_removed: int
    rows_added: int
    attempts: int
    seconds: float


def refresh(
    target: ConnectionTarget,
    settings: Settings,
    view: View,
    as_of: datetime,
    run_id: str,
    tell: Tell = lambda step: None,
) -> RefreshReport:
    """Bring a view up to the published version of every organization that has changed since it was last refreshed.

    Refreshing again changes nothing. `as_of` is recorded; what the view shows follows from what is published. Raises
    `RetryableError` when another process refreshes the view, or builds keep publishing; `AuditError` when an expectation or
    a reconciliation fails, `ModelError` when the model fails: then the view shows what it showed before.
    """
    began = perf_counter()
    with versions.refresh_lock(target, view):
        if not are_models_prepared(target, settings):
            with build_lock(target):
                ensure_models_prepared(target, settings)
        for attempt in range(1, ATTEMPTS + 1):
            tell("begin")
            with connect(target) as connection:
                begun = versions.begin(connection, view, as_of, run_id, versions.definition(settings.dbt_project))
            reach("refresh.begun")
            change = _attempt(target, settings, view, begun.refresh_id, tell) if begun.organizations else Change(0, 0)
            if change is not None:
                if begun.organizations:
                    tell_refresh(settings.openlineage_url, view.name, change.rows_added)
                return _reported(view, begun, as_of, change, attempt, round(perf_counter() - began, 3))
    raise RetryableError(
        f"Builds published {ATTEMPTS} times while the {view.title} was being refreshed; it shows what it showed before. "
        "Expected some seconds between two builds: try again when they have ended."
    )


def _reported(
    view: View, begun: versions.Begun, as_of: datetime, change: Change, attempts: int, seconds: float
) -> RefreshReport:
    report = RefreshReport(
        view=view.name,
        refresh_id=begun.refresh_id,
        as_of=as_of,
        organizations=begun.organizations,
        rows_removed=change.rows_removed,
        rows_added=change.rows_added,
        attempts=attempts,
        seconds=seconds,
    )
    _log.info(
        "view refreshed",
        extra={
            "view": view.name,
            "refresh": report.refresh_id,
            "organizations": report.organizations,
            "removed": report.rows_removed,
            "added": report.rows_added,
            "seconds": report.seconds,
        },
    )
    return report


def _attempt(target: ConnectionTarget, settings: Settings, view: View, refresh_id: int, tell: Tell) -> Change | None:
    """Build, audit and show; return None, the refresh abandoned, when a build has published meanwhile."""
    try:
        tell("build")
        run_models(target, settings, view.name)
        reach("refresh.candidate_built")
        tell("audit")
        if not _audit(target, settings, view, refresh_id):
            return None
        reach("refresh.candidate_audited")
        tell("show")
        with connect(target) as connection:
            change = show(connection, view, refresh_id)
        reach("refresh.committed")
    except (LyceumError, psycopg.Error) as error:
        # The database's own words may quote a row; its class does not.
        said = str(error) if isinstance(error, LyceumError) else f"the database refused ({type(error).__name__})"
        with connect(target) as connection:
            versions.fail(connection, refresh_id, said)
        raise
    return change


def _audit(target: ConnectionTarget, settings: Settings, view: View, refresh_id: int) -> bool:
    """Audit the candidate in one snapshot and store what was found; return False when its version is no longer published."""
    with connect(target) as connection:
        connection.execute("set transaction isolation level repeatable read")
        if versions.has_moved(connection, refresh_id):
            versions.abandon(connection, view, "a build has published meanwhile; begun again")
            return False
        found = auditing.audit(connection, settings, view)
        auditing.store(connection, refresh_id, found)
    auditing.require_passed(view, refresh_id, found)
    return True
