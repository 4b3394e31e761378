"""Ranges of days and periods, with bounds: no question reads more than it shows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from lyceum.serving.figures import Period
from lyceum.serving.problems import invalid
from lyceum.serving.questions import Versions

# How many periods an answer may hold, and how many it holds when no range is asked for.
MOST = {"day": 400, "week": 260, "month": 120, "year": 10}
_USUAL = {"day": 30, "week": 12, "month": 12, "year": 3}
_DAYS = {"day": 1, "week": 7, "month": 28, "year": 365}
# Far enough from both ends of the calendar that no sum of days leaves it.
EARLIEST, LATEST = date(1970, 1, 1), date(3000, 1, 1)


@dataclass(frozen=True, slots=True)
class Range:
    """The starts of periods that are asked for, from the first to the last day. None: what is usual."""

    period: Period
    first: date | None
    last: date | None

    def __post_init__(self) -> None:
        """Raise `Problem` (422) for a range that is empty, too long or beyond the calendar."""
        for name, day in (("query.from", self.first), ("query.to", self.last)):
            if day is not None and not EARLIEST <= day < LATEST:
                raise invalid(name, f"Expected a day from {EARLIEST} to {LATEST - timedelta(days=1)}.")
        if self.first is not None and self.last is not None:
            if self.first > self.last:
                raise invalid("query.from", "Expected no later day than `to`.")
            self._require_short(self.first, self.last)

    def _require_short(self, first: date, last: date) -> None:
        if (last - first).days >= MOST[self.period] * _DAYS[self.period] * 1.1 + 31:
            raise invalid("query.from", f"Expected at most {MOST[self.period]} periods of a {self.period} at a time.")

    def days(self, versions: Versions) -> tuple[date, date]:
        """Return the first and the last day, within which every asked for period begins."""
        newest = versions.closed_through + timedelta(days=1) if versions.closed_through else EARLIEST
        span = timedelta(days=_USUAL[self.period] * _DAYS[self.period])
        if self.last is not None:
            last = self.last
        elif self.first is not None:
            # From a day on: as far as the answer may go.
            last = min(self.first + timedelta(days=(MOST[self.period] - 1) * _DAYS[self.period]), LATEST)
        else:
            last = newest
        first = self.first if self.first is not None else max(last - span + timedelta(days=1), EARLIEST)
        # The period that holds the first day is asked for, too.
        return start_of(self.period, first), last


def start_of(period: Period, day: date) -> date:
    """Return the first day of the period that holds a day."""
    if period == "day":
        return day
    if period == "week":
        return day - timedelta(days=day.weekday())
    if period == "month":
        return day.replace(day=1)
    return day.replace(month=1, day=1)
