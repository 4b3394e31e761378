"""Validate a suite: Great Expectations judges the profile, the results are stored, a critical failure stops the build."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, TypeAlias

from lyceum.database import Connection
from lyceum.errors import AuditError
from lyceum.quality.profiles import Profile, offending_keys, profile
from lyceum.quality.running_build import audited_batches, require_running
from lyceum.quality.suites import Expectation, Severity, Suite, SuiteName, ViewSuiteName, read_suite
from lyceum.settings import Settings

_log = logging.getLogger(__name__)

_INDEX = "organization_id"
_VERDICTS = {"result_format": "BOOLEAN_ONLY"}
_NAMES = {"result_format": "COMPLETE", "unexpected_index_column_names": [_INDEX]}

_Offenders: TypeAlias = tuple[tuple[int, float | int | None], ...]


@dataclass(frozen=True, slots=True)
class ExpectationOutcome:
    """What became of one expectation: the profile's value per organization that failed it, and keys of rows at fault."""

    expectation: str
    severity: Severity
    is_success: bool
    expected: str
    found: _Offenders = ()
    keys: tuple[dict[str, Any], ...] = ()
    why: str = ""
    remedy: str = ""

    def observed(self) -> dict[str, Any]:
        """Return what `ops.expectation_results.observed` holds."""
        found = [{_INDEX: organization_id, "value": value} for organization_id, value in self.found]
        return {"expected": self.expected, "found": found, "keys": list(self.keys)}

    def sentence(self) -> str:
        """Say what was found, what was expected and what to do."""
        found = ", ".join(f"{value} for organization {organization_id}" for organization_id, value in self.found)
        keys = f" Rows at fault: {json.dumps(list(self.keys))}." if self.keys else ""
        return f"{self.expectation} is {found}; expected {self.expected}. {self.why}{keys} {self.remedy}"


@dataclass(frozen=True, slots=True)
class SuiteResult:
    """The outcome of a suite for one build, in the suite's order."""

    suite: SuiteName
    build_id: int
    outcomes: tuple[ExpectationOutcome, ...]
    seconds: float

    @property
    def failures(self) -> tuple[ExpectationOutcome, ...]:
        """The expectations that were not met."""
        return tuple(outcome for outcome in self.outcomes if not outcome.is_success)


def preload() -> None:
    """Import Great Expectations now: it takes seconds, which a long-lived process spends once."""
    _great_expectations()


def validate_suite(connection: Connection, settings: Settings, suite: SuiteName, build_id: int) -> SuiteResult:
    """Audit the running build against a suite; store every outcome in `ops.expectation_results` and commit.

    Validating again replaces the outcomes. Failed warnings are logged. Raises `AuditError` when a critical expectation
    fails, naming each with what was found, what was expected and the keys of up to 20 rows; `ConfigurationError` when a
    suite or a query cannot be read, or `build_id` is not the running build.
    """
    require_running(connection, build_id)
    result = audit(connection, settings, suite, build_id)
    _store(connection, result)
    connection.commit()
    _report(result)
    critical = [outcome for outcome in result.failures if outcome.severity == "critical"]
    if critical:
        raise AuditError(
            f"The suite {suite} failed for build {build_id}; nothing was published, the last version stays up. "
            + " ".join(outcome.sentence() for outcome in critical)
        )
    return result


def audit(connection: Connection, settings: Settings, suite: SuiteName, build_id: int) -> SuiteResult:
    """Return what a suite says of the running build. Reads only; neither stores nor raises."""
    began = perf_counter()
    with audited_batches(connection, settings):
        outcomes = judge(connection, settings, suite)
    return SuiteResult(suite, build_id, outcomes, round(perf_counter() - began, 3))


def judge(
    connection: Connection, settings: Settings, suite: SuiteName | ViewSuiteName
) -> tuple[ExpectationOutcome, ...]:
    """Return what a suite says of the candidates as they stand, in the suite's order. Reads only."""
    checked = read_suite(settings.expectations, suite)
    folder = settings.queries / "audits" / suite
    found = profile(connection, folder, checked)
    return tuple(
        _outcome(connection, folder, expectation, offenders)
        for expectation, offenders in zip(checked.expectations, _judge(checked, found), strict=True)
    )


def _outcome(
    connection: Connection, folder: Path, expectation: Expectation, offenders: _Offenders
) -> ExpectationOutcome:
    keys = offending_keys(connection, folder, expectation.relation, expectation.column) if offenders else []
    return ExpectationOutcome(
        expectation=expectation.name,
        severity=expectation.severity,
        is_success=not offenders,
        expected=_expected(expectation),
        found=offenders,
        keys=tuple(keys),
        why=expectation.why,
        remedy=expectation.remedy,
    )


def _judge(suite: Suite, found: Profile) -> list[_Offenders]:
    """Let Great Expectations judge the profile: per expectation, the organizations that fail it with their value."""
    offenders: list[_Offenders] = [()] * len(suite.expectations)
    if not found:
        return offenders
    # Naming who fails costs twice as much as telling that somebody does, so it is asked of the failing few alone.
    everyone = list(range(len(suite.expectations)))
    failing = [position for position, judged in _validate(suite, found, everyone, _VERDICTS) if not judged.success]
    for position, judged in _validate(suite, found, failing, _NAMES) if failing else ():
        column = suite.expectations[position].name
        offenders[position] = tuple(
            (int(entry[_INDEX]), _plain(entry[column])) for entry in judged.result["unexpected_index_list"]
        )
    return offenders


def _validate(
    suite: Suite, found: Profile, positions: list[int], result_format: dict[str, Any]
) -> list[tuple[int, Any]]:
    """Validate some of the expectations, by position; return Great Expectations' own result of each."""
    gx, pandas = _great_expectations()
    organizations = sorted(found)
    columns = [suite.expectations[position].name for position in positions]
    frame = pandas.DataFrame(
        {_INDEX: organizations, **{name: [found[key].get(name) for key in organizations] for name in columns}}
    )
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}
    asset = context.data_sources.add_pandas("profiles").add_dataframe_asset(suite.name)
    batch = asset.add_batch_definition_whole_dataframe("build").get_batch(batch_parameters={"dataframe": frame})
    # Great Expectations returns results in an order of its own, hence the position.
    expectations = [
        {**suite.expectations[position].configuration, "meta": {"position": position}} for position in positions
    ]
    validation = batch.validate(
        gx.ExpectationSuite(name=suite.name, expectations=expectations), result_format=result_format
    )
    broken = [judged.expectation_config.kwargs["column"] for judged in validation.results if _raised(judged)]
    if broken:
        raise AuditError(
            f"Great Expectations could not judge {', '.join(broken)} of the suite {suite.name}. "
            "Expected numbers in these columns of the profile; mend the suite or its query and build again."
        )
    return [(judged.expectation_config.meta["position"], judged) for judged in validation.results]


def _raised(judged: Any) -> bool:
    """Tell whether Great Expectations met an exception instead of judging."""
    information = judged.exception_info or {}
    if "raised_exception" in information:
        return bool(information["raised_exception"])
    return any(entry["raised_exception"] for entry in information.values())


def _plain(value: Any) -> float | int | None:
    """Return a number of pandas as one of Python's, whole where it is whole."""
    number = float(value)
    return int(number) if number.is_integer() else number


def _expected(expectation: Expectation) -> str:
    low, high = (expectation.configuration["kwargs"].get(name) for name in ("min_value", "max_value"))
    if low == high:
        return str(low)
    if low is None:
        return f"at most {high}"
    return f"at least {low}" if high is None else f"{low} to {high}"


def _store(connection: Connection, result: SuiteResult) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "delete from ops.expectation_results where build_id = %s and suite = %s", (result.build_id, result.suite)
        )
        cursor.executemany(
            """
            insert into ops.expectation_results (build_id, suite, expectation, severity, is_success, observed)
            values (%s, %s, %s, %s, %s, %s)
            """,
            [
                (
                    result.build_id,
                    result.suite,
                    outcome.expectation,
                    outcome.severity,
                    outcome.is_success,
                    json.dumps(outcome.observed()),
                )
                for outcome in result.outcomes
            ],
        )


def _report(result: SuiteResult) -> None:
    for outcome in result.failures:
        _log.log(
            {"critical": logging.ERROR, "warning": logging.WARNING, "info": logging.INFO}[outcome.severity],
            "expectation failed: %s",
            outcome.sentence(),
            extra={"build": result.build_id, "suite": result.suite, "expectation": outcome.expectation},
        )
    _log.info(
        "suite validated",
        extra={
            "build": result.build_id,
            "suite": result.suite,
            "expectations": len(result.outcomes),
            "failed": len(result.failures),
            "seconds": result.seconds,
        },
    )


def _great_expectations() -> tuple[Any, Any]:
    """Import Great Expectations and pandas, with telemetry off: the library reads the variable as it is imported."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    os.environ["DO_NOT_TRACK"] = "1"
    import great_expectations
    import pandas  # type: ignore[import-untyped]

    # At the level info it speaks of a folder that it makes and removes at once.
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    return great_expectations, pandas
