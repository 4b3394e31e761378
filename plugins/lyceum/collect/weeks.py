"""Which weeks of an organization take events: a pure decision over `ops.week_states`, the calendar and the clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal, TypeAlias

from lyceum.local_calendar import LocalCalendar

WeekState: TypeAlias = Literal["open", "sealed"]

_WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class WeekPlan:
    """What a batch does with the weeks that its events lie in.

    `taking` take events; of these, `opening` get their row now and `restoring` are sealed and restored first.
    """

    taking: frozenset[date]
    opening: tuple[date, ...]
    restoring: tuple[date, ...]


def plan_weeks(
    wanted: Iterable[date],
    states: Mapping[date, WeekState],
    calendar: LocalCalendar,
    as_of: datetime,
    *,
    is_history: bool,
) -> WeekPlan:
    """Decide for each wanted week (its Monday) whether it takes events at `as_of`.

    A week with a row takes events while it is open. A week without a row was never built: it opens, unless it ended more
    than 7 days ago. History opens those too, and has sealed weeks restored.
    """
    taking: set[date] = set()
    opening: list[date] = []
    restoring: list[date] = []
    for week in sorted(wanted):
        state = states.get(week)
        if state is None and (is_history or as_of < calendar.seal_due_at(week)):
            opening.append(week)
        elif state == "sealed" and is_history:
            restoring.append(week)
        elif state != "open":
            continue
        taking.add(week)
    return WeekPlan(frozenset(taking), tuple(opening), tuple(restoring))


def day_ranges(weeks: Iterable[date]) -> list[tuple[date, date]]:
    """Return the days of these weeks as half-open ranges, as few as possible, in order."""
    ranges: list[tuple[date, date]] = []
    for week in sorted(weeks):
        if ranges and ranges[-1][1] == week:
            ranges[-1] = (ranges[-1][0], week + _WEEK)
        else:
            ranges.append((week, week + _WEEK))
    return ranges
