"""What organizations deliver on a day: a little of everything, and more where clocks change."""

from __future__ import annotations

import random
from collections import deque
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import count
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from property.comparison import Organization
from property.population import ADL, COURSES, LEARNERS, TEACHER

Statement = dict[str, Any]

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
TICK = timedelta(microseconds=1)
_VERBS = ("experienced", "answered", "passed", "failed", "completed", "registered", "interacted")


class Happenings:
    """Tells the statements of one organization. The same seed tells the same."""

    def __init__(self, organization: Organization, seed: int) -> None:
        self._organization = organization
        self._chance = random.Random(seed)
        self._ids = count((seed + 1) << 40)
        self.told: deque[Statement] = deque(maxlen=40)

    def of_a_day(self, as_of: datetime) -> list[Statement]:
        """What is delivered at `as_of`: events since yesterday, some of days before, voids, repetitions, and mistakes."""
        calendar, chance = self._organization.calendar, self._chance
        midnight = calendar.day_start(calendar.local_date(as_of))
        instants = [as_of - chance.randrange(1, 30 * 60) * timedelta(minutes=1)]
        instants.append(chance.choice([midnight, midnight - TICK, midnight - DAY]))
        changed_at = clock_change(calendar.zones[-1][1], as_of.date())
        if changed_at is not None:
            instants += [changed_at - TICK, changed_at, changed_at + HOUR / 2, changed_at + HOUR]
        events = [self.event(at) for at in instants if at <= as_of]
        if chance.random() < 0.25:
            events.append(self.event(as_of - chance.randrange(2, 13) * DAY))
        # An id is known for eight years, as long as the archive of its week; what was told before is left alone.
        told = [one for one in self.told if datetime.fromisoformat(one["timestamp"]) > as_of - 7 * 365 * DAY]
        statements = [*events]
        if chance.random() < 0.15 and told:
            statements.append(self.void(chance.choice(told), as_of - HOUR))
        if chance.random() < 0.1:
            statements.append(self.void(events[0], as_of - HOUR))
        if chance.random() < 0.15 and told:
            statements.append(chance.choice(told))
        if chance.random() < 0.05 and told:
            statements.append(chance.choice(told) | {"object": {"id": "https://example.org/other"}})
        if chance.random() < 0.03:
            statements.append(chance.choice([{}, self.event(as_of + DAY), self.event(_seven_years_before(as_of))]))
        self.told.extend(events)
        return statements

    def event(self, at: datetime, **changes: Any) -> Statement:
        """Somebody does something in a course."""
        chance = self._chance
        verb, course = chance.choice(_VERBS), chance.choice(COURSES)
        whole = verb in ("completed", "registered")
        return {
            "id": str(UUID(int=next(self._ids))),
            "actor": LEARNERS[chance.randrange(4)],
            "verb": {"id": ADL + verb},
            "object": course if whole else {"id": f"https://example.org/quizzes/{chance.randrange(3)}"},
            "context": {"contextActivities": {"parent": [course]}},
            "result": {"success": verb == "passed"},
            "timestamp": at.astimezone(UTC).isoformat(),
        } | changes

    def void(self, target: Statement, at: datetime) -> Statement:
        """The teacher takes an event back."""
        reference = {"objectType": "StatementRef", "id": target["id"]}
        return self.event(at, actor=TEACHER, verb={"id": ADL + "voided"}, object=reference)


@cache
def clock_change(zone: str, day: date) -> datetime | None:
    """The instant of the UTC day at which the zone's clocks are set, or None."""
    name = ZoneInfo(zone)
    begin = datetime(day.year, day.month, day.day, tzinfo=UTC)

    def offset(at: datetime) -> timedelta | None:
        return at.astimezone(name).utcoffset()

    for quarter in range(96):
        before, after = begin + quarter * HOUR / 4, begin + (quarter + 1) * HOUR / 4
        if offset(before) != offset(after):
            return after
    return None


def _seven_years_before(instant: datetime) -> datetime:
    return instant - timedelta(days=7 * 366)
