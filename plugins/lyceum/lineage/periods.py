"""The days that a published row speaks for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

Period = Literal["day", "week", "month", "year"]


@dataclass(frozen=True, slots=True)
class Span:
    """Days from the first, None for the very first, to the last, both included."""

    first: date | None
    last: date


def span_of(day: date, period: Period) -> Span:
    """Return the days of the period that holds `day`; a week begins on Monday."""
    if period == "week":
        monday = day - timedelta(days=day.weekday())
        return Span(monday, monday + timedelta(days=6))
    if period == "month":
        following = (day.replace(day=1) + timedelta(days=31)).replace(day=1)
        return Span(day.replace(day=1), following - timedelta(days=1))
    if period == "year":
        return Span(day.replace(month=1, day=1), day.replace(month=12, day=31))
    return Span(day, day)
