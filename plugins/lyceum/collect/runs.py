"""One run of collection for one source: its connections, its clock, and the pipeline of its batches.

While the server works on one batch, in a thread that waits for it, the next is read and prepared. Batches of a run are
committed one after the other, in the order of their inputs.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import psycopg

from lyceum import database, faults, identity, organizations, partitions
from lyceum.collect import parameters
from lyceum.collect.archived_keys import find_archived_keys
from lyceum.collect.batches import BatchWriter, PartitionMissingError
from lyceum.collect.clock import Clock
from lyceum.collect.dictionaries import Dictionaries
from lyceum.collect.inputs import ChangedInputError, complete_input, register_input
from lyceum.collect.known_ids import KnownIds
from lyceum.collect.packing import PackedChunk
from lyceum.collect.preparation import Preparation, PreparedBatch
from lyceum.collect.raw_days import require_whole_hour
from lyceum.collect.reading import read_chunks
from lyceum.collect.reports import BatchOutcome, CollectReport, InputFailure, InputReport, Progress
from lyceum.database import Connection, ConnectionTarget
from lyceum.errors import ConfigurationError, InputError, RetryableError
from lyceum.identity import OrganizationHasher
from lyceum.organizations import Format, Organization, Source
from lyceum.records import Input
from lyceum.settings import Settings

_LOG = logging.getLogger("lyceum.collect")
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Run:
    """What the batches of one run share. `open_run` makes it.

    `names` serves the thread that reads, `writing` and `maintenance` the thread that writes; `names` and `maintenance` are in
    autocommit mode.
    """

    organization: Organization
    source: Source
    as_of: datetime
    is_history: bool
    run_id: str
    names: Connection
    maintenance: Connection
    hasher: OrganizationHasher
    preparation: Preparation
    writer: BatchWriter
    ready_weeks: set[date] = field(default_factory=set)

    def prepare(self, chunk: PackedChunk, input_id: int | None) -> PreparedBatch:
        """Return the chunk as a batch whose names are resolved and whose partitions exist."""
        row = self.names.execute("select nextval(pg_get_serial_sequence('ops.batches', 'batch_id'))").fetchone()
        assert row is not None
        batch = self.preparation.prepare(chunk, batch_id=row[0], input_id=input_id)
        faults.reach("collect.names_resolved")
        new = batch.weeks - self.ready_weeks
        if new:
            partitions.ensure_for_dates(self.names, "stage_one.event_keys", self._weeks_taking(new))
            self.ready_weeks.update(new)
        faults.reach("collect.partitions_ensured")
        return batch

    @property
    def sockets(self) -> list[int]:
        """The connections' files, which belong to this process alone."""
        return [connection.fileno() for connection in (self.names, self.maintenance, self.writer.connection)]

    def write(self, batch: PreparedBatch) -> BatchOutcome | None:
        """Commit the batch, making a partition anew that was dropped in between."""
        for _ in range(_ATTEMPTS - 1):
            try:
                return self.writer.write(batch)
            except PartitionMissingError:
                self.ensure_partitions(self.maintenance, batch.weeks)
        return self.writer.write(batch)

    def ensure_partitions(self, connection: Connection, weeks: Iterable[date] = ()) -> None:
        """Make sure of the partitions for the run's own day and for the weeks that may take events."""
        today = [self.as_of.date()]
        partitions.ensure_for_dates(connection, "stage_one.raw_data_collection", today)
        partitions.ensure_for_dates(connection, "stage_one.quarantine", today)
        partitions.ensure_for_dates(connection, "stage_one.event_keys", self._weeks_taking(set(weeks)))

    def require_open_weeks(self, entry: Input, batch: PreparedBatch) -> None:
        """Refuse an input of days alone whose first batch would go to quarantine as a whole, where nothing could replay it.

        Raises `InputError` before anything of it is written.
        """
        if batch.columns is None or not batch.weeks or self._weeks_taking(batch.weeks):
            return
        raise InputError(
            f"{entry.name} begins in weeks that are closed at {self.as_of.isoformat()}, from {min(batch.weeks)} to "
            f"{max(batch.weeks)}: its records would all be refused, and nothing of it was collected. Load it with --history."
        )

    def _weeks_taking(self, weeks: set[date]) -> set[date]:
        """Return the weeks without those that are closed for this run: a late or false date must not make partitions."""
        if self.is_history or not weeks:
            return weeks
        rows = self.names.execute(
            "select week_start from ops.week_states where organization_id = %s and state = 'open' and week_start = any(%s)",
            [self.organization.organization_id, sorted(weeks)],
        ).fetchall()
        is_open = {week for (week,) in rows}
        calendar = self.preparation.calendar
        return {week for week in weeks if week in is_open or self.as_of < calendar.seal_due_at(week)}


@contextlib.contextmanager
def open_run(
    target: ConnectionTarget,
    settings: Settings,
    *,
    organization: str,
    source: str | None,
    source_format: Format,
    as_of: datetime,
    is_history: bool,
    run_id: str,
) -> Iterator[Run]:
    """Connect, check the clock and make what every batch needs.

    Raises `ConfigurationError` when the organization is unknown, the source delivers another format, or `as_of` cannot be.
    """
    as_of = _require_aware(as_of).astimezone(UTC)
    with (
        database.connect(target, autocommit=True, application_name="lyceum collect names") as names,
        database.connect(target, autocommit=True, application_name="lyceum collect partitions") as maintenance,
        database.connect(target, application_name="lyceum collect") as writing,
    ):
        for connection in (names, writing):
            # Statements differ in their literals, and generic plans would be worse than none.
            connection.prepare_threshold = None
            parameters.register(connection)
        tenant = organizations.find_organization(names, organization)
        _require_usable_clock(names, tenant, as_of)
        require_whole_hour(names, tenant.organization_id, as_of)
        channel = organizations.ensure_source(names, tenant, source or source_format, source_format, as_of)
        calendar = organizations.load_calendar(names, tenant.organization_id)
        run = Run(
            organization=tenant,
            source=channel,
            as_of=as_of,
            is_history=is_history,
            run_id=run_id,
            names=names,
            maintenance=maintenance,
            hasher=identity.organization_hasher(names, settings, tenant.organization_id),
            preparation=Preparation(
                tenant.organization_id,
                channel.source_id,
                calendar,
                Clock(as_of),
                Dictionaries(names, tenant.organization_id, as_of),
            ),
            writer=BatchWriter(
                connection=writing,
                maintenance=maintenance,
                restore_week=_restorer(settings, maintenance, tenant),
                find_archived=lambda connection, ids: find_archived_keys(
                    connection, settings, tenant.organization_id, ids
                ),
                organization_id=tenant.organization_id,
                calendar=calendar,
                as_of=as_of,
                is_history=is_history,
                run_id=run_id,
                known_ids=KnownIds(tenant.organization_id),
                last_roster_id=_last_roster_id(names, tenant.organization_id),
                erasures=_count_erasures(names, tenant.organization_id),
            ),
        )
        try:
            run.ensure_partitions(names)
            yield run
        except psycopg.OperationalError as error:
            raise RetryableError(
                f"The connection to PostgreSQL failed: {str(error).splitlines()[0]}. Collect again; what was committed stays."
            ) from error


class Collector:
    """Collects inputs one after the other: a thread commits one batch while the caller's thread prepares the next.

    Use it as a context; leaving it waits for the batch at work. `report` tells what was done.
    """

    def __init__(self, run: Run, progress: Progress) -> None:
        self.run = run
        self._progress = progress
        self._unit = "records" if run.source.format == "oulad" else "bytes"
        self._total = 0
        self._finished = 0
        self._reports: list[InputReport] = []
        self._failures: list[InputFailure] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="lyceum-collect")
        self._running: Future[None] | None = None

    def __enter__(self) -> Collector:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # The batch at work is finished even after an error elsewhere: it is whole, and its input goes on behind it.
        self._thread.shutdown(wait=True)
        if kind is None:
            self._wait()
            self._progress(self._total, self._total, self._unit)

    def collect(self, inputs: Sequence[Input]) -> None:
        """Collect the inputs in order. What an earlier run completed is skipped, what it began goes on.

        The last batch may still be at work when this returns. Raises what went wrong, with an earlier input, too.
        """
        self._total += sum(entry.progress_total for entry in inputs)
        for entry in inputs:
            report = InputReport(entry.name)
            try:
                self._collect(entry, report)
            except ChangedInputError as error:
                # A refused input costs nothing but itself.
                self._failures.append(InputFailure(entry.name, str(error)))
            else:
                self._reports.append(report)
            self._finished += entry.progress_total

    def wait(self) -> None:
        """Wait until everything handed in is committed. Raises what went wrong with it."""
        self._wait()

    def report(self, *, failures: Sequence[InputFailure] = (), deliveries_known: int = 0) -> CollectReport:
        """Return what was done, and log it."""
        run = self.run
        report = CollectReport(
            run.organization.slug,
            run.source.name,
            run.as_of,
            tuple(self._reports),
            (*failures, *self._failures),
            deliveries_known,
        )
        _LOG.info(
            "source collected",
            extra={
                "organization": report.organization,
                "source": report.source,
                "run_id": run.run_id,
                "inputs": len(report.inputs),
                "inputs_known": report.inputs_known,
                "batches": report.batches,
                "records_read": report.records_read,
                "events_accepted": report.events_accepted,
                "duplicates": report.duplicates,
                "quarantined": dict(report.quarantined),
                "failures": len(report.failures),
            },
        )
        return report

    def _collect(self, entry: Input, report: InputReport) -> None:
        run = self.run
        tenant = run.organization.organization_id
        registered = register_input(run.names, tenant, run.source.source_id, entry, run.as_of)
        faults.reach("collect.input_registered")
        if registered.is_completed:
            report.is_known = True
            if run.is_history:
                self._collect_refused(entry, registered.input_id, report)
            return
        last: PreparedBatch | None = None
        try:
            chunks = read_chunks(
                entry,
                registered.next_ordinal,
                run.hasher,
                before_fork=self._wait,
                inherited_files=run.sockets,
            )
            for chunk in chunks:
                if last is not None:
                    last.is_last.set_result(False)
                    last = None
                batch = run.prepare(chunk, registered.input_id)
                if batch.first_ordinal == 1:
                    run.require_open_weeks(entry, batch)
                # Whatever happens from here on, the batch at work must not wait for an answer that never comes.
                last = batch
                self._submit(batch, report, self._done(entry, chunk))
        except BaseException:
            if last is not None and not last.is_last.done():
                last.is_last.set_result(False)
            raise
        if last is not None:
            last.is_last.set_result(True)
        else:
            complete_input(run.names, tenant, registered.input_id, run.as_of)
        faults.reach("collect.input_completed")

    def _collect_refused(self, entry: Input, input_id: int, report: InputReport) -> None:
        from lyceum.collect.replays import collect_refused

        self._wait()
        for chunk, outcome in collect_refused(self.run, entry, input_id):
            if outcome is not None:
                report.add(outcome)
            self._progress(self._done(entry, chunk), self._total, self._unit)

    def _submit(self, batch: PreparedBatch, report: InputReport, done: int) -> None:
        """Wait until the batch before is committed, then let this one be."""
        self._wait()
        self._running = self._thread.submit(self._write, batch, report, done)

    def _wait(self) -> None:
        if self._running is not None:
            running, self._running = self._running, None
            running.result()

    def _write(self, batch: PreparedBatch, report: InputReport, done: int) -> None:
        outcome = self.run.write(batch)
        if outcome is not None:
            report.add(outcome)
        self._progress(done, self._total, self._unit)

    def _done(self, entry: Input, chunk: PackedChunk) -> int:
        return self._finished + min(chunk.position, entry.progress_total)


def _last_roster_id(connection: Connection, organization_id: int) -> int:
    row = connection.execute(
        "select coalesce(max(roster_id), 0) from ops.rosters where organization_id = %s", [organization_id]
    ).fetchone()
    assert row is not None
    return int(row[0])


def _count_erasures(connection: Connection, organization_id: int) -> int:
    row = connection.execute(
        "select count(*) from ops.erasures where organization_id = %s and is_rekeyed", [organization_id]
    ).fetchone()
    assert row is not None
    return int(row[0])


def _restorer(settings: Settings, maintenance: Connection, tenant: Organization) -> Callable[[Connection, date], None]:
    def restore(connection: Connection, week: date) -> None:
        from lyceum import sealing

        sealing.restore_week(connection, maintenance, settings, tenant.organization_id, week)

    return restore


def _require_aware(as_of: datetime) -> datetime:
    if as_of.tzinfo is None:
        raise ConfigurationError(
            f"The clock {as_of.isoformat()} has no time zone. Expected an instant such as 2026-11-22T12:00:00Z."
        )
    return as_of


def _require_usable_clock(connection: Connection, tenant: Organization, as_of: datetime) -> None:
    """Refuse a clock so far behind the last build that the raw data of its day may be gone already."""
    row = connection.execute(
        """
        select watermarks.data_as_of, policies.retention
        from ops.organization_watermarks as watermarks
        cross join ops.partition_policies as policies
        where
            watermarks.organization_id = %s
            and policies.parent_table = 'stage_one.raw_data_collection'
            and watermarks.data_as_of - policies.retention > %s
        """,
        [tenant.organization_id, as_of],
    ).fetchone()
    if row is not None:
        built_as_of, retention = row
        raise ConfigurationError(
            f"The clock {as_of.isoformat()} lies more than {retention} before {built_as_of.isoformat()}, as of which "
            f"{tenant.slug!r} was built: raw data of that day is gone. Expected a later --as-of; old events are loaded with "
            "--history and a clock of today."
        )
