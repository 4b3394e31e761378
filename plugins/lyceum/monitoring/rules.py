"""What of the measurements somebody should look at. Pure: samples in, findings out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from lyceum.alerts import Kind
from lyceum.monitoring.measuring import Sample

HOUR = 3600.0

BUILD_BEHIND_SECONDS = 2 * HOUR
VIEW_STALE_SECONDS = {"mv_learner_analytics_summary": 8 * HOUR, "mv_organization_metrics": 12 * HOUR}
"""Twice the time between two refreshes."""
REFUSED_RATIO, REFUSED_AT_LEAST = 0.05, 100
BACKUP_OLD_SECONDS = 48 * HOUR
UNSEALED_SECONDS = 0.25 * HOUR
LOCK_WAIT_SECONDS = 60.0
CONNECTIONS_RATIO = 0.9
DISK_FREE_RATIO, DISK_FULL_DAYS = 0.05, 7.0


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that should not be: what was found, what was expected, and what to do, in one message."""

    kind: Kind
    subject: str
    message: str


_Found: TypeAlias = tuple[str, str]
"""Subject and message."""


@dataclass(frozen=True, slots=True)
class _Measured:
    """Samples by name."""

    by_name: dict[str, list[Sample]]
    days_until_full: float | None

    def all(self, name: str) -> Iterator[tuple[dict[str, str], float]]:
        for sample in self.by_name.get(name, ()):
            yield dict(sample.labels), sample.value

    def one(self, name: str) -> float | None:
        return next((value for _, value in self.all(name)), None)


def judge(samples: Iterable[Sample], days_until_full: float | None = None) -> tuple[Finding, ...]:
    """Return what somebody should look at, by kind and subject. What could not be measured is no finding but its own."""
    by_name: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_name[sample.name].append(sample)
    measured = _Measured(by_name, days_until_full)
    found = [Finding(kind, subject, message) for kind, rule in _RULES.items() for subject, message in rule(measured)]
    return tuple(sorted(found, key=lambda finding: (finding.kind, finding.subject)))


def _build_behind(measured: _Measured) -> Iterator[_Found]:
    for labels, age in measured.all("lyceum_oldest_pending_seconds"):
        # An hour is pending from its beginning.
        if age > BUILD_BEHIND_SECONDS + HOUR:
            yield (
                labels["organization"],
                f"Records of {labels['organization']} have waited {_hours(age)} to be built. Expected a build within "
                f"{_hours(BUILD_BEHIND_SECONDS)} of the hour: look at the last runs of build_analytics and at `lyceum status`.",
            )


def _view_stale(measured: _Measured) -> Iterator[_Found]:
    for labels, age in measured.all("lyceum_view_age_seconds"):
        most = VIEW_STALE_SECONDS.get(labels["view"].rpartition(".")[2])
        if most is not None and age > most:
            yield (
                labels["view"],
                f"{labels['view']} was refreshed {_hours(age)} ago. Expected at most {_hours(most)}: look at the last runs of "
                "the DAGs refresh_learner_summary and refresh_organization_metrics.",
            )


def _records_refused(measured: _Measured) -> Iterator[_Found]:
    records: dict[str, dict[str, float]] = defaultdict(dict)
    for labels, count in measured.all("lyceum_records"):
        records[labels["organization"]][labels["outcome"]] = count
    for organization, outcomes in records.items():
        total, refused = sum(outcomes.values()), outcomes.get("quarantined", 0.0)
        if refused >= REFUSED_AT_LEAST and refused > REFUSED_RATIO * total:
            yield (
                organization,
                f"{refused:,.0f} of {total:,.0f} records of {organization} were refused in 24 hours. Expected less than "
                f"{REFUSED_RATIO:.0%}: `lyceum quarantine list --organization {organization}` says why.",
            )


def _expectation_failed(measured: _Measured) -> Iterator[_Found]:
    for labels, count in measured.all("lyceum_expectations_failed"):
        if count and labels["severity"] == "critical":
            yield (
                labels["suite"],
                f"The last build did not meet {count:,.0f} critical expectations of {labels['suite']}, so it published nothing. "
                "Expected all of them to be met: the data-quality report names them, with the keys of rows at fault.",
            )


def _reconciliation_failed(measured: _Measured) -> Iterator[_Found]:
    for labels, keys in measured.all("lyceum_reconciliation_mismatches"):
        if keys:
            yield (
                labels["check"],
                f"The layers of the last build disagree on {keys:,.0f} keys ({labels['check']}), so it published nothing. Expected "
                "the same sums in each: the data-quality report shows them side by side.",
            )


def _backup_old(measured: _Measured) -> Iterator[_Found]:
    for labels, age in measured.all("lyceum_backup_age_seconds"):
        if labels["kind"] == "backup" and age > BACKUP_OLD_SECONDS:
            yield (
                "backup_warehouse",
                f"The last backup that succeeded is {_hours(age)} old. Expected one every night: look at the last run of "
                "backup_warehouse, then run `lyceum backup create`.",
            )


def _log_not_archived(measured: _Measured) -> Iterator[_Found]:
    if measured.one("lyceum_wal_archive_failing"):
        yield (
            "server",
            "The server cannot archive its log, keeps it, and will fill its disk. Expected room in the backup folder and the "
            "right to write there: see to it; the server tries again by itself.",
        )


def _trail_unsealed(measured: _Measured) -> Iterator[_Found]:
    rows, age = measured.one("lyceum_unsealed_audit_rows"), measured.one("lyceum_audit_sealed_age_seconds")
    if rows and age is not None and age > UNSEALED_SECONDS:
        yield (
            "audit",
            f"{rows:,.0f} rows of the audit trail wait to be sealed, and the last batch is {_hours(age)} old. Expected one every "
            "minute: look at seal_audit_trail, and at transactions that stay open.",
        )


def _server_busy(measured: _Measured) -> Iterator[_Found]:
    waited = measured.one("lyceum_longest_lock_wait_seconds")
    if waited is not None and waited > LOCK_WAIT_SECONDS:
        yield (
            "locks",
            f"Somebody has waited {waited:,.0f} s for a lock. Expected at most {LOCK_WAIT_SECONDS:,.0f} s: "
            "pg_stat_activity shows who waits, pg_blocking_pids() for whom.",
        )
    used = measured.one("lyceum_connections_used_ratio")
    if used is not None and used > CONNECTIONS_RATIO:
        yield (
            "connections",
            f"{used:.0%} of the server's connections are in use. Expected at most {CONNECTIONS_RATIO:.0%}: find who keeps them, "
            "or let services share them through PgBouncer.",
        )


def _monitoring_failed(measured: _Measured) -> Iterator[_Found]:
    for labels, failed in measured.all("lyceum_monitoring_failed"):
        # Times of statements are there where somebody has made the extension.
        if failed and labels["query"] != "statements":
            yield (
                labels["query"],
                f"The query {labels['query']} of monitoring failed, so nobody watches what it measures. Expected an answer within "
                "ten seconds: `lyceum -v monitor` says what the server said.",
            )


def _disk_filling(measured: _Measured) -> Iterator[_Found]:
    days_until_full = measured.days_until_full
    free, ratio = measured.one("lyceum_disk_free_bytes"), measured.one("lyceum_disk_free_ratio")
    if free is None or ratio is None:
        return
    is_low = ratio < DISK_FREE_RATIO
    if is_low or (days_until_full is not None and days_until_full < DISK_FULL_DAYS):
        when = (
            f", and full in {days_until_full:.1f} days if it goes on like this" if days_until_full is not None else ""
        )
        yield (
            "home",
            f"The disk of the home has {free / 1e9:,.1f} GB free, {ratio:.0%}{when}. Expected more than {DISK_FREE_RATIO:.0%} and "
            f"a week: make room, or move backups and archives to another disk.",
        )


def _hours(seconds: float) -> str:
    if seconds < HOUR:
        return f"{seconds / 60:.0f} minutes"
    hours = seconds / HOUR
    return f"{hours:.0f} hours" if hours < 72 else f"{hours / 24:.0f} days"


_RULES: Mapping[Kind, Callable[[_Measured], Iterator[_Found]]] = {
    "build_behind": _build_behind,
    "view_stale": _view_stale,
    "records_refused": _records_refused,
    "expectation_failed": _expectation_failed,
    "reconciliation_failed": _reconciliation_failed,
    "backup_old": _backup_old,
    "log_not_archived": _log_not_archived,
    "trail_unsealed": _trail_unsealed,
    "server_busy": _server_busy,
    "disk_filling": _disk_filling,
    "monitoring_failed": _monitoring_failed,
}

KINDS: tuple[Kind, ...] = tuple(_RULES)
"""The kinds of alerts that come from here, and end when they are not found any more."""
