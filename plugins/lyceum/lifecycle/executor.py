"""Carries a plan out: what it archives and drops, under which locks, and what keeps it from doing so.

The plan is of a moment ago. Before a partition is detached it is claimed, so that nobody adds to it or decides by its rows,
and its consumers are asked once more. Neither readers nor those who write elsewhere meet any of these locks: detaching takes
SHARE UPDATE EXCLUSIVE on the table and waits for earlier transactions under `lock_timeout`. Every step is one that may be
interrupted, and that two may take at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import psycopg

from lyceum import faults
from lyceum.analytics.scope import build_lock
from lyceum.archiving import ArchiveError, archive_files
from lyceum.archiving.partitions import archive_partition, is_archived
from lyceum.data_versions import ANSWERED_FROM, advance_versions
from lyceum.database import Connection, ConnectionTarget
from lyceum.errors import LyceumError, RetryableError
from lyceum.lifecycle.holds import RAW, read_needs
from lyceum.lifecycle.planner import ArchivePartition, CleanupPlan, DropPartition, Hold, RemoveRows, Step
from lyceum.lifecycle.policies import PartitionPolicy
from lyceum.lifecycle.rows import remove_rows
from lyceum.partitions import (
    Patience,
    claim_partition,
    drop_partition,
    ensure_for_dates,
    let_go_of_snapshot,
)
from lyceum.sealing.release import release_partitions
from lyceum.settings import Settings

_LOG = logging.getLogger("lyceum.lifecycle")

_GUARD_TIMEOUT = "2s"
# Whoever reads for longer is not waited for: the detachment goes on with the next clean-up.
PATIENCE = Patience(attempts=3)


@dataclass(frozen=True, slots=True)
class Done:
    """A step that was taken. `byte_length` is what it freed on disk, `rows` what it removed row by row."""

    step: Step
    byte_length: int = 0
    rows: int = 0

    @property
    def sentence(self) -> str:
        """What was done, for a person."""
        if isinstance(self.step, ArchivePartition):
            return f"Archived partitions.{self.step.name}, and read the archive back."
        if isinstance(self.step, RemoveRows):
            return f"Removed {self.rows:,} from {self.step.subject} that were older than {self.step.retention}."
        return f"Dropped partitions.{self.step.name}, {self.byte_length / 1e6:,.1f} MB."


class Executor:
    """Takes the steps of one clean-up. `connection` and `guard` are two idle connections in autocommit mode."""

    def __init__(
        self,
        connection: Connection,
        guard: Connection,
        target: ConnectionTarget,
        settings: Settings,
        policies: Iterable[PartitionPolicy],
        as_of: datetime,
        *,
        is_forced: bool = False,
        patience: Patience = PATIENCE,
    ) -> None:
        self._connection = connection
        self._guard = guard
        self._target = target
        self._settings = settings
        self._policies = {policy.parent_table: policy for policy in policies}
        self._as_of = as_of
        self._is_forced = is_forced
        self._patience = patience
        self.done: list[Done] = []
        self.holds: list[Hold] = []

    def carry_out(self, plan: CleanupPlan) -> None:
        """Take every step; what cannot be done becomes a hold, and the others go on.

        A table whose readers do not let go keeps its further partitions, because each would wait as long.
        """
        stuck: set[str] = set()
        by_builds = [step for step in plan.steps if self._is_written_by_builds(step)]
        for step in plan.steps:
            if isinstance(step, RemoveRows):
                rows = remove_rows(self._connection, self._target, self._settings, step.subject, self._as_of)
                self.done.append(Done(step, rows=rows))
            elif step not in by_builds:
                self._take(step, stuck)
        if by_builds:
            self._while_nothing_is_built(by_builds, stuck)
        self._finish_records()

    def _is_written_by_builds(self, step: Step) -> bool:
        return not isinstance(step, RemoveRows) and self._policies[step.parent_table].key_type == "date"

    def _while_nothing_is_built(self, steps: Sequence[Step], stuck: set[str]) -> None:
        """Drop what builds and seals write to while none is at work; a running one is not waited for."""
        try:
            with build_lock(self._target):
                sealed = [step for step in steps if isinstance(step, DropPartition) and step.proof == "sealed weeks"]
                if sealed:
                    self._release(sealed)
                for step in steps:
                    if step not in sealed:
                        self._take(step, stuck)
        except RetryableError:
            taken = {done.step for done in self.done}
            for step in steps:
                if step not in taken:
                    self._hold(step, "build", "a build or a seal is at work just now; it goes with the next clean-up")

    def _take(self, step: Step, stuck: set[str]) -> None:
        if isinstance(step, RemoveRows):
            return
        if step.parent_table in stuck:
            self._hold(step, "readers", "another partition of its table waits for its readers")
            return
        try:
            if isinstance(step, ArchivePartition):
                archive_partition(self._connection, self._settings, step.parent_table, step.name, self._as_of)
                faults.reach("cleanup.archived")
                self.done.append(Done(step))
            elif step.is_empty_month:
                self._drop(step)
            else:
                if step.proof == "archive" and not self._is_archived(step):
                    # Rows have come since it was archived.
                    archive_partition(self._connection, self._settings, step.parent_table, step.name, self._as_of)
                self._drop_claimed(step)
        except ArchiveError as error:
            self._hold(step, "archive", _without_full_stop(error), needs_attention=True)
        except RetryableError as error:
            if isinstance(step, DropPartition):
                stuck.add(step.parent_table)
            held_by = "readers" if isinstance(step, DropPartition) else "archive"
            self._hold(step, held_by, _without_full_stop(error))

    def _drop_claimed(self, step: DropPartition) -> None:
        """Drop the partition unless somebody needs it after all; nobody can begin to while it goes."""
        with self._claim(step):
            keeping = [
                need
                for need in read_needs(self._connection, self._as_of, [step.parent_table])
                if need.concerns(step.parent_table, step.period) and not (self._is_forced and need.may_be_forced)
            ]
            if keeping:
                self._hold(step, keeping[0].consumer, keeping[0].reason)
                return
            if self._is_forced and step.parent_table == RAW:
                self._give_up_pending_hours(step)
            last_look = (lambda: self._is_archived(step)) if step.proof == "archive" else None
            if not self._drop(step, last_look) and last_look is not None:
                # Somebody wrote to it after its archive was proven: it comes back, and is archived anew.
                ensure_for_dates(self._connection, step.parent_table, [step.period.lower], patience=self._patience)
                self._hold(step, "archive", "its rows changed while it was being dropped", needs_attention=True)

    def _drop(self, step: DropPartition, last_look: Callable[[], bool] | None = None) -> bool:
        byte_length = self._record(step)
        faults.reach("cleanup.drop_recorded")
        is_dropped = drop_partition(
            self._connection,
            step.parent_table,
            step.name,
            only_without_partitions=step.is_empty_month,
            last_look=last_look,
            patience=self._patience,
        )
        if is_dropped:
            faults.reach("cleanup.partition_dropped")
            self.done.append(Done(step, byte_length))
            _LOG.info("dropped partition %s", step.name, extra={"partition": step.name, "bytes": byte_length})
            if step.parent_table in ANSWERED_FROM:
                # Not at the end: nobody shall be answered from what is kept of it while others are archived.
                self._finish_records()
        return is_dropped

    def _release(self, steps: Sequence[DropPartition]) -> None:
        """Let the seal drop the weeks whose archives it proves, organization by organization."""
        byte_lengths = {step.name: self._record(step) for step in steps}
        dropped, held = release_partitions(self._connection, self._guard, archive_files(self._settings), self._as_of)
        reasons = {partition.name: partition for partition in held}
        for step in steps:
            if step.name in dropped:
                self.done.append(Done(step, byte_lengths[step.name]))
            elif step.name in reasons:
                found = reasons[step.name]
                self._hold(step, "seal", found.reason.rstrip("."), needs_attention=found.needs_attention)

    @contextmanager
    def _claim(self, step: DropPartition) -> Iterator[None]:
        """Keep everybody from adding to the partition, or deciding by its rows, while the block runs."""
        try:
            with self._guard.transaction():
                self._guard.execute("select set_config('lock_timeout', %s, true)", [_GUARD_TIMEOUT])
                claim_partition(self._guard, step.parent_table, step.period.lower)
                if self._policies[step.parent_table].key_type == "date":
                    # Without an open week nobody writes, and while this is held nobody opens one.
                    self._guard.execute("lock table ops.week_states in share mode")
                let_go_of_snapshot(self._guard)
                yield
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            raise RetryableError("somebody adds to it just now; it goes with the next clean-up.") from None

    def _is_archived(self, step: DropPartition) -> bool:
        return is_archived(self._connection, self._settings, step.parent_table, step.name)

    def _give_up_pending_hours(self, step: DropPartition) -> None:
        """Take the hours that can never be built now off the list; a build would miss their rows for good."""
        given_up = self._connection.execute(
            """
            delete from ops.pending_hours
            where
                collected_hour >= %s::date::timestamp at time zone 'UTC'
                and collected_hour < %s::date::timestamp at time zone 'UTC'
            """,
            [step.period.lower, step.period.upper],
        ).rowcount
        if given_up:
            _LOG.warning(
                "%d collected hours of %s will never be built", given_up, step.name, extra={"partition": step.name}
            )

    def _record(self, step: DropPartition) -> int:
        """Write down that the partition is going, before it goes: without the record its rows would seem lost.

        Returns what it takes on disk.
        """
        row = self._connection.execute(
            """
            insert into ops.partition_drops (
                parent_table, partition_name, period_lower, period_upper, expired_at, as_of, is_forced, byte_length
            )
            values (
                %(table)s, %(name)s, %(lower)s, %(upper)s, %(expired_at)s, %(as_of)s, %(is_forced)s,
                coalesce(
                    (
                        select sum(pg_total_relation_size(tree.relid))
                        from pg_partition_tree(to_regclass('partitions.' || quote_ident(%(name)s))) as tree
                    ),
                    0
                )
            )
            on conflict (parent_table, partition_name) do update set
                expired_at = excluded.expired_at,
                as_of = excluded.as_of,
                is_forced = excluded.is_forced,
                byte_length = excluded.byte_length,
                is_finished = false
            returning byte_length
            """,
            {
                "table": step.parent_table,
                "name": step.name,
                "lower": step.period.lower,
                "upper": step.period.upper,
                "expired_at": step.expired_at,
                "as_of": self._as_of,
                "is_forced": bool(step.forced_over),
            },
        ).fetchone()
        assert row is not None
        return int(row[0])

    def _finish_records(self) -> None:
        """Mark what is gone as gone, also where the clean-up that dropped it died before it could say so."""
        with self._connection.transaction():
            finished = self._connection.execute(
                """
                update ops.partition_drops set is_finished = true
                where not is_finished and to_regclass('partitions.' || quote_ident(partition_name)) is null
                returning parent_table
                """
            ).fetchall()
            if ANSWERED_FROM & {table for (table,) in finished}:
                advance_versions(self._connection)

    def _hold(self, step: Step, held_by: str, reason: str, *, needs_attention: bool = False) -> None:
        assert not isinstance(step, RemoveRows)
        policy = self._policies[step.parent_table]
        expired_at = step.expired_at if isinstance(step, DropPartition) else step.due_at
        hold = Hold(
            step.parent_table,
            step.name,
            held_by,
            reason,
            expired_at,
            policy.hold_grace.after(expired_at),
            needs_attention,
            "work",
        )
        self.holds.append(hold)
        _LOG.log(
            logging.ERROR if needs_attention else logging.INFO,
            "partition %s is on hold: %s",
            step.name,
            reason,
            extra={"partition": step.name},
        )


def merged_holds(planned: Iterable[Hold], met: Iterable[Hold]) -> tuple[Hold, ...]:
    """Return one hold for each partition and holder, by table and name."""
    holds = {(hold.parent_table, hold.name, hold.held_by): hold for hold in (*planned, *met)}
    return tuple(holds[key] for key in sorted(holds))


def _without_full_stop(error: LyceumError) -> str:
    return str(error).rstrip(".")
