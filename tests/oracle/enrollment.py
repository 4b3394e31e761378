"""Enrollment and risk of one learner in one course, day by day."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from oracle.calendars import ONE_DAY

ENROLLMENT_DAYS = 180
RISK_DAYS = 7


@dataclass(frozen=True)
class EventDay:
    """What one day's events of one learner in one course say about enrollment."""

    is_active: bool
    completed_at: datetime | None = None
    last_registered_at: datetime | None = None
    last_unregistered_at: datetime | None = None

    @property
    def is_ending(self) -> bool:
        """Unregistered, and not registered again later on the same day."""
        if self.last_unregistered_at is None:
            return False
        return self.last_registered_at is None or self.last_registered_at <= self.last_unregistered_at

    @property
    def is_registration(self) -> bool:
        return self.last_registered_at is not None and not self.is_ending


@dataclass(frozen=True)
class Membership:
    """`enrolled_on[day]` is the first day of the unbroken run of enrolled days that holds `day`."""

    completed_on: date | None
    completed_at: datetime | None
    enrolled_on: dict[date, date]
    at_risk_on: frozenset[date]

    def is_completed(self, day: date) -> bool:
        return self.completed_on is not None and self.completed_on <= day


def membership(
    event_days: dict[date, EventDay],
    through: date,
    roster_days: Collection[date] = (),
    is_rostered: Callable[[date], bool] = lambda _: False,
    merged_on: date | None = None,
) -> Membership:
    """Decide every day up to `through`: by the roster where it speaks for the course and day, else by the events.

    `roster_days` are the days up to `through` on which a roster says that the learner learns in the course. From
    `merged_on` on nobody is enrolled as this user.
    """
    completion = min(
        ((found.completed_at, day) for day, found in event_days.items() if found.completed_at is not None), default=None
    )
    completed_at, completed_on = completion if completion is not None else (None, None)

    implied = implied_days(event_days, through)
    enrolled_on: dict[date, date] = {}
    for day in sorted({*implied, *roster_days}):
        if merged_on is not None and day >= merged_on:
            break
        if day in (roster_days if is_rostered(day) else implied):
            enrolled_on[day] = enrolled_on.get(day - ONE_DAY, day)

    return Membership(
        completed_on=completed_on,
        completed_at=completed_at,
        enrolled_on=enrolled_on,
        at_risk_on=frozenset(
            day
            for day, first_day in enrolled_on.items()
            if first_day <= day - timedelta(days=RISK_DAYS)
            and (completed_on is None or day < completed_on)
            and not any(_is_active(event_days, day - timedelta(days=back)) for back in range(RISK_DAYS))
        ),
    )


def implied_days(event_days: dict[date, EventDay], through: date) -> set[date]:
    """The days on which events alone enroll the learner."""
    if not event_days:
        return set()
    completed_on = min((day for day, found in event_days.items() if found.completed_at is not None), default=None)
    enrolled: set[date] = set()
    last_live: date | None = None
    has_ended = has_registered_since = False
    for day in _days(min(event_days), min(through, max(event_days) + timedelta(days=ENROLLMENT_DAYS))):
        found = event_days.get(day)
        if found is not None and found.is_ending:
            has_ended, has_registered_since, last_live = True, False, None
        elif found is not None:
            has_registered_since = has_registered_since or found.is_registration
            if not has_ended or has_registered_since:
                last_live = day
        if completed_on is not None and day > completed_on:
            break
        if last_live is not None and (day - last_live).days < ENROLLMENT_DAYS:
            enrolled.add(day)
    return enrolled


def _is_active(event_days: dict[date, EventDay], day: date) -> bool:
    found = event_days.get(day)
    return found is not None and found.is_active


def _days(first: date, last: date) -> Iterable[date]:
    for number in range((last - first).days + 1):
        yield first + timedelta(days=number)
