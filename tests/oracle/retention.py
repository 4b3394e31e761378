"""When the ERD and the design let something go, told with plain dates and none of the product's types.

The product adds calendar spans to the end of a partition; here a partition may go when the latest instant that it can hold is
as old as its retention, found by walking over days.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

DAY = timedelta(days=1)


def days_of(suffix: str) -> list[date]:
    """Every day of a partition by the end of its name: `20130205`, `2013w05`, `2013m02`, `2013`."""
    if "w" in suffix:
        year, week = (int(part) for part in suffix.split("w"))
        start = date(year - 1, 12, 25)
        days = [start + number * DAY for number in range(400)]
        return [day for day in days if day.isocalendar()[:2] == (year, week)]
    if "m" in suffix:
        year, month = (int(part) for part in suffix.split("m"))
        days = [date(year, 1, 1) + number * DAY for number in range(366)]
        return [day for day in days if (day.year, day.month) == (year, month)]
    if len(suffix) == 8:
        return [date(int(suffix[:4]), int(suffix[4:6]), int(suffix[6:]))]
    days = [date(int(suffix), 1, 1) + number * DAY for number in range(366)]
    return [day for day in days if day.year == int(suffix)]


def may_go(suffix: str, *, is_local: bool, retention: tuple[str, int], as_of: datetime) -> bool:
    """Whether every row of the partition is at least as old as `retention`, (unit, count), in whichever time zone it lies."""
    last_day = max(days_of(suffix))
    # The last local midnight of a day is in the zone that lies furthest behind, half a day late; the product waits a whole day.
    over = datetime(last_day.year, last_day.month, last_day.day, tzinfo=UTC) + (2 * DAY if is_local else DAY)
    unit, count = retention
    if unit == "years":
        try:
            goes = over.replace(year=over.year + count)
        except ValueError:
            goes = over.replace(year=over.year + count, day=28)
    elif unit == "days":
        goes = over + count * DAY
    else:
        goes = over + timedelta(hours=count)
    return as_of >= goes
