"""The facts of the page *Audit & retention*: is everything kept that must be, gone what must be, and can we prove who read it?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Literal, TypeAlias

from lyceum.alerts import Kind
from lyceum.audit.heads import Heads
from lyceum.database import ConnectionTarget
from lyceum.monitoring.rules import BACKUP_OLD_SECONDS, HOUR, UNSEALED_SECONDS
from lyceum.reporting.counts import read_alerts
from lyceum.reporting.facts import OpenAlert
from lyceum.reporting.live.dag_runs import DagHistory
from lyceum.reporting.live.findings import Answer, Finding, answer_of, finding_of, ranked
from lyceum.reporting.live.snapshot import age_seconds, snapshot
from lyceum.reporting.live.warehouse import HeldPartition, TimePartition
from lyceum.reporting.rendering import duration_words

ACCESS_DAYS = 30
"""Days of refused and recorded accesses that the page shows."""
MOST_ERASURES, MOST_BACKUPS = 20, 14

CLEANUP_DAYS = {"daily": 2, "weekly": 8, "monthly": 32, "yearly": 367}
"""How many days after its end an expired partition may still be there: its schedule has come by then."""
ERASURE_SECONDS = HOUR

KINDS: tuple[Kind, ...] = (
    "audit_gap",
    "audit_heads",
    "backup_old",
    "log_not_archived",
    "partition_held",
    "trail_unsealed",
)
"""The alerts that this page is about."""

HeadState: TypeAlias = Literal["proven", "none", "behind", "differs", "other_chain"]
"""What the heads outside the database say of the last batch: the same, nothing at all, an older batch, another hash, another chain."""


@dataclass(frozen=True, slots=True)
class TablePolicy:
    """How long the partitions of one table stay, what is archived of it, and what went last."""

    parent_table: str
    granularity: str
    retention: str
    cleanup: str
    is_archived: bool
    archives: int
    archived_bytes: int
    archives_verified_at: datetime | None
    dropped: int
    last_dropped_as_of: datetime | None
    unfinished_drops: int


@dataclass(frozen=True, slots=True)
class RowPolicy:
    """How long rows of a small table, or pages, stay."""

    subject: str
    retention: str
    cleanup: str


@dataclass(frozen=True, slots=True)
class TableRetention:
    """One table: its policy, and the partitions that hold rows' time now; those made ahead are left out."""

    policy: TablePolicy
    partitions: tuple[TimePartition, ...]

    @property
    def oldest(self) -> TimePartition | None:
        """The oldest partition."""
        return min(self.partitions, key=lambda one: one.lower, default=None)

    @property
    def newest(self) -> TimePartition | None:
        """The newest partition that is not ahead of its days."""
        return max(self.partitions, key=lambda one: one.lower, default=None)

    @property
    def held_by(self) -> tuple[str, ...]:
        """Who holds an expired partition."""
        return tuple(sorted({one.held_by for one in self.partitions if one.held_by is not None}))

    def expired(self, as_of: datetime) -> tuple[TimePartition, ...]:
        """The partitions whose time is over."""
        return tuple(one for one in self.partitions if one.expires_at <= as_of)

    def next_expiry(self, as_of: datetime) -> datetime | None:
        """When the next partition expires."""
        return min((one.expires_at for one in self.partitions if one.expires_at > as_of), default=None)

    def overdue(self, as_of: datetime) -> tuple[TimePartition, ...]:
        """Partitions that nobody holds and that are there though their clean-up has come since."""
        allowed = timedelta(days=CLEANUP_DAYS[self.policy.cleanup])
        return tuple(one for one in self.expired(as_of) if one.held_by is None and one.expires_at + allowed < as_of)


@dataclass(frozen=True, slots=True)
class Chain:
    """How the chain of the audit trail stands. `heads` compares its last batch with the head kept outside the database."""

    last_batch_id: int | None
    last_sealed_at: datetime | None
    broken_links: int
    unsealed_rows: int
    oldest_unsealed_at: datetime | None
    gaps: int
    open_gaps: int
    heads: HeadState
    sealed_rows: int | None


@dataclass(frozen=True, slots=True)
class DayAccesses:
    """Rows of the audit trail on one UTC day: those sealed, and those about something refused, failed or changed in rights."""

    day: date
    sealed: int
    refused_log_ins: int
    refused_accesses: int
    failures: int
    changes_of_rights: int


@dataclass(frozen=True, slots=True)
class Erasure:
    """One erasure: counts and its certificate, a row of the audit trail. Who was erased is not known."""

    organization: str
    erasure_id: int
    begun_as_of: datetime
    finished_as_of: datetime | None
    ids_erased: int
    rows_changed: int
    archives_rewritten: int
    certificate_id: int | None


@dataclass(frozen=True, slots=True)
class BackupRun:
    """A backup, a pruning or a drill. `is_success` is None while it goes on, or where it died."""

    kind: str
    backup: str | None
    begun_at: datetime
    ended_at: datetime | None
    is_success: bool | None
    byte_length: int | None

    @property
    def seconds(self) -> float | None:
        """How long it took."""
        return None if self.ended_at is None else (self.ended_at - self.begun_at).total_seconds()


@dataclass(frozen=True)
class RetentionFacts:
    """Everything that the page tells, of one state of the database. `dags` is None where nobody could be asked."""

    as_of: datetime
    has_organizations: bool
    tables: tuple[TableRetention, ...]
    rows: tuple[RowPolicy, ...]
    holds: tuple[HeldPartition, ...]
    chain: Chain
    accesses: tuple[DayAccesses, ...]
    erasures: tuple[Erasure, ...]
    backups: tuple[BackupRun, ...]
    alerts: tuple[OpenAlert, ...]
    dags: tuple[DagHistory, ...] | None

    def last_success(self, kind: str) -> BackupRun | None:
        """The last backup, pruning or drill that succeeded."""
        return next((run for run in self.backups if run.kind == kind and run.is_success), None)

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """What somebody should look at, the worst first."""
        return ranked(
            [
                *(finding_of(alert) for alert in self.alerts),
                *_chain_findings(self),
                *_left_over(self),
                *_held(self),
                *_erasures(self),
                *_backups(self),
            ]
        )

    @cached_property
    def answer(self) -> Answer:
        """Whether everything is kept, gone and proven as it must be."""
        chain, backup = self.chain, self.last_success("backup")
        if chain.last_batch_id is None and not self.has_organizations and not self.alerts:
            return Answer(
                "neutral",
                "Nothing to keep and nothing to prove yet",
                "There is no organization, no backup and no sealed batch of the audit trail. The schedules begin by themselves: "
                "`seal_audit_trail` each minute, `cleanup_daily` and `backup_warehouse` each night.",
            )
        sealed = (
            "the audit trail has nothing to seal yet"
            if chain.last_batch_id is None
            else f"the audit trail is sealed in {chain.last_batch_id:,} {'batch' if chain.last_batch_id == 1 else 'batches'}, "
            "whose last one is the head kept outside, without an open gap"
        )
        saved = "" if backup is None else f", and the last backup began {_ago(backup.begun_at, self.as_of)}"
        good = Answer(
            "good",
            "What must be kept is kept, what must be gone is gone, and who read is proven",
            f"No expired partition is left over, {sealed}{saved}. Whether each row is what was sealed, `lyceum audit verify` says.",
        )
        return answer_of(self.findings, good=good, question="Keeping or proof is in doubt")


def gather_retention(
    target: ConnectionTarget, heads: Heads, as_of: datetime, dags: Sequence[DagHistory] | None = None
) -> RetentionFacts:
    """Read the facts in one read-only snapshot, and the last head from outside. `target` is the login of monitoring.

    Raises as `snapshot` does.
    """
    # The head first: one that is written meanwhile belongs to a batch that the snapshot has or does not need.
    head = heads.last()
    first = as_of.astimezone(UTC).date() - timedelta(days=ACCESS_DAYS - 1)
    since = datetime(first.year, first.month, first.day, tzinfo=UTC)
    with snapshot(target) as connection:
        found = [TimePartition(*row) for row in connection.execute("select * from monitoring.partitions()").fetchall()]
        policies = connection.execute("select * from monitoring.table_policies()").fetchall()
        chain = connection.execute("select * from monitoring.audit_chain()").fetchone()
        assert chain is not None
        chain_id, batch_id, last_hash, sealed_at, broken, unsealed, oldest, gaps, open_gaps = chain
        state: HeadState = "proven"
        if head is None:
            state = "none"
        elif head.chain_id != chain_id:
            state = "other_chain"
        elif batch_id is None or head.batch_id < batch_id:
            state = "behind"
        elif head.batch_id > batch_id or head.hash != last_hash:
            state = "differs"
        organizations = connection.execute("select count(*) from monitoring.freshness(%s)", [as_of]).fetchone()
        return RetentionFacts(
            as_of=as_of,
            has_organizations=organizations is not None and organizations[0] > 0,
            tables=tuple(
                TableRetention(
                    TablePolicy(*row),
                    tuple(one for one in found if one.parent_table == row[0] and one.standing(as_of) != "ahead"),
                )
                for row in policies
            ),
            rows=tuple(
                RowPolicy(*row) for row in connection.execute("select * from monitoring.row_policies()").fetchall()
            ),
            holds=tuple(
                HeldPartition(*row) for row in connection.execute("select * from monitoring.holds()").fetchall()
            ),
            chain=Chain(
                batch_id,
                sealed_at,
                broken,
                unsealed,
                oldest,
                gaps,
                open_gaps,
                state,
                head.rows if head is not None and state == "proven" else None,
            ),
            accesses=tuple(
                DayAccesses(*row)
                for row in connection.execute("select * from monitoring.accesses(%s, %s)", [since, as_of]).fetchall()
            ),
            erasures=tuple(
                Erasure(*row)
                for row in connection.execute("select * from monitoring.erasures(%s)", [MOST_ERASURES]).fetchall()
            ),
            backups=tuple(
                BackupRun(*row)
                for row in connection.execute("select * from monitoring.backups(%s)", [MOST_BACKUPS]).fetchall()
            ),
            alerts=tuple(alert for alert in read_alerts(connection) if alert.kind in KINDS),
            dags=None if dags is None else tuple(dags),
        )


def _chain_findings(facts: RetentionFacts) -> Iterator[Finding]:
    chain = facts.chain
    if chain.broken_links:
        yield Finding(
            "audit_chain",
            "audit",
            "Chain broken",
            f"{chain.broken_links:,} of the last batches of the audit trail do not follow on the one before. Expected an unbroken "
            "chain: run `lyceum audit verify`, which names the batches.",
            "bad",
            "audit_heads",
        )
    sealed_ago = age_seconds(chain.last_sealed_at, facts.as_of)
    said = {
        "none": "There is no head of the chain outside the database, so nobody can prove what was sealed.",
        "differs": "The head kept outside is not the last batch of the chain: rows were changed, or the database was set back.",
        "other_chain": "The heads kept outside belong to another chain: this is another database, or the trail was begun anew.",
        "behind": "The last batches of the chain have no head outside the database.",
    }
    # A head is written in the moment after its batch.
    is_fresh = chain.heads == "behind" and sealed_ago is not None and sealed_ago < UNSEALED_SECONDS
    if chain.last_batch_id is not None and chain.heads != "proven" and not is_fresh:
        yield Finding(
            "audit_heads",
            "audit",
            "Heads missing" if chain.heads in ("none", "behind") else "Heads disagree",
            f"{said[chain.heads]} Run `lyceum audit verify`.",
            "bad",
            "audit_heads",
        )
    if chain.open_gaps:
        yield Finding(
            "audit_gap",
            "audit",
            "Gap in the audit trail",
            f"{chain.open_gaps:,} {'gap' if chain.open_gaps == 1 else 'gaps'} of the audit trail nobody has acknowledged: part of "
            "the server's log was gone before it was collected.",
            "bad",
            "audit_gap",
        )
    waited = age_seconds(chain.oldest_unsealed_at, facts.as_of)
    if waited is not None and waited > UNSEALED_SECONDS:
        yield Finding(
            "trail_unsealed",
            "audit",
            "Rows not sealed",
            f"{chain.unsealed_rows:,} rows of the audit trail wait to be sealed, the oldest for {duration_words(waited)}. Expected "
            "a batch every minute.",
            "bad",
            "trail_unsealed",
        )


def _left_over(facts: RetentionFacts) -> Iterator[Finding]:
    for table in facts.tables:
        overdue = table.overdue(facts.as_of)
        if not overdue and not table.policy.unfinished_drops:
            continue
        oldest = min(overdue, key=lambda one: one.expires_at, default=None)
        message = (
            f"A clean-up began to drop {table.policy.unfinished_drops:,} of its partitions and did not come to its end. Expected "
            "the next one to go on."
            if oldest is None
            else f"{len(overdue):,} {'partition' if len(overdue) == 1 else 'partitions'} of {table.policy.parent_table} should be "
            f"gone; the oldest, {oldest.name}, has expired {_ago(oldest.expires_at, facts.as_of)}, and nobody holds it. Look at "
            f"the last runs of the {table.policy.cleanup} clean-up, or run `lyceum cleanup {table.policy.cleanup}`."
        )
        yield Finding("left_over", table.policy.parent_table, "Left over", message, "bad", "partition_held")


def _held(facts: RetentionFacts) -> Iterator[Finding]:
    for table in dict.fromkeys(hold.parent_table for hold in facts.holds if hold.is_overdue(facts.as_of)):
        overdue = [hold for hold in facts.holds if hold.parent_table == table and hold.is_overdue(facts.as_of)]
        yield Finding(
            "partition_held",
            table,
            "Partition held",
            f"Expired partitions of {table} wait longer than allowed; {overdue[0].name} is held by {overdue[0].held_by}: "
            f"{overdue[0].reason}.",
            "warning",
            "partition_held",
        )


def _erasures(facts: RetentionFacts) -> Iterator[Finding]:
    for erasure in facts.erasures:
        waited = age_seconds(erasure.begun_as_of, facts.as_of)
        if erasure.finished_as_of is None and waited is not None and waited > ERASURE_SECONDS:
            yield Finding(
                "erasure_unfinished",
                f"erasure {erasure.erasure_id} of {erasure.organization}",
                "Erasure not finished",
                f"It began {_ago(erasure.begun_as_of, facts.as_of)} and has no certificate. Expected it to be over within an hour: "
                "run `lyceum erase` again with the same person, or clear the task of `erase_person`; it goes on where it stopped.",
                "bad",
            )


def _backups(facts: RetentionFacts) -> Iterator[Finding]:
    last = facts.last_success("backup")
    age = None if last is None else age_seconds(last.ended_at, facts.as_of)
    if last is None and facts.has_organizations:
        yield Finding(
            "backup_old",
            "backup_warehouse",
            "No backup",
            "No backup has ever succeeded here. Expected one every night: run `lyceum backup create`, or look at the last run of "
            "`backup_warehouse`.",
            "warning",
            "backup_old",
        )
    elif age is not None and age > BACKUP_OLD_SECONDS:
        yield Finding(
            "backup_old",
            "backup_warehouse",
            "Backup old",
            f"The last backup that succeeded is {duration_words(age)} old. Expected one every night.",
            "warning",
            "backup_old",
        )
    drills = [run for run in facts.backups if run.kind == "drill" and run.is_success is not None]
    if drills and not drills[0].is_success:
        yield Finding(
            "drill_failed",
            "restore drill",
            "Drill failed",
            f"The last drill, {_ago(drills[0].begun_at, facts.as_of)}, could not restore its backup. Run `lyceum backup drill` and "
            "read what it says: until it succeeds, do not count on backups.",
            "bad",
        )


def _ago(instant: datetime, as_of: datetime) -> str:
    seconds = max((as_of - instant).total_seconds(), 0.0)
    if seconds < 48 * HOUR:
        return f"{duration_words(seconds)} ago"
    return f"{int(seconds // 86_400):,} days ago"
