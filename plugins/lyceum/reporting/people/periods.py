"""The periods that reports tell of: weeks and months of the organization's own calendar."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal, TypeAlias

from lyceum.errors import ConfigurationError

PeriodType: TypeAlias = Literal["week", "month"]
PERIOD_TYPES: tuple[PeriodType, ...] = ("week", "month")


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """A week by its Monday, or a month by its first. Raises `ConfigurationError` for any other start."""

    type: PeriodType
    start: date

    def __post_init__(self) -> None:
        if self.type == "week" and self.start.weekday() != 0:
            monday = self.start - timedelta(days=self.start.weekday())
            raise ConfigurationError(f"{self.start} is no Monday. Expected the first day of a week, such as {monday}.")
        if self.type == "month" and self.start.day != 1:
            first = self.start.replace(day=1)
            raise ConfigurationError(f"{self.start} is no first of a month. Expected such as {first}.")

    @property
    def end(self) -> date:
        """The last day."""
        return self.next.start - timedelta(days=1)

    @property
    def next(self) -> Period:
        """The period after this one."""
        if self.type == "week":
            return Period("week", self.start + timedelta(days=7))
        return Period(
            "month", self.start.replace(year=self.start.year + self.start.month // 12, month=self.start.month % 12 + 1)
        )

    @property
    def before(self) -> Period:
        """The period before this one."""
        return Period.holding(self.type, self.start - timedelta(days=1))

    @property
    def days(self) -> tuple[date, ...]:
        """Every day of it."""
        return tuple(self.start + timedelta(days=number) for number in range((self.end - self.start).days + 1))

    @property
    def words(self) -> str:
        """The period as people write it: `9 – 15 November 2026`, `November 2026`."""
        if self.type == "month":
            return f"{self.start:%B %Y}"
        first, last = self.start, self.end
        if first.year != last.year:
            return f"{first.day} {first:%B %Y} – {last.day} {last:%B %Y}"
        if first.month != last.month:
            return f"{first.day} {first:%B} – {last.day} {last:%B %Y}"
        return f"{first.day} – {last.day} {last:%B %Y}"

    @property
    def short(self) -> str:
        """The period as an axis names it: `9 Nov`, `Nov 26`."""
        return f"{self.start:%b %y}" if self.type == "month" else f"{self.start.day} {self.start:%b}"

    def trail(self, number: int) -> tuple[Period, ...]:
        """Return the last `number` periods, this one included, the oldest first."""
        found = [self]
        while len(found) < number:
            found.append(found[-1].before)
        return tuple(reversed(found))

    @classmethod
    def holding(cls, kind: PeriodType, day: date) -> Period:
        """Return the period that holds a day."""
        return cls(kind, day - timedelta(days=day.weekday()) if kind == "week" else day.replace(day=1))

    @classmethod
    def last_closed(cls, kind: PeriodType, closed_through: date) -> Period:
        """Return the last period whose every day is closed."""
        return cls.holding(kind, closed_through + timedelta(days=1)).before
