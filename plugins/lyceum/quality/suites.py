"""The expectation suites as they stand in `expectations/`: plain JSON in Great Expectations' own form.

An expectation speaks about one column of the suite's profile, `<relation>.<column>`. The relation is a query beside it in
`sql/queries/audits/<suite>/`: `<relation>.rows.sql` flags rows (the profile counts the flags), `<relation>.measures.sql`
gives numbers. `severity` decides what a failure does, `meta.why` and `meta.remedy` tell a person.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from lyceum.errors import ConfigurationError

SuiteName = Literal["raw_contract", "stage_two_candidates", "stage_three_candidates"]
SUITES: tuple[SuiteName, ...] = get_args(SuiteName)
"""The suites of a build."""

ViewSuiteName = Literal["learner_summary_candidates", "organization_metrics_candidates"]
VIEW_SUITES: tuple[ViewSuiteName, ...] = get_args(ViewSuiteName)
"""The suites of the refreshes of the materialized views."""

Severity: TypeAlias = Literal["critical", "warning", "info"]
"""critical: nothing is published. warning: published, stored and logged. info: stored."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """One expectation: `relation.column` is what it expects something of, `configuration` is Great Expectations' own."""

    relation: str
    column: str
    severity: Severity
    why: str
    remedy: str
    configuration: dict[str, Any]

    @property
    def name(self) -> str:
        """The column of the profile, which is what results are stored under."""
        return f"{self.relation}.{self.column}"


@dataclass(frozen=True, slots=True)
class Suite:
    """One guarded edge."""

    name: SuiteName | ViewSuiteName
    expectations: tuple[Expectation, ...]

    @property
    def relations(self) -> tuple[str, ...]:
        """The relations that the expectations speak about, in order of appearance."""
        return tuple(dict.fromkeys(expectation.relation for expectation in self.expectations))

    def columns(self, relation: str) -> tuple[str, ...]:
        """The columns of one relation that are expected something of."""
        return tuple(expectation.column for expectation in self.expectations if expectation.relation == relation)


def read_suite(folder: Path, name: SuiteName | ViewSuiteName) -> Suite:
    """Read a suite from `<folder>/<name>.json`.

    Raises `ConfigurationError` when the file is absent, is no JSON, or holds an expectation without column, severity, reason
    or remedy, or two for one column.
    """
    file = folder / f"{name}.json"
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"The expectation suite {name} cannot be read: {error}. Expected the JSON file of the checkout."
        ) from None
    expectations = tuple(
        _expectation(name, index, entry) for index, entry in enumerate(content["expectations"], start=1)
    )
    names = [expectation.name for expectation in expectations]
    twice = sorted({found for found in names if names.count(found) > 1})
    if twice:
        raise ConfigurationError(f"The suite {name} expects something of {', '.join(twice)} twice. Expected one each.")
    return Suite(name, expectations)


def _expectation(suite: SuiteName | ViewSuiteName, index: int, entry: dict[str, Any]) -> Expectation:
    relation, _, column = str(entry.get("kwargs", {}).get("column", "")).partition(".")
    severity, meta = entry.get("severity", ""), entry.get("meta", {})
    missing = [member for member in ("why", "remedy") if not meta.get(member)]
    if not relation or not column or severity not in get_args(Severity) or missing:
        raise ConfigurationError(
            f"Expectation {index} of the suite {suite} is incomplete. Expected kwargs.column as relation.column, "
            f"a severity ({', '.join(get_args(Severity))}), meta.why and meta.remedy."
        )
    return Expectation(relation, column, severity, meta["why"], meta["remedy"], entry)
