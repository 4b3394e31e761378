"""Local days of an organization whose time zone may change at stated instants."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from zoneinfo import ZoneInfo

ONE_DAY = timedelta(days=1)
SMALLEST_STEP = timedelta(microseconds=1)
PERIOD_TYPES = ("day", "week", "month", "year")


@dataclass(frozen=True)
class Calendar:
    """`zones` are (effective from, zone name), oldest first; the oldest also holds for all time before it."""

    zones: tuple[tuple[datetime, str], ...]

    def local_date(self, instant: datetime) -> date:
        """The organization's calendar day at an instant."""
        name = self.zones[0][1]
        for effective_from, zone in self.zones:
            if effective_from <= instant:
                name = zone
        return instant.astimezone(_zone(name)).date()

    def day_end(self, day: date) -> datetime:
        """The first instant from which on no instant belongs to `day` or to a day before it.

        A day can only end where some zone's clock shows the next midnight (the first or the second time), or where the
        zone changes, so these instants are all that need looking at.
        """
        return _day_end(self, day)

    def day_start(self, day: date) -> datetime:
        """The instant that a record gets which states nothing but its day."""
        return _day_end(self, day - ONE_DAY)

    def last_closed_day(self, as_of: datetime) -> date:
        """The last day whose end `as_of` has reached."""
        day = self.local_date(as_of) + ONE_DAY
        while self.day_end(day) > as_of:
            day -= ONE_DAY
        return day


@cache
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


@lru_cache(maxsize=100_000)
def _day_end(calendar: Calendar, day: date) -> datetime:
    candidates = [effective_from for effective_from, _ in calendar.zones]
    for _, name in calendar.zones:
        for fold in (0, 1):
            midnight = datetime.combine(day + ONE_DAY, time(0), tzinfo=_zone(name)).replace(fold=fold)
            candidates.append(midnight.astimezone(UTC))
    ends = [
        instant
        for instant in candidates
        if calendar.local_date(instant - SMALLEST_STEP) <= day < calendar.local_date(instant)
    ]
    return max(ends)


def week_of(day: date) -> date:
    """The Monday of the ISO week."""
    return day - timedelta(days=day.isoweekday() - 1)


def period_start(period_type: str, day: date) -> date:
    """First day of the day, ISO week, calendar month or calendar year that holds `day`."""
    return {"day": day, "week": week_of(day), "month": day.replace(day=1), "year": day.replace(month=1, day=1)}[
        period_type
    ]


def period_last_day(period_type: str, start: date) -> date:
    """Last day of the period that begins on `start`."""
    if period_type == "day":
        return start
    if period_type == "week":
        return start + timedelta(days=6)
    if period_type == "month":
        return (start + timedelta(days=31)).replace(day=1) - ONE_DAY
    return start.replace(month=12, day=31)


def seal_due_at(calendar: Calendar, week: date) -> datetime:
    """From when on a week may seal: seven days after the end of its Sunday."""
    return calendar.day_end(period_last_day("week", week)) + timedelta(days=7)
