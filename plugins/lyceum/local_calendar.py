"""An organization's own calendar: which day an instant falls on, and at which instant a day is over.

A calendar is a sequence of time zones, each in force from an instant on. All rules below are stated for the local date as a
function of time, so they hold for days that daylight saving makes longer or shorter, days that never happen (Apia had no
2011-12-30), midnights that do not exist or come twice, and a change from one zone to another.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import TypeAlias
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from lyceum.records import LocalDay

SEAL_DELAY = timedelta(days=7)

Microseconds: TypeAlias = NDArray[np.int64]
"""Instants as microseconds since 1970-01-01T00:00Z."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_ORDINAL = _EPOCH.toordinal()
_DAY_SECONDS = 86_400
_DAY = 86_400_000_000
# No zone has ever changed its offset twice within half a day.
_PROBE_SECONDS = 43_200
# A zone's change of rules moves the clock by at most a day, and two zones lie at most 26 hours apart.
_MARGIN_DAYS = 4


@dataclass(frozen=True, slots=True)
class ZonePeriod:
    """A time zone and the instant from which it is in force. The first period of a calendar also covers all time before it."""

    effective_from: datetime
    zone: ZoneInfo


class LocalCalendar:
    """The calendar of one organization. Immutable to its callers; what it computes is remembered."""

    def __init__(self, periods: Sequence[ZonePeriod]) -> None:
        """Take at least one period; their order does not matter."""
        if not periods:
            raise ValueError("A calendar needs at least one time zone period.")
        ordered = sorted(periods, key=lambda period: period.effective_from)
        self._zones = [period.zone for period in ordered]
        self._limits = [_whole_seconds(period.effective_from) for period in ordered[1:]]
        self._years: dict[int, tuple[Microseconds, Microseconds]] = {}
        self._ends: dict[date, datetime] = {}

    @classmethod
    def of_zone(cls, time_zone: str) -> LocalCalendar:
        """Return the calendar of an organization that has always been in one zone."""
        return cls([ZonePeriod(_EPOCH, ZoneInfo(time_zone))])

    def local_day(self, instant: datetime) -> LocalDay:
        """Return the calendar day of an aware instant and the Monday of its ISO week."""
        day = instant.astimezone(self._zone_at(_whole_seconds(instant))).date()
        return LocalDay(day, week_of(day))

    def local_dates(self, instants: Microseconds) -> NDArray[np.int64]:
        """Return the calendar day of each instant as days since 1970-01-01; the bulk form of `local_day`."""
        if not len(instants):
            return np.empty(0, dtype=np.int64)
        starts, offsets = self._segments(int(instants.min()), int(instants.max()))
        positions = np.searchsorted(starts, instants, side="right") - 1
        return (instants + offsets[positions]) // _DAY

    def starts_at(self, day: date) -> datetime:
        """Return the first instant whose local date is `day` or later (its local midnight, where that exists)."""
        first, (starts, offsets) = self._around(day)
        # Within a segment the local date only grows; so the first segment that reaches the day at all holds its start.
        reached = np.maximum(starts, first - offsets)
        ends = np.append(starts[1:], np.iinfo(np.int64).max)
        return _instant(int(reached[np.argmax(reached < ends)]))

    def closed_at(self, day: date) -> datetime:
        """Return the instant from which on the local date is always later than `day`: the day is over, for good."""
        if day not in self._ends:
            following, (starts, offsets) = self._around(day + timedelta(days=1))
            ends = np.append(starts[1:], np.iinfo(np.int64).max)
            # The last segment that begins on the day or before it; the day is over when that segment or the day in it ends.
            last = int(np.flatnonzero(starts + offsets < following)[-1])
            self._ends[day] = _instant(min(int(ends[last]), following - int(offsets[last])))
        return self._ends[day]

    def is_closed(self, day: date, as_of: datetime) -> bool:
        """Return whether `as_of` has reached the day's end."""
        return self.closed_at(day) <= as_of

    def last_closed_day(self, as_of: datetime) -> date:
        """Return the latest day that is over at `as_of`."""
        day = self.local_day(as_of).activity_date + timedelta(days=_MARGIN_DAYS)
        while not self.is_closed(day, as_of):
            day -= timedelta(days=1)
        return day

    def week_closed_at(self, week_start: date) -> datetime:
        """Return the instant at which the ISO week that begins on the Monday `week_start` is over."""
        if week_start.weekday() != 0:
            raise ValueError(f"{week_start} is no Monday; a week is named by its Monday.")
        return self.closed_at(week_start + timedelta(days=6))

    def seal_due_at(self, week_start: date) -> datetime:
        """Return the instant from which the week may be sealed and takes no new events: its local end and 7 days more."""
        return self.week_closed_at(week_start) + SEAL_DELAY

    def _zone_at(self, seconds: int) -> ZoneInfo:
        position = 0
        while position < len(self._limits) and self._limits[position] <= seconds:
            position += 1
        return self._zones[position]

    def _around(self, day: date) -> tuple[int, tuple[Microseconds, Microseconds]]:
        """Return the day's midnight on a clock without offset, and the segments of the days around it."""
        midnight = (day.toordinal() - _EPOCH_ORDINAL) * _DAY
        margin = _MARGIN_DAYS * _DAY
        starts, offsets = self._segments(midnight - margin, midnight + margin)
        first = max(int(np.searchsorted(starts, midnight - margin, side="right")) - 1, 0)
        return midnight, (starts[first:], offsets[first:])

    def _segments(self, earliest: int, latest: int) -> tuple[Microseconds, Microseconds]:
        """Return starts and UTC offsets of the stretches of constant offset that cover both instants and all between."""
        years = range(_instant(earliest).year, _instant(latest).year + 1)
        for year in years:
            if year not in self._years:
                self._years[year] = self._segments_of_year(year)
        if len(years) == 1:
            return self._years[years[0]]
        return (
            np.concatenate([self._years[year][0] for year in years]),
            np.concatenate([self._years[year][1] for year in years]),
        )

    def _segments_of_year(self, year: int) -> tuple[Microseconds, Microseconds]:
        first = (date(year, 1, 1).toordinal() - _EPOCH_ORDINAL) * _DAY_SECONDS
        last = (date(year, 12, 31).toordinal() - _EPOCH_ORDINAL + 1) * _DAY_SECONDS
        borders = [first, *(limit for limit in self._limits if first < limit < last), last]
        starts: list[int] = []
        offsets: list[int] = []
        for start, end in itertools.pairwise(borders):
            zone = self._zone_at(start)
            starts.append(start)
            offsets.append(_offset(zone, start))
            for probe in range(start, end, _PROBE_SECONDS):
                upto = min(probe + _PROBE_SECONDS, end) - 1
                while _offset(zone, upto) != offsets[-1]:
                    starts.append(_first_change(zone, max(probe - 1, starts[-1]), upto))
                    offsets.append(_offset(zone, starts[-1]))
        return (
            np.array(starts, dtype=np.int64) * 1_000_000,
            np.array(offsets, dtype=np.int64) * 1_000_000,
        )


@lru_cache(maxsize=4096)
def week_of(day: date) -> date:
    """Return the Monday of the day's ISO week."""
    return day - timedelta(days=day.weekday())


def to_microseconds(instant: datetime) -> int:
    """Return an aware instant as microseconds since 1970-01-01T00:00Z, exactly."""
    return (instant - _EPOCH) // timedelta(microseconds=1)


def _instant(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


def _whole_seconds(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(seconds=1)


def _offset(zone: ZoneInfo, seconds: int) -> int:
    offset = (_EPOCH + timedelta(seconds=seconds)).astimezone(zone).utcoffset()
    assert offset is not None  # ZoneInfo always knows
    return offset // timedelta(seconds=1)


def _first_change(zone: ZoneInfo, low: int, high: int) -> int:
    """Return the first second after `low`, up to `high`, at which the offset differs from that at `low`."""
    before = _offset(zone, low)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(zone, middle) == before:
            low = middle
        else:
            high = middle
    return high
