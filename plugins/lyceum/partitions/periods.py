"""The periods that partitions cover: half-open ranges of calendar days with a name. ISO 8601 decides years and weeks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

Granularity = Literal["day", "week", "month", "year"]

_NAME = re.compile(
    r"(?P<year>\d{4})(?:w(?P<week>\d{2})|m(?P<month>\d{2})|(?P<month_of_day>\d{2})(?P<day>\d{2}))?", re.ASCII
)


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """The days from `lower` to before `upper`. `name` is `20130205`, `2013w05`, `2013m02` or `2013`."""

    lower: date
    upper: date
    granularity: Granularity

    @property
    def name(self) -> str:
        """The period in the name of a partition. A week carries its ISO year: 2024-12-30 lies in 2025w01."""
        if self.granularity == "day":
            return f"{self.lower.year:04}{self.lower.month:02}{self.lower.day:02}"
        if self.granularity == "week":
            year, week, _ = self.lower.isocalendar()
            return f"{year:04}w{week:02}"
        if self.granularity == "month":
            return f"{self.lower.year:04}m{self.lower.month:02}"
        return f"{self.lower.year:04}"


def period_of(granularity: Granularity, day: date) -> Period:
    """Return the one period of that granularity in which `day` lies."""
    if granularity == "day":
        return Period(day, day + timedelta(days=1), granularity)
    if granularity == "week":
        monday = day - timedelta(days=day.weekday())
        return Period(monday, monday + timedelta(days=7), granularity)
    if granularity == "month":
        first = day.replace(day=1)
        return Period(first, (first + timedelta(days=31)).replace(day=1), granularity)
    first = date(day.year, 1, 1)
    return Period(first, date(day.year + 1, 1, 1), granularity)


def period_named(name: str) -> Period | None:
    """Return the period of this name, such as `2013w05`; None where there is none, as of `2021w53`."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    year = int(match["year"])
    try:
        if match["week"]:
            return period_of("week", date.fromisocalendar(year, int(match["week"]), 1))
        if match["month"]:
            return period_of("month", date(year, int(match["month"]), 1))
        if match["day"]:
            return period_of("day", date(year, int(match["month_of_day"]), int(match["day"])))
        return period_of("year", date(year, 1, 1))
    except ValueError:
        return None


def periods_ahead(granularity: Granularity, day: date, count: int) -> Iterator[Period]:
    """Yield the period in which `day` lies and the `count` periods after it."""
    period = period_of(granularity, day)
    yield period
    for _ in range(count):
        period = period_of(granularity, period.upper)
        yield period
