"""The facts of the page *Warehouse*: is it up to date and healthy?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Literal

from lyceum.database import ConnectionTarget
from lyceum.monitoring.rules import BUILD_BEHIND_SECONDS, DISK_FREE_RATIO, HOUR, VIEW_STALE_SECONDS
from lyceum.reporting.counts import read_alerts, read_freshness, read_refusals, read_volumes
from lyceum.reporting.facts import DayVolume, Freshness, OpenAlert, Refusals
from lyceum.reporting.live.dag_runs import DagHistory
from lyceum.reporting.live.findings import Answer, Finding, answer_of, finding_of, ranked
from lyceum.reporting.live.snapshot import age_seconds, snapshot
from lyceum.reporting.rendering import duration_words

RECENT_WORK = 5
"""Works of each kind that the page lists."""

MEASURED_SECONDS = 0.5 * HOUR
"""How long ago the warehouse may have been measured: the schedule does so every five minutes."""

_SAMPLES = (
    "lyceum_disk_free_ratio",
    "lyceum_disk_free_bytes",
    "lyceum_database_bytes",
    "lyceum_cache_hit_ratio",
    "lyceum_connections_used_ratio",
)


@dataclass(frozen=True, slots=True)
class ViewFreshness:
    """One materialized view: its last refresh, when it was last looked at with success, and who waits for it."""

    name: str
    state: str
    as_of: datetime
    looked_at: datetime | None
    organizations: int
    outdated: int


@dataclass(frozen=True, slots=True)
class TimePartition:
    """One time partition: the days from `lower` to before `upper`; rows are what the statistics estimate."""

    parent_table: str
    name: str
    lower: date
    upper: date
    expires_at: datetime
    byte_length: int
    rows: int
    is_archived: bool
    held_by: str | None

    @property
    def upper_day(self) -> date:
        """The last day that it holds."""
        return self.upper - timedelta(days=1)

    def standing(self, as_of: datetime) -> Literal["kept", "held", "expired", "ahead"]:
        """How the partition stands: made ahead of its days, kept, expired and held, or expired and not gone yet."""
        if self.held_by is not None:
            return "held"
        if self.expires_at <= as_of:
            return "expired"
        return "ahead" if self.lower > as_of.date() else "kept"


@dataclass(frozen=True, slots=True)
class HeldPartition:
    """An expired partition that stays for now: who needs it, and why."""

    parent_table: str
    name: str
    held_by: str
    reason: str
    expired_at: datetime
    grace_ends_at: datetime
    needs_attention: bool

    def is_overdue(self, as_of: datetime) -> bool:
        """Whether somebody has to see to it."""
        return self.needs_attention or self.grace_ends_at <= as_of


@dataclass(frozen=True, slots=True)
class Work:
    """Something that was done: a build, a refresh, a collect, a clean-up, a backup. `seconds` where it was measured."""

    kind: str
    subject: str
    as_of: datetime
    outcome: str
    seconds: float | None
    detail: str

    @property
    def tone(self) -> str:
        """How the outcome is coloured."""
        if self.outcome in ("failed", "unfinished"):
            return "bad"
        return "neutral" if self.outcome in ("running", "abandoned", "unchanged") else "good"


@dataclass(frozen=True, slots=True)
class Measured:
    """The newest measurements of the server: one value a metric, and when they were taken."""

    at: datetime | None
    values: dict[str, float]


@dataclass(frozen=True)
class WarehouseFacts:
    """Everything that the page tells, of one state of the database. `dags` is None where nobody could be asked."""

    as_of: datetime
    freshness: tuple[Freshness, ...]
    views: tuple[ViewFreshness, ...]
    volumes: tuple[DayVolume, ...]
    refusals: tuple[Refusals, ...]
    partitions: tuple[TimePartition, ...]
    holds: tuple[HeldPartition, ...]
    work: tuple[Work, ...]
    alerts: tuple[OpenAlert, ...]
    measured: Measured
    dags: tuple[DagHistory, ...] | None

    @property
    def is_empty(self) -> bool:
        """Whether there is no organization yet."""
        return not self.freshness

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """What somebody should look at, the worst first: open alerts, and what is seen now."""
        seen = [
            *(finding_of(alert) for alert in self.alerts),
            *_behind(self),
            *_stale(self),
            *_held(self),
            *_unmeasured(self),
            *_failed_dags(self),
            *_full(self),
        ]
        return ranked(seen)

    @cached_property
    def answer(self) -> Answer:
        """Whether the warehouse is up to date and healthy."""
        if self.is_empty and not any(finding.since for finding in self.findings):
            return Answer(
                "neutral",
                "The warehouse is ready and empty",
                "There is no organization yet. Add one: `lyceum organization add`; then drop a delivery into its landing folder, "
                "or add a source.",
            )
        return answer_of(self.findings, good=self._good(), question="The warehouse needs somebody")

    def _good(self) -> Answer:
        with_data = [entry for entry in self.freshness if entry.state != "empty"]
        waiting = sum(entry.state == "waiting" for entry in with_data)
        if not with_data:
            return Answer(
                "neutral",
                "The warehouse is healthy and has no data yet",
                "No alert is open. Nothing was collected so far: drop a delivery into a landing folder, or add a source.",
            )
        standing = (
            f"all {len(with_data)} are current"
            if not waiting
            else f"{len(with_data) - waiting} of {len(with_data)} are current and {waiting} wait for the next build"
        )
        return Answer(
            "good",
            "The warehouse is up to date and healthy",
            f"Of the organizations with data {standing}. No alert is open, and nothing that was measured is out of bounds.",
        )


def gather_warehouse(
    target: ConnectionTarget, as_of: datetime, dags: Sequence[DagHistory] | None = None
) -> WarehouseFacts:
    """Read the facts in one read-only snapshot. `target` is the login of monitoring. Raises as `snapshot` does."""
    with snapshot(target) as connection:
        samples = connection.execute(
            "select name, measured_at, measured from monitoring.newest_samples(%s)", [list(_SAMPLES)]
        ).fetchall()
        views = connection.execute("select * from monitoring.view_freshness()").fetchall()
        partitions = connection.execute("select * from monitoring.partitions()").fetchall()
        holds = connection.execute("select * from monitoring.holds()").fetchall()
        work = connection.execute("select * from monitoring.recent_work(%s)", [RECENT_WORK]).fetchall()
        return WarehouseFacts(
            as_of=as_of,
            freshness=read_freshness(connection, as_of),
            views=tuple(ViewFreshness(*row) for row in views),
            volumes=read_volumes(connection, as_of),
            refusals=read_refusals(connection, as_of),
            partitions=tuple(TimePartition(*row) for row in partitions),
            holds=tuple(HeldPartition(*row) for row in holds),
            work=tuple(Work(*row) for row in work),
            alerts=read_alerts(connection),
            measured=Measured(
                max((at for _, at, _ in samples), default=None), {name: value for name, _, value in samples}
            ),
            dags=None if dags is None else tuple(dags),
        )


def _behind(facts: WarehouseFacts) -> Iterator[Finding]:
    for entry in facts.freshness:
        waited = age_seconds(entry.oldest_pending, facts.as_of)
        # An hour is pending from its beginning.
        if waited is not None and waited > BUILD_BEHIND_SECONDS + HOUR:
            yield Finding(
                "build_behind",
                entry.slug,
                "Build behind",
                f"{_count(entry.pending_hours, 'collected hour')} of {entry.slug} {'has' if entry.pending_hours == 1 else 'have'} "
                f"waited up to {duration_words(waited)} to be built. Expected a build within two hours.",
                "bad",
                "build_behind",
            )
        elif entry.state == "behind":
            yield Finding(
                "build_behind",
                entry.slug,
                "Build behind",
                f"{entry.slug} is published through {entry.closed_through}, and {entry.due_through} has closed on its calendar. "
                "Expected a build since.",
                "bad",
                "build_behind",
            )


def _stale(facts: WarehouseFacts) -> Iterator[Finding]:
    for view in facts.views:
        most = VIEW_STALE_SECONDS.get(view.name.rpartition(".")[2])
        age = age_seconds(view.looked_at or view.as_of, facts.as_of)
        if (most is not None and age is not None and age > most) or view.state == "failed":
            what = "Its last refresh failed." if view.state == "failed" else ""
            yield Finding(
                "view_stale",
                view.name,
                "View stale",
                f"{view.name} was last looked at {duration_words(age)} ago. {what} Expected a refresh every few hours.".replace(
                    "  ", " "
                ),
                "warning",
                "view_stale",
            )


def _held(facts: WarehouseFacts) -> Iterator[Finding]:
    for table in dict.fromkeys(hold.parent_table for hold in facts.holds if hold.is_overdue(facts.as_of)):
        overdue = [hold for hold in facts.holds if hold.parent_table == table and hold.is_overdue(facts.as_of)]
        yield Finding(
            "partition_held",
            table,
            "Partition held",
            f"{_count(len({hold.name for hold in overdue}), 'expired partition')} of {table} "
            f"{'waits' if len(overdue) == 1 else 'wait'} longer than allowed, held by {overdue[0].held_by}: {overdue[0].reason}.",
            "warning",
            "partition_held",
        )


def _unmeasured(facts: WarehouseFacts) -> Iterator[Finding]:
    age = age_seconds(facts.measured.at, facts.as_of)
    if facts.is_empty or (age is not None and age <= MEASURED_SECONDS):
        return
    when = "was never measured" if age is None else f"was last measured {duration_words(age)} ago"
    yield Finding(
        "monitoring_silent",
        "monitor_warehouse",
        "Nobody watches",
        f"The warehouse {when}, so alerts may be missing. Expected every five minutes: look at the last runs of "
        "`monitor_warehouse`, or run `lyceum monitor`.",
        "warning",
    )


def _failed_dags(facts: WarehouseFacts) -> Iterator[Finding]:
    told = {alert.subject.partition(".")[0] for alert in facts.alerts if alert.kind == "task_failed"}
    for dag in facts.dags or ():
        if dag.has_failed and dag.dag_id not in told:
            yield Finding(
                "task_failed",
                dag.dag_id,
                "Run failed",
                f"The last run of `{dag.dag_id}` failed. Expected success: open the run in Airflow and read its log.",
                "bad",
                "task_failed",
            )


def _full(facts: WarehouseFacts) -> Iterator[Finding]:
    ratio = facts.measured.values.get("lyceum_disk_free_ratio")
    if ratio is not None and ratio < DISK_FREE_RATIO:
        yield Finding(
            "disk_filling",
            "home",
            "Disk filling",
            f"The disk of the home has {ratio:.0%} left. Expected more than {DISK_FREE_RATIO:.0%}.",
            "bad",
            "disk_filling",
        )


def _count(number: int, one: str) -> str:
    return f"{number:,} {one}{'' if number == 1 else 's'}"
