"""What collection, builds, seals and replays must do to one organization, told without a database.

The rules are those of `docs/architecture.md` (Collect): refusals first, then clock and week, then the ledger of keys, then
voids; the first accepted copy of an id wins.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from oracle import figures
from oracle.calendars import Calendar, seal_due_at, week_of
from oracle.figures import Figures
from oracle.statements import Record, RefusedError, content, read_statement

CLOCK_TOLERANCE = timedelta(minutes=5)
RETENTION_YEARS = 7
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
    record: Record
    week: date
    is_voided: bool = False


class Warehouse:
    """One organization. `as_of` is an argument of everything that depends on time."""

    def __init__(self, calendar: Calendar, trainers: frozenset[str] = frozenset()) -> None:
        self.calendar = calendar
        self.trainers = trainers
        self.accepted: list[Accepted] = []
        self.quarantine: list[Quarantined] = []
        self.week_states: dict[date, str] = {}
        self.built_as_of: datetime | None = None
        self._awaited_voids: set[str] = set()
        self._by_id: dict[str, list[Accepted]] = defaultdict(list)

    def collect(self, delivered: Iterable[Any], as_of: datetime, *, is_history: bool = False) -> Outcome:
        """Take records (statements or `Unreadable`) in order."""
        outcome = Outcome()
        for one in delivered:
            self._take(one, as_of, is_history, outcome)
        return outcome

    def replay(self, as_of: datetime, reasons: Iterable[str] = REPLAYABLE) -> Outcome:
        """Collect what lies in quarantine once more, by the rules of history. What is refused again stays there."""
        outcome = Outcome()
        chosen = [one for one in self.quarantine if not one.is_resolved and one.reason in set(reasons)]
        for one in chosen:
            refused_before = outcome.quarantined.total()
            self._take(one.delivered, as_of, True, outcome)
            if outcome.quarantined.total() == refused_before:
                one.is_resolved = True
            else:
                self.quarantine.pop()
        return outcome

    def build(self, as_of: datetime) -> None:
        """Publish: from now on days are closed as of the latest build."""
        self.built_as_of = as_of if self.built_as_of is None else max(self.built_as_of, as_of)

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
        counted = [one.record for one in self.accepted if one.record.voids is None and not one.is_voided]
        return figures.compute(counted, self.calendar, self.closed_through, self.trainers)

    def _take(self, delivered: Any, as_of: datetime, is_history: bool, outcome: Outcome) -> None:
        if isinstance(delivered, Unreadable):
            self._refuse(delivered, delivered.reason, outcome)
            return
        try:
            record = read_statement(delivered)
        except RefusedError as refused:
            self._refuse(delivered, refused.reason, outcome)
            return
        week = week_of(record.day or self.calendar.local_date(record.occurred_at))
        reason = self._reason_by_clock(record, week, as_of, is_history)
        if reason is not None:
            self._refuse(delivered, reason, outcome)
            return
        if is_history and self.week_states.get(week) == "sealed":
            self.week_states[week] = "open"
        copies = self._live_copies(record.event_id)
        if any(content(one.record) == content(record) for one in copies):
            outcome.duplicates += 1
            return
        if copies:
            self._refuse(delivered, "conflict", outcome)
            return
        if record.voids is not None and not self._void(record.voids):
            self._refuse(delivered, "void_too_late", outcome)
            return
        self.week_states[week] = "open"
        accepted = Accepted(record, week, is_voided=record.event_id in self._awaited_voids)
        self.accepted.append(accepted)
        self._by_id[record.event_id].append(accepted)
        outcome.accepted += 1

    def _refuse(self, delivered: Any, reason: str, outcome: Outcome) -> None:
        self.quarantine.append(Quarantined(delivered, reason))
        outcome.quarantined[reason] += 1

    def _reason_by_clock(self, record: Record, week: date, as_of: datetime, is_history: bool) -> str | None:
        if record.occurred_at > as_of + CLOCK_TOLERANCE:
            return "in_the_future"
        if record.occurred_at < _years_before(as_of, RETENTION_YEARS):
            return "older_than_retention"
        state = self.week_states.get(week)
        is_too_late = state == "sealed" or (state is None and as_of >= seal_due_at(self.calendar, week))
        return "too_late" if is_too_late and not is_history else None

    def _void(self, target_id: str) -> bool:
        """Apply a void to its target, or remember it for a target that has not come yet; False when it is too late."""
        if target_id not in self._by_id:
            self._awaited_voids.add(target_id)
            return True
        live = self._live_copies(target_id)
        for one in live:
            one.is_voided = True
        return bool(live)

    def _live_copies(self, event_id: str) -> list[Accepted]:
        """Accepted events of that id in weeks that are open: only these are known to the ledger."""
        copies = self._by_id.get(event_id, [])
        return [one for one in copies if self.week_states[one.week] == "open"]


def _years_before(instant: datetime, years: int) -> datetime:
    try:
        return instant.replace(year=instant.year - years)
    except ValueError:
        return instant.replace(year=instant.year - years, day=28)
