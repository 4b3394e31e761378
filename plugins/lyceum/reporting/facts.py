"""What the data-quality report tells, free of anything about a person; `gathering` reads it.

Keys of rows at fault are pseudonymous ids and days, as the audits stored them. Quarantined records are counted by reason;
their details, which may quote a record, stay where they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import Any, Literal, TypeAlias

from lyceum.errors import ConfigurationError
from lyceum.quality import SUITES

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
    open_weeks: int
    oldest_open_week: date | None

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
class ViewStanding:
    """How one materialized view stands: its last refresh, the audits of the last that was audited, and who waits for it.

    `state` is that of `ops.view_refreshes`; None before the first refresh. `outdated` of the `organizations` with published
    data have a version that the view does not show yet.
    """

    name: str
    title: str
    state: str | None
    as_of: datetime | None
    failure: str | None
    organizations: int
    outdated: int
    expectations: tuple[ExpectationResult, ...]
    checks: tuple[CheckResult, ...]

    @property
    def unmet(self) -> tuple[ExpectationResult, ...]:
        """The expectations that its candidate did not meet."""
        return tuple(found for found in self.expectations if not found.is_success)

    @property
    def mismatches(self) -> tuple[CheckResult, ...]:
        """The reconciliations in which its candidate disagreed with what is published."""
        return tuple(check for check in self.checks if check.mismatches)


@dataclass(frozen=True)
class OpenAlert:
    """What somebody should look at and nobody has resolved yet."""

    kind: str
    subject: str
    message: str
    raised_at: datetime


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
    views: tuple[ViewStanding, ...]
    alerts: tuple[OpenAlert, ...]
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


def in_order(suite: str) -> tuple[int, str]:
    """Return the sorting key of a suite: the order in which a build meets it; suites nobody knows any more come last."""
    known: tuple[str, ...] = SUITES
    return (known.index(suite) if suite in known else len(known), suite)


def _named(names: list[str]) -> str:
    """Name one or two; of more, the first and how many others."""
    if len(names) <= 2:
        return " and ".join(names)
    return f"{names[0]} and {len(names) - 1} others"
