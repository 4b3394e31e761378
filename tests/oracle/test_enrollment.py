from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from oracle.enrollment import EventDay, membership

FIRST = date(2026, 1, 1)


def at(day: int, hour: int = 12) -> datetime:
    return datetime.combine(FIRST + timedelta(days=day), time(hour), tzinfo=UTC)


def enrolled(event_days: dict[int, EventDay], through: int = 400) -> dict[int, int]:
    found = membership(
        {FIRST + timedelta(days=day): event_day for day, event_day in event_days.items()},
        FIRST + timedelta(days=through),
    )
    return {(day - FIRST).days: (first_day - FIRST).days for day, first_day in found.enrolled_on.items()}


def at_risk(event_days: dict[int, EventDay], through: int = 400) -> set[int]:
    found = membership(
        {FIRST + timedelta(days=day): event_day for day, event_day in event_days.items()},
        FIRST + timedelta(days=through),
    )
    return {(day - FIRST).days for day in found.at_risk_on}


ACTIVE = EventDay(is_active=True)


def registered(day: int) -> EventDay:
    return EventDay(is_active=False, last_registered_at=at(day))


def unregistered(day: int) -> EventDay:
    return EventDay(is_active=False, last_unregistered_at=at(day))


def completed(day: int) -> EventDay:
    return EventDay(is_active=False, completed_at=at(day))


def test_enrollment_lapses_after_180_days_without_events() -> None:
    assert list(enrolled({0: ACTIVE})) == list(range(180))
    assert list(enrolled({0: ACTIVE, 100: ACTIVE})) == list(range(280))
    assert enrolled({0: ACTIVE, 180: ACTIVE}, through=400)[180] == 0, "day 180 follows day 179 without a break"
    assert enrolled({0: ACTIVE, 181: ACTIVE}, through=400)[181] == 181


def test_an_ending_day_is_not_enrolled_and_activity_after_it_does_not_enroll() -> None:
    assert list(enrolled({0: ACTIVE, 5: unregistered(5), 8: ACTIVE})) == [0, 1, 2, 3, 4]


def test_registering_again_enrolls_from_that_day_on() -> None:
    days = enrolled({0: ACTIVE, 5: unregistered(5), 8: ACTIVE, 10: registered(10)}, through=12)
    assert days == {0: 0, 1: 0, 2: 0, 3: 0, 4: 0, 10: 10, 11: 10, 12: 10}


def test_unregistering_and_registering_on_one_day_keeps_the_run() -> None:
    moved = EventDay(is_active=False, last_unregistered_at=at(5, 10), last_registered_at=at(5, 11))
    assert enrolled({0: ACTIVE, 5: moved}, through=6) == dict.fromkeys(range(7), 0)
    ended = EventDay(is_active=False, last_unregistered_at=at(5, 11), last_registered_at=at(5, 11))
    assert enrolled({0: ACTIVE, 5: ended}, through=6) == dict.fromkeys(range(5), 0)


def test_completion_is_the_last_enrolled_day() -> None:
    assert enrolled({0: ACTIVE, 4: completed(4), 9: ACTIVE}) == dict.fromkeys(range(5), 0)


def test_one_who_registered_and_never_came_is_at_risk_from_the_eighth_day_on() -> None:
    assert at_risk({0: registered(0)}) == set(range(7, 180))


def test_an_active_day_keeps_risk_away_for_seven_days() -> None:
    assert at_risk({0: registered(0), 20: ACTIVE}, through=40) == set(range(7, 20)) | set(range(27, 41))


def test_one_who_completed_is_not_at_risk_on_that_day_or_later() -> None:
    assert at_risk({0: registered(0), 20: completed(20)}) == set(range(7, 20))


def test_risk_begins_anew_with_the_run_of_enrolled_days() -> None:
    assert at_risk({0: ACTIVE, 3: unregistered(3), 20: registered(20)}, through=28) == {27, 28}


@st.composite
def histories(draw: st.DrawFn) -> dict[int, EventDay]:
    kinds = st.sampled_from(["active", "passive", "registered", "unregistered", "both", "again", "completed"])
    chosen = draw(
        st.dictionaries(st.integers(0, 40).map(lambda number: number * 9 % 410), kinds, min_size=1, max_size=12)
    )
    return {
        day: {
            "active": ACTIVE,
            "passive": EventDay(is_active=False),
            "registered": registered(day),
            "unregistered": unregistered(day),
            "both": EventDay(is_active=True, last_registered_at=at(day, 10), last_unregistered_at=at(day, 11)),
            "again": EventDay(is_active=True, last_registered_at=at(day, 11), last_unregistered_at=at(day, 10)),
            "completed": completed(day),
        }[kind]
        for day, kind in chosen.items()
    }


@settings(max_examples=60, deadline=None, derandomize=True)
@given(histories())
def test_the_walk_along_the_calendar_says_what_the_definition_says(event_days: dict[int, EventDay]) -> None:
    """`membership` walks day by day; here the sentences of the definition are quantified over all days instead."""
    through = 450
    endings = {day for day, found in event_days.items() if found.is_ending}
    registrations = {day for day, found in event_days.items() if found.is_registration}
    completion = min((day for day, found in event_days.items() if found.completed_at is not None), default=10**6)

    def is_live(day: int) -> bool:
        if day > completion or day in endings:
            return False
        before = [ending for ending in endings if ending < day]
        return not before or any(max(before) < registration <= day for registration in registrations)

    live = {day for day in event_days if is_live(day)}
    expected = {
        day
        for day in range(through + 1)
        if day <= completion
        and any(start <= day < start + 180 and not any(start < ending <= day for ending in endings) for start in live)
    }
    found = enrolled(event_days, through)
    assert set(found) == expected
    for day, first_day in found.items():
        assert all(between in expected for between in range(first_day, day + 1))
        assert first_day - 1 not in expected
    assert at_risk(event_days, through) == {
        day
        for day, first_day in found.items()
        if first_day <= day - 7
        and completion > day
        and not any(event_days[near].is_active for near in range(day - 6, day + 1) if near in event_days)
    }
