"""Lengths of time as policies say them: years and months of the calendar, which no fixed number of days is."""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Span:
    """An interval as PostgreSQL keeps it: months, days and seconds apart. In UTC, so a day has 24 hours."""

    months: int = 0
    days: int = 0
    seconds: int = 0

    def after(self, instant: datetime) -> datetime:
        """Return the instant this much later. The 31st becomes the last day of a shorter month, as in PostgreSQL."""
        months = instant.year * 12 + instant.month - 1 + self.months
        year, month = divmod(months, 12)
        day = min(instant.day, monthrange(year, month + 1)[1])
        moved = instant.replace(year=year, month=month + 1, day=day)
        return moved + timedelta(days=self.days, seconds=self.seconds)

    def __str__(self) -> str:
        years, months = divmod(self.months, 12)
        hours, seconds = divmod(self.seconds, 3600)
        parts = [
            f"{count} {unit}{'' if count == 1 else 's'}"
            for count, unit in (
                (years, "year"),
                (months, "month"),
                (self.days, "day"),
                (hours, "hour"),
                (seconds, "second"),
            )
            if count
        ]
        return " ".join(parts) or "0 hours"
