"""Pulling a Learning Record Store: its statements become inputs like any other, and its cursor follows what is committed."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lyceum import database, faults
from lyceum.collect.formats import open_inputs
from lyceum.collect.reports import CollectReport, Progress, silent
from lyceum.collect.runs import Collector, open_run
from lyceum.database import Connection, ConnectionTarget
from lyceum.errors import ConfigurationError, InputError, RetryableError
from lyceum.lrs import windows
from lyceum.lrs.authorization import Elapsed
from lyceum.lrs.clock_of_store import can_tell, find_clock
from lyceum.lrs.credentials import FindCredentials
from lyceum.lrs.cursors import Cursor, FiltersBy, forget_progress, read_cursor, write_cursor
from lyceum.lrs.options import LrsOptions
from lyceum.lrs.reaching import reach_store
from lyceum.lrs.sources import find_source
from lyceum.lrs.spool import Spool, SpoolFile, open_spool
from lyceum.lrs.statements import Page, Query, StatementStore, Times, instant_text, times_of
from lyceum.lrs.transport import Pause
from lyceum.organizations import Source
from lyceum.settings import Settings

_LOG = logging.getLogger("lyceum.lrs")
_LOCK = "lyceum.lrs.pull"
_TOLERANCE = timedelta(seconds=2)
_MOST_QUESTIONS = 3


@dataclass(frozen=True, slots=True)
class PullReport:
    """What a pull did. `collected` counts what became of the statements; `statements` those that the store sent.

    `pulled_through` is the cursor now, None while nothing is known to be complete; `filters_by` the property by which the store
    applies since and until, None while unknown; `version` the version of xAPI that both sides speak, None when nothing was asked.
    `is_finished` is False when the pull ran out of its time before it came to its clock: the next one goes on.
    """

    collected: CollectReport
    pages: int
    statements: int
    pulled_through: datetime | None
    filters_by: FiltersBy | None
    version: str | None
    is_finished: bool = True


def pull(
    target: ConnectionTarget,
    settings: Settings,
    *,
    organization: str,
    source: str,
    as_of: datetime,
    run_id: str,
    find_credentials: FindCredentials,
    is_history: bool = False,
    is_anew: bool = False,
    seconds: float | None = None,
    progress: Progress = silent,
    pause: Pause = time.sleep,
    elapsed: Elapsed = time.monotonic,
) -> PullReport:
    """Collect what the source's Learning Record Store has stored since the last pull, at most what it has stored at `as_of`.

    May be repeated at will: what is asked for twice is a duplicate. With `is_history` weeks that were never built open, as in
    `collect_paths`, in this pull and, should it not come to its end, in those that go on with it. With `is_anew` everything is
    asked for again from the beginning. After so many `seconds` the pull is left where it stands, for the next to go on.

    Raises `ConfigurationError` (source, credentials, a store that refuses), `RetryableError` (the store cannot be reached, or
    another pull of the source is running), `InputError` (a store that cannot be followed safely); what was committed before
    stays, and the next pull goes on behind it.
    """
    with (
        database.connect(target, autocommit=True, application_name="lyceum lrs") as connection,
        contextlib.ExitStack() as stack,
    ):
        configured = find_source(connection, organization, source)
        channel, options = configured.source, configured.lrs
        if options is None:
            raise ConfigurationError(
                f"The source {source!r} of {organization!r} takes files and cannot be pulled. Expected one of channel lrs."
            )
        if not channel.is_active:
            raise ConfigurationError(
                f"The source {source!r} of {organization!r} is not active. 'lyceum source add' with its name takes it up again."
            )
        stack.enter_context(_sole_pull(connection, channel))
        if is_anew:
            forget_progress(connection, channel.organization_id, channel.source_id)
        cursor = read_cursor(connection, channel.organization_id, channel.source_id, options)
        cursor = replace(cursor, is_history=cursor.is_history or is_history)
        spool = open_spool(settings.spool, organization, source)
        run = stack.enter_context(
            open_run(
                target,
                settings,
                organization=organization,
                source=source,
                source_format=channel.format,
                as_of=as_of,
                is_history=cursor.is_history,
                run_id=run_id,
            )
        )
        collector = stack.enter_context(Collector(run, progress))
        intake = _Intake(collector, settings, spool)
        intake.collect_waiting()
        store = stack.enter_context(reach_store(channel, options, find_credentials, pause=pause, elapsed=elapsed))
        began = elapsed()
        pulling = _Pull(
            connection,
            channel,
            options,
            store,
            intake,
            cursor,
            as_of.astimezone(UTC),
            lambda: seconds is None or elapsed() - began < seconds,
        )
        try:
            cursor = pulling.run()
        finally:
            # Whatever became of the store: what is committed need not stay on disk.
            intake.settle()
        spool.close()
        report = PullReport(
            collector.report(),
            pulling.pages,
            pulling.statements,
            cursor.pulled_through,
            cursor.filters_by,
            store.version,
            pulling.is_finished,
        )
    _LOG.info(
        "store pulled",
        extra={
            "organization": organization,
            "source": source,
            "run_id": run_id,
            "pages": report.pages,
            "statements": report.statements,
            "pulled_through": report.pulled_through,
            "filters_by": report.filters_by,
            "is_finished": report.is_finished,
        },
    )
    return report


@contextlib.contextmanager
def _sole_pull(connection: Connection, source: Source) -> Iterator[None]:
    """Hold the source for this pull. Raises `RetryableError` when another pull has it."""
    row = connection.execute("select pg_try_advisory_lock(hashtext(%s), %s)", [_LOCK, source.source_id]).fetchone()
    assert row is not None
    if not row[0]:
        raise RetryableError(
            f"Another pull of the source {source.name!r} of {source.organization!r} is running. Wait for it; it collects the same."
        )
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("select pg_advisory_unlock(hashtext(%s), %s)", [_LOCK, source.source_id])


class _Intake:
    """Collects spooled files one after the other, and removes each once everything in it is committed."""

    def __init__(self, collector: Collector, settings: Settings, spool: Spool) -> None:
        self.spool = spool
        self._collector = collector
        self._settings = settings
        self._begun: Path | None = None

    def collect_waiting(self) -> None:
        """Collect what a pull that died has left."""
        for path in self.spool.waiting():
            self.collect(path)
        self.settle()

    def collect(self, path: Path) -> None:
        """Collect a finished file. Its last batch may still be at work when this returns."""
        self.settle()
        self._begun = path
        self._collector.collect(open_inputs("xapi", path, self._settings))

    def settle(self) -> None:
        """Wait until everything handed in is committed, and remove its file."""
        self._collector.wait()
        if self._begun is not None:
            faults.reach("lrs.spool_collected")
            self._begun.unlink()
            self._begun = None


class _Pull:
    """One pull on its way through time."""

    def __init__(
        self,
        connection: Connection,
        source: Source,
        options: LrsOptions,
        store: StatementStore,
        intake: _Intake,
        cursor: Cursor,
        as_of: datetime,
        has_time: Callable[[], bool],
    ) -> None:
        self.is_finished = True
        self.pages = 0
        self.statements = 0
        self._connection = connection
        self._source = source
        self._options = options
        self._store = store
        self._intake = intake
        self._as_of = as_of
        self._has_time = has_time
        self._questions = 0
        self._is_certain = True
        self._cursor = cursor

    def run(self) -> Cursor:
        """Go through time window by window until the clock of the run; return the cursor."""
        end = self._as_of.replace(microsecond=self._as_of.microsecond // 1000 * 1000)
        position = self._cursor.start(self._options)
        while position is None or position < end:
            width = self._cursor.width
            until = windows.window_end(position, end, width)
            # Should this window not be finished, the next attempt is to take a smaller one.
            self._remember(replace(self._cursor, width=windows.width_after_failure(width)))
            before = self.statements
            complete = self._pull_window(None if position is None else position - windows.SEAM, until)
            if not self.is_finished:
                break
            self._move(complete, until, windows.next_width(width, self.statements - before))
            faults.reach("lrs.cursor_moved")
            position = until
            if position < end and not self._has_time():
                self.is_finished = False
                break
        if self.is_finished and self._cursor.is_history:
            self._remember(replace(self._cursor, is_history=False))
        return self._cursor

    def _move(self, complete: datetime | None, until: datetime, width: timedelta) -> None:
        """Move the cursor to where the window is complete. Behind one that is not complete to its end no later one moves it: the store
        may have more to show of that one since.
        """
        cursor = replace(self._cursor, width=width)
        if self._is_certain:
            cursor = replace(cursor, pulled_through=_later(cursor.pulled_through, complete))
        self._is_certain = self._is_certain and complete == until
        self._remember(cursor)

    def _pull_window(self, since: datetime | None, until: datetime) -> datetime | None:
        """Collect the window as a whole; return through where it is complete, None when that cannot be known."""
        window = _Window(since, until, until)
        pages = self._store.pages(Query(since, until, self._options.page_size))
        number, is_done = 0, False
        while not is_done:
            number += 1
            with self._intake.spool.begin(window.file_name(number)) as file:
                is_done = self._fill(file, pages, window)
                path = file.finish() if file.records else None
            if path is not None:
                faults.reach("lrs.pages_spooled")
                self._intake.collect(path)
        self._intake.settle()
        return window.complete

    def _fill(self, file: SpoolFile, pages: Iterator[Page], window: _Window) -> bool:
        """Write pages until the file is full; return whether there is no further page, or no time for one."""
        for page in pages:
            self.pages += 1
            self.statements += len(page.statements)
            times = [times_of(statement) for statement in page.statements]
            self._require_within(window, times)
            self._learn_clock(times)
            file.write(page.statements)
            window.take(page, self._as_of, timedelta(seconds=self._options.settle_seconds))
            if page.more is not None and not self._has_time():
                self.is_finished = False
                return True
            if file.is_full:
                return False
        return True

    def _require_within(self, window: _Window, times: Sequence[Times]) -> None:
        """Refuse a store that sends what was not asked for: its windows would never end, or leave something out."""
        for found in times:
            if found.stored is None or window.holds(found.stored):
                continue
            if found.timestamp is None or not window.holds(found.timestamp):
                raise InputError(
                    f"The Learning Record Store of {self._source.organization}/{self._source.name} does not apply since and until: it "
                    "sent a statement that was neither stored in that time nor is of that time. Expected a store that does; collect "
                    "an export of it as a file."
                )

    def _learn_clock(self, times: Sequence[Times]) -> None:
        """Find out by which property the store applies since and until, with the first statements that can tell."""
        if self._cursor.filters_by is not None or self._questions >= _MOST_QUESTIONS:
            return
        telling = next((found for found in times if can_tell(found)), None)
        if telling is not None:
            self._questions += 1
            found = find_clock(self._store, telling, self._options.page_size)
            self._cursor = replace(self._cursor, filters_by=found)
            if found == "timestamp":
                _LOG.warning(
                    "store applies since and until to timestamps, not to stored: every pull looks back for late statements",
                    extra={"source": self._source.name, "lateness_days": self._options.lateness_days},
                )

    def _remember(self, cursor: Cursor) -> None:
        source = self._source
        write_cursor(self._connection, source.organization_id, source.source_id, self._options, cursor, self._as_of)
        self._cursor = cursor


@dataclass(slots=True)
class _Window:
    """A stretch of the store's time while it is pulled. `complete`: everything up to there is told, as far as the pages say."""

    since: datetime | None
    until: datetime
    complete: datetime | None

    def take(self, page: Page, as_of: datetime, settle: timedelta) -> None:
        """Let the page say how far the window is complete; the most cautious page counts."""
        found = windows.pulled_through(self.until, as_of, page.consistent_through, page.server_time, settle)
        self.complete = min(self.complete, found) if self.complete is not None and found is not None else None

    def holds(self, instant: datetime) -> bool:
        """Return whether the instant belongs to the window, give or take what stores cut off."""
        return (self.since is None or instant >= self.since - _TOLERANCE) and instant <= self.until + _TOLERANCE

    def file_name(self, number: int) -> str:
        """Return the name of the window's file with this number: names sort as their content does."""
        since = "beginning" if self.since is None else instant_text(self.since)
        return f"{since} to {instant_text(self.until)} {number:06}".replace(":", "")


def _later(known: datetime | None, found: datetime | None) -> datetime | None:
    if known is None or found is None:
        return known or found
    return max(known, found)
