"""The guards of a build: Great Expectations suites over profiles of its rows, and the reconciliation of its layers."""

from lyceum.quality.expectations import ExpectationOutcome, SuiteResult, preload, validate_suite
from lyceum.quality.reconciliation import ReconciliationReport, reconcile
from lyceum.quality.suites import SUITES, VIEW_SUITES, Severity, SuiteName, ViewSuiteName

__all__ = [
    "SUITES",
    "VIEW_SUITES",
    "ExpectationOutcome",
    "ReconciliationReport",
    "Severity",
    "SuiteName",
    "SuiteResult",
    "ViewSuiteName",
    "preload",
    "reconcile",
    "validate_suite",
]
