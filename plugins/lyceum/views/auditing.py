"""Audit a view's candidate: expectations on its rows, and reconciliation with the published rows of the same version."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass

from psycopg import sql

from lyceum.database import Connection
from lyceum.errors import AuditError
from lyceum.quality.expectations import ExpectationOutcome, judge
from lyceum.quality.reconciliation import CheckOutcome, run_checks
from lyceum.settings import Settings
from lyceum.views.catalogue import View

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ViewAudit:
    """What the suite and the checks of a view say of its candidate."""

    expectations: tuple[ExpectationOutcome, ...]
    checks: tuple[CheckOutcome, ...]

    def failures(self) -> list[str]:
        """Say what keeps the candidate from being shown, a sentence each: critical expectations and keys that disagree."""
        broken = [
            outcome.sentence()
            for outcome in self.expectations
            if not outcome.is_success and outcome.severity == "critical"
        ]
        return broken + [outcome.sentence() for outcome in self.checks if outcome.mismatches]


def audit(connection: Connection, settings: Settings, view: View) -> ViewAudit:
    """Return what the suite and the checks of a view say of the candidate in schema `build`. Reads only."""
    for parameter, value in (("jit", "off"), ("work_mem", "64MB")):
        connection.execute(sql.SQL("set local {} = {}").format(sql.Identifier(parameter), sql.Literal(value)))
    return ViewAudit(
        judge(connection, settings, view.suite),
        run_checks(connection, settings.queries / "reconciliation" / "views", view.checks),
    )


def store(connection: Connection, refresh_id: int, found: ViewAudit) -> None:
    """Write every outcome to `ops.view_expectation_results` and `ops.view_reconciliation_results`."""
    with connection.cursor() as cursor:
        cursor.executemany(
            """
            insert into ops.view_expectation_results (refresh_id, expectation, severity, is_success, observed)
            values (%s, %s, %s, %s, %s)
            """,
            [
                (
                    refresh_id,
                    outcome.expectation,
                    outcome.severity,
                    outcome.is_success,
                    json.dumps(outcome.observed()),
                )
                for outcome in found.expectations
            ],
        )
        cursor.executemany(
            """
            insert into ops.view_reconciliation_results (
                organization_id, refresh_id, check_name, keys_checked, mismatches, sample
            )
            values (%s, %s, %s, %s, %s, %s)
            """,
            [
                (
                    outcome.organization_id,
                    refresh_id,
                    outcome.check,
                    outcome.keys_checked,
                    outcome.mismatches,
                    json.dumps(outcome.sample),
                )
                for outcome in found.checks
            ],
        )


def require_passed(view: View, refresh_id: int, found: ViewAudit) -> None:
    """Log failed expectations; raise `AuditError` when the candidate must not be shown, naming every reason."""
    for outcome in found.expectations:
        if not outcome.is_success:
            _log.warning(
                "expectation failed: %s",
                outcome.sentence(),
                extra={"refresh": refresh_id, "suite": view.suite, "expectation": outcome.expectation},
            )
    failures = found.failures()
    if failures:
        raise AuditError(
            f"Refresh {refresh_id} of the {view.title} failed its audit; the view shows what it showed before. "
            + " ".join(failures)
            + " Refresh again; if the same rows are at fault, a build or a model is wrong."
        )
