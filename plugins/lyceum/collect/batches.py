"""One batch, one transaction: judge every event under the organization's lock, write what is accepted, record the rest.

The rules are those of docs/architecture.md, Collect. Whatever happens, the batch is either there as a whole, with the place
at which its input goes on, or not at all.
"""

from __future__ import annotations

import itertools
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import psycopg
from numpy.typing import NDArray

from lyceum import faults, partitions
from lyceum.collect import binary_copy, raw_days, refused_rows, voids
from lyceum.collect.columns import pack_event_columns
from lyceum.collect.judgement import Judge, Judgement, by_clock_and_week
from lyceum.collect.known_ids import KnownIds
from lyceum.collect.ledger import Key, Ledger
from lyceum.collect.preparation import PreparedBatch, PreparedColumns, PreparedEvents, selected
from lyceum.collect.reports import BatchOutcome
from lyceum.collect.weeks import WeekPlan, WeekState, plan_weeks
from lyceum.database import Connection
from lyceum.errors import LyceumError, RetryableError
from lyceum.local_calendar import LocalCalendar
from lyceum.records import RAW_COLUMNS, Reason

_LOG = logging.getLogger("lyceum.collect")

_COPY_EVENTS = f"""
    copy stage_one.raw_data_collection ({", ".join(name for name, _ in RAW_COLUMNS)}) from stdin (format binary)
"""
_ROWS_PER_BLOCK = 100

# The organization's own lock; sealing takes the same.
LOCK = "select pg_advisory_xact_lock(hashtext('lyceum.organization'), %s::int)"


class PartitionMissingError(RetryableError):
    """A partition that the batch needs is not there (any more). Ensure it and repeat the batch."""


@dataclass(frozen=True, slots=True)
class _Weeks:
    """What the batch's transaction knows about weeks: those open when it began, and the plan for those of its events."""

    open_before: frozenset[date]
    plan: WeekPlan

    @property
    def live(self) -> frozenset[date]:
        """Weeks whose event ids are in the ledger."""
        return self.open_before | frozenset(self.plan.restoring)


@dataclass(frozen=True, slots=True)
class BatchWriter:
    """Writes the batches of one run for one organization, one after the other, on one connection.

    `maintenance` is another connection, in autocommit mode, on which partitions are made. `restore_week` reopens a sealed
    week inside the transaction of the connection that it is given; `find_archived` finds event ids of sealed weeks.
    `last_roster_id` is the last roster whose merges of users the run's dictionaries know, `erasures` how many people had been
    erased before they looked anybody up.
    """

    connection: Connection
    maintenance: Connection
    restore_week: Callable[[Connection, date], None]
    find_archived: Callable[[Connection, Collection[bytes]], Mapping[bytes, Key]]
    organization_id: int
    calendar: LocalCalendar
    as_of: datetime
    is_history: bool
    run_id: str
    known_ids: KnownIds
    last_roster_id: int
    erasures: int

    def write(self, batch: PreparedBatch) -> BatchOutcome | None:
        """Commit the batch and return what it did; None when another run has collected it already.

        Raises `PartitionMissingError` when the batch should be repeated, `RetryableError` when the collection should be.
        """
        with self.transaction():
            self.lock()
            if batch.input_id is not None and self._is_collected(batch, batch.input_id):
                outcome = None
                self.connection.rollback()
            else:
                outcome = self.write_locked(batch)
        if outcome is not None:
            faults.reach("collect.batch_committed")
            self.known_ids.committed()
            self._log(batch, outcome)
        return outcome

    def transaction(self) -> _Transaction:
        """Return the context of one transaction: it commits, or rolls back and says what may be repeated."""
        return _Transaction(self.connection)

    def lock(self) -> None:
        """Wait until no other batch and no seal of the organization is at work; keep them waiting until the transaction ends."""
        self.connection.execute(LOCK, [self.organization_id])
        faults.reach("collect.organization_locked")

    def write_locked(self, batch: PreparedBatch) -> BatchOutcome:
        """Do the batch's work in the open transaction, which holds the organization's lock.

        Of a replay (`input_id` is None) only what it resolves is recorded: what is refused again stays where it is.
        """
        raw_days.keep_own_partitions(self.connection, self.as_of)
        raw_days.require_whole_hour(self.connection, self.organization_id, self.as_of)
        weeks, has_tombstones = self._plan_weeks(batch.weeks)
        self._open_weeks(weeks.plan, batch)
        for week in weeks.plan.restoring:
            self._restore(week)
        faults.reach("collect.weeks_restored")
        restored = list(weeks.plan.restoring)
        used = np.zeros(0, dtype=np.int64)
        judgement = Judgement(np.zeros(0, dtype=np.bool_))
        rows: Iterable[refused_rows.RefusedRow] = refused_rows.of_adapter(batch.refusals)
        hours: set[datetime] = set()
        if batch.events is not None:
            judgement = self._judge(batch.events, weeks, has_tombstones, restored)
            faults.reach("collect.events_judged")
            used = batch.events.weeks[judgement.accepted]
            hours = self._write_events(batch, batch.events, judgement)
            rows = itertools.chain(rows, refused_rows.of_events(batch.events, judgement.refused))
        elif batch.columns is not None:
            judgement = by_clock_and_week(batch.columns.verdicts, batch.columns.weeks, weeks.plan.taking)
            faults.reach("collect.events_judged")
            used = batch.columns.weeks[judgement.accepted]
            self._write_columns(batch, batch.columns, judgement)
            rows = itertools.chain(rows, refused_rows.of_columns(batch.columns, judgement.refused))
        is_replay = batch.input_id is None
        reasons = judgement.reasons + Counter[Reason](refusal.reason for refusal in batch.refusals)
        accepted = int(judgement.accepted.sum())
        if not is_replay:
            refused_rows.write(self.connection, batch, self.organization_id, self.as_of, rows)
        faults.reach("collect.quarantine_written")
        if accepted:
            self._follow_merges(batch.batch_id)
            self._require_known_people(batch.batch_id)
        self._close_unused_weeks(weeks.plan, used)
        outcome = BatchOutcome(
            records_read=accepted + judgement.duplicates + reasons.total() if is_replay else batch.records_read,
            events_accepted=accepted,
            duplicates=judgement.duplicates,
            quarantined=reasons,
            events_voided=len(judgement.effects.here) + len(judgement.effects.earlier),
            weeks_restored=restored,
            refused_ordinals=frozenset(_refused_ordinals(batch, judgement)),
        )
        self._record(batch, outcome, hours | ({_hour(self.as_of)} if accepted else set()))
        return outcome

    def _is_collected(self, batch: PreparedBatch, input_id: int) -> bool:
        row = self.connection.execute(
            "select next_ordinal from ops.inputs where organization_id = %s and input_id = %s",
            [self.organization_id, input_id],
        ).fetchone()
        assert row is not None  # inputs are registered before they are read
        (next_ordinal,) = row
        if next_ordinal == batch.first_ordinal:
            return False
        if next_ordinal > batch.last_ordinal:
            return True
        raise RetryableError(
            f"Input {input_id} goes on at record {next_ordinal}, but the batch holds records {batch.first_ordinal} to "
            f"{batch.last_ordinal}: another run reads the same input in other portions. Collect it again when that run is done."
        )

    def _plan_weeks(self, wanted: set[date]) -> tuple[_Weeks, bool]:
        rows = self.connection.execute(
            """
            select week_start, state from ops.week_states
            where organization_id = %(organization_id)s and (state = 'open' or week_start = any(%(wanted)s))
            union all
            select null, null
            where exists (select from stage_one.void_tombstones where organization_id = %(organization_id)s)
            """,
            {"organization_id": self.organization_id, "wanted": sorted(wanted)},
        ).fetchall()
        states: dict[date, WeekState] = {week: state for week, state in rows if week is not None}
        plan = plan_weeks(wanted, states, self.calendar, self.as_of, is_history=self.is_history)
        open_before = frozenset(week for week, state in states.items() if state == "open")
        return _Weeks(open_before, plan), len(states) < len(rows)

    def _restore(self, week: date) -> None:
        self.restore_week(self.connection, week)
        self.known_ids.forget()

    def _judge(self, prepared: PreparedEvents, weeks: _Weeks, has_tombstones: bool, restored: list[date]) -> Judgement:
        def reopen(week: date) -> bool:
            if not self.is_history:
                return False
            if week not in restored:
                self._restore(week)
                restored.append(week)
            return True

        judge = Judge(
            connection=self.connection,
            ledger=Ledger(self.connection, self.organization_id),
            known_ids=self.known_ids,
            live_weeks=weeks.live,
            has_tombstones=has_tombstones,
            reopen=reopen,
            find_archived=self.find_archived,
        )
        return judge.judge(prepared, weeks.plan.taking)

    def _open_weeks(self, plan: WeekPlan, batch: PreparedBatch) -> None:
        """Give the weeks that open their row, then make sure of their partition.

        In this order: a partition without an open week may be dropped, and the row keeps it. And before any partitioned
        table is touched: the row waits for a drop that is under way, and the drop for those who use the table.
        """
        if plan.restoring or (self.is_history and batch.events is not None and batch.events.packed.voids):
            self.connection.execute("lock table ops.week_states in row exclusive mode")
        if not plan.opening:
            return
        self.connection.execute(
            """
            insert into ops.week_states (organization_id, week_start, state, opened_at)
            select %s, opening.week_start, 'open', %s from unnest(%s::date[]) as opening (week_start)
            """,
            [self.organization_id, self.as_of, list(plan.opening)],
        )
        partitions.let_go_of_snapshot(self.connection)
        partitions.ensure_for_dates(self.maintenance, "stage_one.event_keys", plan.opening)

    def _follow_merges(self, batch_id: int) -> None:
        """Give rows of users whom a roster has merged since the run began to the users that stayed."""
        for column in ("learner_id", "trainer_id"):
            self.connection.execute(
                psycopg.sql.SQL(
                    """
                    update stage_one.raw_data_collection as events
                    set {column} = merges.user_id
                    from ops.user_merges as merges
                    where
                        merges.organization_id = %(organization_id)s
                        and merges.roster_id > %(last_roster_id)s
                        and events.organization_id = %(organization_id)s
                        and events.batch_id = %(batch_id)s
                        and events.collected_at = %(as_of)s
                        and events.{column} = merges.merged_user_id
                    """
                ).format(column=psycopg.sql.Identifier(column)),
                {
                    "organization_id": self.organization_id,
                    "last_roster_id": self.last_roster_id,
                    "batch_id": batch_id,
                    "as_of": self.as_of,
                },
            )

    def _require_known_people(self, batch_id: int) -> None:
        """Refuse rows of somebody who was erased since the run looked them up: the id must not come back."""
        row = self.connection.execute(
            """
            select
                (select count(*) from ops.erasures where organization_id = %(organization_id)s and is_rekeyed)
                > %(erasures)s
                and exists (
                    select
                    from stage_one.raw_data_collection as events
                    cross join unnest(array[events.learner_id, events.trainer_id]) as people (user_id)
                    where
                        events.organization_id = %(organization_id)s
                        and events.batch_id = %(batch_id)s
                        and events.collected_at = %(as_of)s
                        and people.user_id is not null
                        and not exists (
                            select
                            from core.users
                            where users.organization_id = %(organization_id)s and users.user_id = people.user_id
                        )
                )
            """,
            {
                "organization_id": self.organization_id,
                "erasures": self.erasures,
                "batch_id": batch_id,
                "as_of": self.as_of,
            },
        ).fetchone()
        if row == (True,):
            raise RetryableError(
                "A person of the batch was erased while it was being prepared. Nothing of it was written: collect again, and "
                "whoever did it becomes a new user."
            )

    def _close_unused_weeks(self, plan: WeekPlan, used: NDArray[np.int64]) -> None:
        """Take the rows of weeks away that opened for events that were then all refused."""
        taken = {binary_copy.to_date(day) for day in np.unique(used).tolist()}
        unused = [week for week in plan.opening if week not in taken]
        if unused:
            self.connection.execute(
                "delete from ops.week_states where organization_id = %s and week_start = any(%s)",
                [self.organization_id, unused],
            )

    def _write_events(self, batch: PreparedBatch, prepared: PreparedEvents, judgement: Judgement) -> set[datetime]:
        """Write keys and rows, apply voids; return the collected hours, other than the batch's own, that changed."""
        positions = np.flatnonzero(judgement.accepted)
        packed = prepared.packed
        ledger = Ledger(self.connection, self.organization_id)
        ledger.add(packed.ids[positions], prepared.days[positions], packed.content_hashes[positions], batch.batch_id)
        self.known_ids.add(packed.ids[positions])
        faults.reach("collect.keys_written")
        rows = prepared.rows(positions.tolist())
        if rows:
            self._copy_events(binary_copy.blocks(rows, 2 * _ROWS_PER_BLOCK))
        faults.reach("collect.events_written")
        changed = voids.apply(self.connection, self.organization_id, batch.batch_id, self.as_of, judgement.effects)
        faults.reach("collect.voids_applied")
        return {_hour(collected_at) for collected_at in changed}

    def _write_columns(self, batch: PreparedBatch, prepared: PreparedColumns, judgement: Judgement) -> None:
        if not judgement.accepted.any():
            return
        self._copy_events(
            pack_event_columns(
                selected(prepared.columns, judgement.accepted),
                organization_id=self.organization_id,
                batch_id=batch.batch_id,
                source_id=batch.source_id,
                collected_at=self.as_of,
                learner_ids=prepared.learner_ids,
                object_ids=prepared.object_ids,
                verb_id=prepared.verb_id,
                course_id=prepared.course_id,
                local_midnights=prepared.midnights,
            )
        )
        faults.reach("collect.events_written")

    def _copy_events(self, blocks: Iterable[bytes]) -> None:
        with self.connection.cursor().copy(_COPY_EVENTS) as copy:
            copy.write(binary_copy.HEADER)
            for block in blocks:
                copy.write(block)
            copy.write(binary_copy.TRAILER)

    def _record(self, batch: PreparedBatch, outcome: BatchOutcome, hours: Iterable[datetime]) -> None:
        """Record the batch, the hours to be built, and where the input goes on."""
        is_replay = batch.input_id is None
        refused = sum(outcome.quarantined.values())
        resolved = outcome.events_accepted + outcome.duplicates
        is_complete = not is_replay and batch.is_last.result()
        self.connection.execute(
            """
            with hours as (
                insert into ops.pending_hours (organization_id, collected_hour, marked_by)
                select %(organization_id)s, pending.collected_hour, %(batch_id)s
                from unnest(%(hours)s::timestamptz[]) as pending (collected_hour)
                on conflict (organization_id, collected_hour) do update set marked_by = excluded.marked_by
            ),
            input as (
                update ops.inputs
                set
                    next_ordinal = %(last_ordinal)s + 1,
                    completed_at = case when %(is_complete)s then %(as_of)s::timestamptz end
                where organization_id = %(organization_id)s and input_id = %(input_id)s
            )
            insert into ops.batches (
                organization_id, batch_id, source_id, input_id, first_ordinal, last_ordinal, collected_at, collected_hour,
                is_history, has_event_keys, records_read, events_accepted, duplicates, quarantined, run_id
            )
            overriding system value
            values (
                %(organization_id)s, %(batch_id)s, %(source_id)s, %(input_id)s, %(first_ordinal)s, %(last_ordinal)s, %(as_of)s,
                %(hour)s, %(is_history)s, %(has_event_keys)s, %(records_read)s, %(accepted)s, %(duplicates)s, %(refused)s,
                %(run_id)s
            )
            """,
            {
                "organization_id": self.organization_id,
                "batch_id": batch.batch_id,
                "source_id": batch.source_id,
                "input_id": batch.input_id,
                "first_ordinal": batch.first_ordinal,
                "last_ordinal": batch.last_ordinal,
                "as_of": self.as_of,
                "hour": _hour(self.as_of),
                "hours": sorted(hours),
                "is_history": self.is_history,
                "has_event_keys": batch.columns is None,
                "is_complete": is_complete,
                "records_read": resolved if is_replay else batch.records_read,
                "accepted": outcome.events_accepted,
                "duplicates": outcome.duplicates,
                "refused": 0 if is_replay else refused,
                "run_id": self.run_id,
            },
        )
        faults.reach("collect.batch_recorded")

    def _log(self, batch: PreparedBatch, outcome: BatchOutcome) -> None:
        _LOG.info(
            "batch committed",
            extra={
                "organization_id": self.organization_id,
                "run_id": self.run_id,
                "batch_id": batch.batch_id,
                "records_read": outcome.records_read,
                "events_accepted": outcome.events_accepted,
                "duplicates": outcome.duplicates,
                "quarantined": dict(outcome.quarantined),
            },
        )


@dataclass(frozen=True, slots=True)
class _Transaction:
    """Commits at its end, or rolls back; turns the server's complaints into errors that say whether to try again."""

    connection: Connection

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        if kind is None:
            self.connection.commit()
            return
        if not self.connection.closed:
            self.connection.rollback()
        if isinstance(error, psycopg.errors.CheckViolation) and error.diag.constraint_name is None:
            # So PostgreSQL reports a row for which its table has no partition.
            raise PartitionMissingError(
                f"{error.diag.schema_name}.{error.diag.table_name} has no partition for a row. Collect again."
            ) from error
        if isinstance(error, _PASSING):
            raise RetryableError(f"PostgreSQL gave up a batch: {str(error).splitlines()[0]}. Collect again.") from error
        if isinstance(error, psycopg.Error):
            # The server's own words may quote a row.
            raise LyceumError(
                f"PostgreSQL refused a batch ({type(error).__name__}, SQLSTATE {error.sqlstate}, table {error.diag.table_name}); "
                "nothing of it was written. This is a defect of Lyceum: report it with the log."
            ) from None


_PASSING = (
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
    psycopg.errors.LockNotAvailable,
    psycopg.OperationalError,
)


def _hour(instant: datetime) -> datetime:
    return instant.replace(minute=0, second=0, microsecond=0)


def _refused_ordinals(batch: PreparedBatch, judgement: Judgement) -> Sequence[int]:
    ordinals = [refusal.ordinal for refusal in batch.refusals]
    if batch.events is not None:
        ordinals += batch.events.packed.ordinals[list(judgement.refused)].tolist()
    elif batch.columns is not None:
        ordinals += batch.columns.columns.ordinals[list(judgement.refused)].tolist()
    return ordinals
