"""What collection, rosters, builds, seals and replays must do to one organization, told without a database.

The rules are those of `docs/architecture.md` (Collect): refusals first, then clock and week, then the ledger of keys, then
voids; the first accepted copy of an id wins.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from oracle import figures
from oracle.calendars import Calendar, seal_due_at, week_of
from oracle.figures import Figures
from oracle.rosters import Courses, Delivery, Options, People, Rosters, SpokenDays
from oracle.statements import Record, RefusedError, content, read_statement

CLOCK_TOLERANCE = timedelta(minutes=5)
RAW_DAY = timedelta(days=1)
QUARANTINE = timedelta(days=90)
RETENTION_YEARS = 7
WEEK = timedelta(days=7)
REPLAYABLE = frozenset({"conflict", "too_late", "void_too_late", "in_the_future", "older_than_retention"})


@dataclass(frozen=True)
class Unreadable:
    """A record that is no JSON object: the reason it must be refused with."""

    reason: str


@dataclass
class Quarantined:
    """A refused record. `delivered` is a statement or an `Unreadable`."""

    delivered: Any
    reason: str
    at: datetime
    is_resolved: bool = False


@dataclass
class Outcome:
    """What became of the records of one collection: read = accepted + duplicates + quarantined."""

    accepted: int = 0
    duplicates: int = 0
    quarantined: Counter[str] = field(default_factory=Counter)

    @property
    def read(self) -> int:
        return self.accepted + self.duplicates + self.quarantined.total()


@dataclass
class Accepted:
    """`record` names the learner, the trainer and the course as they were known when it was collected."""

    record: Record
    week: date
    at: datetime
    is_voided: bool = False
    has_raw_row: bool = True


@dataclass(frozen=True)
class _Reading:
    """One delivered record: the event in it and its week, or the reason why there is none."""

    delivered: Any
    record: Record | None = None
    week: date | None = None
    reason: str | None = None


class Warehouse:
    """One organization. `as_of` is an argument of everything that depends on time."""

    def __init__(self, calendar: Calendar) -> None:
        self.calendar = calendar
        self.people = People()
        self.courses = Courses()
        self.rosters = Rosters(self.people, self.courses)
        self.accepted: list[Accepted] = []
        self.quarantine: list[Quarantined] = []
        self.week_states: dict[date, str] = {}
        self.built_as_of: datetime | None = None
        self.first_published: date | None = None
        self._awaited_voids: set[str] = set()
        self._unbuilt_days: set[date] = set()
        self._by_id: dict[str, list[Accepted]] = defaultdict(list)

    def collect(self, delivered: Iterable[Any], as_of: datetime, *, is_history: bool = False) -> Outcome:
        """Take the records (statements or `Unreadable`) of one input in order, as one batch."""
        outcome = Outcome()
        readings = [self._read(one, as_of) for one in delivered]
        if is_history:
            self._reopen({reading.week for reading in readings if reading.week is not None})
        for reading in readings:
            reason = reading.reason or self._take(reading, as_of, is_history, outcome)
            if reason is not None:
                self.quarantine.append(Quarantined(reading.delivered, reason, as_of))
                outcome.quarantined[reason] += 1
        return outcome

    def replay(self, as_of: datetime, reason: str) -> Outcome:
        """Collect what lies in quarantine once more, by the rules of history. What is refused again stays there; where
        nothing is resolved, nothing changes."""
        outcome = Outcome()
        chosen = [one for one in self.quarantine if not one.is_resolved and one.reason == reason]
        readings = [self._read(one.delivered, as_of) for one in chosen]
        states_before = dict(self.week_states)
        self._reopen({reading.week for reading in readings if reading.week is not None})
        for one, reading in zip(chosen, readings, strict=True):
            refused_with = reading.reason or self._take(reading, as_of, True, outcome)
            if refused_with is None:
                one.is_resolved = True
            else:
                outcome.quarantined[refused_with] += 1
        if not outcome.accepted + outcome.duplicates:
            self.week_states = states_before
        return outcome

    def deliver_roster(self, source: str, delivery: Delivery, as_of: datetime, seen: Sequence[str] = ()) -> None:
        """Take one delivery of a roster, known at `as_of`. `seen` are users in the order in which they were first met."""
        spoken = SpokenDays(self._first_open_day(as_of), self.first_published)
        self.rosters.deliver(source, delivery, self.calendar.local_date(as_of), spoken, seen)

    def configure_source(self, source: str, options: Options) -> None:
        """Say how to read a source of rosters."""
        self.rosters.configure(source, options)

    def build(self, as_of: datetime) -> None:
        """Publish: from now on days are closed as of the latest build, and nothing waits."""
        self._unbuilt_days.clear()
        self.built_as_of = as_of if self.built_as_of is None else max(self.built_as_of, as_of)
        self.first_published = min((self._day(record) for record in self._counted()), default=None)

    def clean_up(self, as_of: datetime) -> None:
        """Forget the raw rows of days that ended a day ago, and the refusals of months that ended 90 days ago, unless
        something of them waits to be built. What was published stays as it is."""
        for one in self.accepted:
            day = one.at.astimezone(UTC).date()
            if day not in self._unbuilt_days and as_of >= _midnight(day + RAW_DAY) + RAW_DAY:
                one.has_raw_row = False
        kept_months = {(day.year, day.month) for day in self._unbuilt_days}
        self.quarantine = [
            one
            for one in self.quarantine
            if (one.at.year, one.at.month) in kept_months or as_of < _next_month(one.at) + QUARANTINE
        ]

    def seal(self, as_of: datetime) -> list[date]:
        """Seal every open week that is due; everything collected must have been built. Returns the weeks."""
        due = [
            week
            for week, state in self.week_states.items()
            if state == "open" and as_of >= seal_due_at(self.calendar, week)
        ]
        for week in due:
            self.week_states[week] = "sealed"
        return sorted(due)

    @property
    def closed_through(self) -> date:
        """Last closed day of the latest build."""
        if self.built_as_of is None:
            raise LookupError("nothing was built yet")
        return self.calendar.last_closed_day(self.built_as_of)

    @property
    def open_weeks(self) -> set[date]:
        return {week for week, state in self.week_states.items() if state == "open"}

    def figures(self) -> Figures:
        """Every row that the latest build must have published, if it built all that was collected."""
        counted = self._counted()
        through = max([self.closed_through, *(self._day(record) for record in counted)])
        return figures.compute(counted, self.calendar, self.closed_through, self.rosters.days(through))

    def _counted(self) -> list[Record]:
        """The records that count, told for the users who stand for their learner and trainer on their day."""
        counted = []
        for one in self.accepted:
            if one.record.voids is None and not one.is_voided:
                day, trainer = self._day(one.record), one.record.trainer
                counted.append(
                    replace(
                        one.record,
                        learner=self.people.on(one.record.learner, day),
                        trainer=None if trainer is None else self.people.on(trainer, day),
                    )
                )
        return counted

    def _day(self, record: Record) -> date:
        return record.day or self.calendar.local_date(record.occurred_at)

    def _first_open_day(self, as_of: datetime) -> date:
        """Monday of the earliest week that takes events."""
        week = week_of(self.calendar.local_date(as_of))
        while as_of < seal_due_at(self.calendar, week - WEEK):
            week -= WEEK
        return week

    def _known(self, record: Record) -> Record:
        """The record as it is stored: users instead of identities, a course instead of an activity."""
        course = record.course
        return replace(
            record,
            learner=self.people.met(record.learner),
            trainer=None if record.trainer is None else self.people.met(record.trainer),
            course=None if course is None else self.courses.met(course),
            course_activity=course,
        )

    def _read(self, delivered: Any, as_of: datetime) -> _Reading:
        """What the record and the clock alone decide."""
        if isinstance(delivered, Unreadable):
            return _Reading(delivered, reason=delivered.reason)
        try:
            record = read_statement(delivered)
        except RefusedError as refused:
            return _Reading(delivered, reason=refused.reason)
        if record.occurred_at > as_of + CLOCK_TOLERANCE:
            return _Reading(delivered, reason="in_the_future")
        if record.occurred_at < _years_before(as_of, RETENTION_YEARS):
            return _Reading(delivered, reason="older_than_retention")
        return _Reading(delivered, record, week_of(self._day(record)))

    def _reopen(self, weeks: Iterable[date]) -> None:
        for week in weeks:
            if self.week_states.get(week) == "sealed":
                self.week_states[week] = "open"

    def _take(self, reading: _Reading, as_of: datetime, is_history: bool, outcome: Outcome) -> str | None:
        """Accept the event or count it as a duplicate, or return the reason why it is refused."""
        record, week = reading.record, reading.week
        assert record is not None
        assert week is not None
        state = self.week_states.get(week)
        if not is_history and (state == "sealed" or (state is None and as_of >= seal_due_at(self.calendar, week))):
            return "too_late"
        copies = self._live_copies(record.event_id)
        if any(content(one.record) == content(record) for one in copies):
            outcome.duplicates += 1
            return None
        if copies:
            return "conflict"
        if record.voids is not None and not self._void(record.voids, is_history):
            return "void_too_late"
        self.week_states[week] = "open"
        self._unbuilt_days.add(as_of.astimezone(UTC).date())
        accepted = Accepted(self._known(record), week, as_of, is_voided=record.event_id in self._awaited_voids)
        self._awaited_voids.discard(record.event_id)
        self.accepted.append(accepted)
        self._by_id[record.event_id].append(accepted)
        outcome.accepted += 1
        return None

    def _void(self, target_id: str, is_history: bool) -> bool:
        """Apply a void to its target, or remember it for a target that has not come; False when it is too late.

        It is too late once the target's raw row is gone, or its week is sealed. History reopens the week, too.
        """
        known = self._by_id.get(target_id, [])
        if not known:
            self._awaited_voids.add(target_id)
            return True
        target = max(known, key=lambda one: (self.week_states[one.week] == "open", one.week))
        if not target.has_raw_row:
            return False
        if is_history:
            self._reopen([target.week])
        if self.week_states[target.week] == "sealed":
            return False
        if not target.is_voided:
            self._unbuilt_days.add(target.at.astimezone(UTC).date())
        target.is_voided = True
        return True

    def _live_copies(self, event_id: str) -> list[Accepted]:
        """Accepted events of that id in weeks that are open: only these are known to the ledger."""
        copies = self._by_id.get(event_id, [])
        return [one for one in copies if self.week_states[one.week] == "open"]


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _next_month(instant: datetime) -> datetime:
    return datetime(instant.year + instant.month // 12, instant.month % 12 + 1, 1, tzinfo=UTC)


def _years_before(instant: datetime, years: int) -> datetime:
    try:
        return instant.replace(year=instant.year - years)
    except ValueError:
        return instant.replace(year=instant.year - years, day=28)
