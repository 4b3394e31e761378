"""Reconcile a build: what each layer says must add up to what the layer before it says, key by key."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from psycopg import sql

from lyceum.database import Connection
from lyceum.errors import AuditError
from lyceum.quality.queries import read_query
from lyceum.quality.running_build import audited_batches, replace_table, require_running
from lyceum.settings import Settings

_log = logging.getLogger(__name__)

CHECKS = (
    "batches_lost_nothing",
    "keys_exist",
    "hours_equal_states",
    "states_equal_learner_days",
    "courses_equal_all_courses",
    "learner_days_equal_organization_days",
    "spans_equal_stock",
    "learners_equal_trainer_days",
    "days_equal_learner_periods",
    "days_equal_trainer_periods",
    "days_equal_organization_periods",
)
"""The checks in the order of the flow, each a query in `sql/queries/reconciliation/` with one row per compared key."""

SAMPLE_SIZE = 20

# What several checks need of the two big tables, scanned once each.
_ROLL_UPS = (("audited_raw_rows", "raw_rows.sql"), ("audited_learner_days", "learner_day_sums.sql"))


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """What one check found in one organization; `sample` holds up to 20 keys that disagree, with both values."""

    check: str
    organization_id: int
    keys_checked: int
    mismatches: int
    sample: tuple[dict[str, Any], ...] = ()

    def sentence(self) -> str:
        """Say what was found and what was expected."""
        return (
            f"{self.check}: {self.mismatches} of {self.keys_checked} keys of organization {self.organization_id} disagree, "
            f"expected none: {json.dumps(list(self.sample))}."
        )


@dataclass(frozen=True, slots=True)
class ReconciliationReport:
    """The outcome of every check for one build. A check that had nothing to compare has no outcome."""

    build_id: int
    outcomes: tuple[CheckOutcome, ...]
    seconds: float

    @property
    def mismatches(self) -> tuple[CheckOutcome, ...]:
        """The outcomes in which keys disagree."""
        return tuple(outcome for outcome in self.outcomes if outcome.mismatches)


def reconcile(connection: Connection, settings: Settings, build_id: int) -> ReconciliationReport:
    """Compare the layers of the running build; store every outcome in `ops.reconciliation_results` and commit.

    Reconciling again replaces the outcomes. Only keys that the build touches are read. Raises `AuditError` when keys
    disagree, naming check, keys and both values; `ConfigurationError` when a query cannot be read or `build_id` is not the
    running build.
    """
    require_running(connection, build_id)
    report = compare(connection, settings, build_id)
    _store(connection, report)
    connection.commit()
    _log.info(
        "build reconciled",
        extra={
            "build": build_id,
            "keys": sum(outcome.keys_checked for outcome in report.outcomes),
            "mismatches": sum(outcome.mismatches for outcome in report.outcomes),
            "seconds": report.seconds,
        },
    )
    if report.mismatches:
        raise AuditError(
            f"Build {build_id} does not add up; nothing was published, the last version stays up. "
            + " ".join(outcome.sentence() for outcome in report.mismatches)
            + " Build again; if the same keys disagree, the layer named first has lost or doubled rows."
        )
    return report


def compare(connection: Connection, settings: Settings, build_id: int) -> ReconciliationReport:
    """Return what the checks say of the running build. Stores nothing and does not raise for a mismatch."""
    began = perf_counter()
    folder = settings.queries / "reconciliation"
    with audited_batches(connection, settings):
        for table, query in _ROLL_UPS:
            replace_table(connection, table, read_query(folder / query))
        outcomes = run_checks(connection, folder, CHECKS)
        for table, _ in _ROLL_UPS:
            connection.execute(sql.SQL("drop table {}").format(sql.Identifier("build", table)))
    return ReconciliationReport(build_id, outcomes, round(perf_counter() - began, 3))


def run_checks(connection: Connection, folder: Path, checks: Sequence[str]) -> tuple[CheckOutcome, ...]:
    """Run the checks whose queries are in `folder`, in order; one outcome per check and organization. Reads only."""
    return tuple(
        outcome for check in checks for outcome in _check(connection, check, read_query(folder / f"{check}.sql"))
    )


def _check(connection: Connection, check: str, query: sql.SQL) -> list[CheckOutcome]:
    summary = sql.SQL(
        "select organization_id, count(*), count(*) filter (where is_mismatch) from ({query}) as compared "
        "group by organization_id order by organization_id"
    )
    outcomes = []
    for organization_id, keys, mismatches in connection.execute(summary.format(query=query)).fetchall():
        sample = _sample(connection, query, organization_id) if mismatches else ()
        outcomes.append(CheckOutcome(check, organization_id, keys, mismatches, sample))
    return outcomes


def _sample(connection: Connection, query: sql.SQL, organization_id: int) -> tuple[dict[str, Any], ...]:
    statement = sql.SQL(
        "select to_jsonb(compared) - array['organization_id', 'is_mismatch'] from ({query}) as compared "
        "where is_mismatch and organization_id = {organization} limit {size}"
    )
    found = connection.execute(
        statement.format(query=query, organization=sql.Literal(organization_id), size=sql.Literal(SAMPLE_SIZE))
    ).fetchall()
    return tuple(sorted((keys for (keys,) in found), key=str))


def _store(connection: Connection, report: ReconciliationReport) -> None:
    with connection.cursor() as cursor:
        cursor.execute("delete from ops.reconciliation_results where build_id = %s", (report.build_id,))
        cursor.executemany(
            """
            insert into ops.reconciliation_results (
                build_id, organization_id, check_name, keys_checked, mismatches, sample
            )
            values (%s, %s, %s, %s, %s, %s)
            """,
            [
                (
                    report.build_id,
                    outcome.organization_id,
                    outcome.check,
                    outcome.keys_checked,
                    outcome.mismatches,
                    json.dumps(outcome.sample),
                )
                for outcome in report.outcomes
            ],
        )
