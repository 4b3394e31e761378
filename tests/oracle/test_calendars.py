from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from oracle.calendars import Calendar, period_last_day, period_start, seal_due_at, week_of
from oracle.histories import BEGINNING, calendar, instant


@pytest.mark.parametrize(
    ("zone", "at", "expected"),
    [
        # London: clocks go forward at 01:00 UTC on 29 March 2026, back at 01:00 UTC on 25 October.
        ("Europe/London", "2026-03-28 23:59:59.999999", "2026-03-28"),
        ("Europe/London", "2026-03-29 00:00", "2026-03-29"),
        ("Europe/London", "2026-03-29 23:00", "2026-03-30"),
        ("Europe/London", "2026-10-24 23:00", "2026-10-25"),
        ("Europe/London", "2026-10-25 23:59", "2026-10-25"),
        ("Asia/Kathmandu", "2026-05-01 18:14:59", "2026-05-01"),
        ("Asia/Kathmandu", "2026-05-01 18:15", "2026-05-02"),
        ("America/New_York", "2026-11-02 04:59", "2026-11-01"),
        ("America/New_York", "2026-11-02 05:00", "2026-11-02"),
    ],
)
def test_an_instant_belongs_to_the_local_day(zone: str, at: str, expected: str) -> None:
    assert calendar(zone).local_date(instant(at)).isoformat() == expected


@pytest.mark.parametrize(
    ("zone", "day", "expected"),
    [
        ("UTC", "2026-02-28", "2026-03-01 00:00"),
        ("Europe/London", "2026-03-29", "2026-03-29 23:00"),
        ("Australia/Lord_Howe", "2026-04-05", "2026-04-05 13:30"),
        ("America/New_York", "2026-11-01", "2026-11-02 05:00"),
        # Samoa went from 29 to 31 December 2011: the 30th never was, it ends as soon as it would begin.
        ("Pacific/Apia", "2011-12-29", "2011-12-30 10:00"),
        ("Pacific/Apia", "2011-12-30", "2011-12-30 10:00"),
        # Havana puts 01:00 back to 00:00: midnight comes twice, the day before is over at the first.
        ("America/Havana", "2026-10-31", "2026-11-01 04:00"),
        # Newfoundland put 00:01 back to 23:01 in 2010: the day before came back for an hour.
        ("America/St_Johns", "2010-11-06", "2010-11-07 03:30"),
    ],
)
def test_a_day_ends_when_no_later_instant_belongs_to_it(zone: str, day: str, expected: str) -> None:
    assert calendar(zone).day_end(date.fromisoformat(day)) == instant(expected)


def test_a_day_is_closed_from_its_end_on() -> None:
    kathmandu = calendar("Asia/Kathmandu")
    assert kathmandu.last_closed_day(instant("2026-05-01 18:14:59")) == date(2026, 4, 30)
    assert kathmandu.last_closed_day(instant("2026-05-01 18:15")) == date(2026, 5, 1)


def test_a_change_of_zone_counts_from_its_instant_on() -> None:
    moved = Calendar(((BEGINNING, "Europe/London"), (instant("2026-06-10 00:00"), "Asia/Kathmandu")))
    assert moved.local_date(instant("2026-06-09 22:59")) == date(2026, 6, 9)
    assert moved.local_date(instant("2026-06-10 18:15")) == date(2026, 6, 11)
    assert moved.day_end(date(2026, 6, 10)) == instant("2026-06-10 18:15")


@pytest.mark.parametrize(
    "zone", ["UTC", "Europe/London", "America/New_York", "Asia/Kathmandu", "Pacific/Apia", "Australia/Lord_Howe"]
)
def test_days_follow_one_another_without_gap(zone: str) -> None:
    local = calendar(zone)
    day = date(2011, 1, 1)
    while day < date(2012, 12, 31):
        end = local.day_end(day)
        assert local.local_date(end) > day >= local.local_date(end - timedelta(microseconds=1))
        assert local.last_closed_day(end) >= day > local.last_closed_day(end - timedelta(microseconds=1))
        day += timedelta(days=1)


def test_weeks_are_iso_weeks_across_years() -> None:
    assert week_of(date(2020, 12, 31)) == date(2020, 12, 28)
    assert week_of(date(2021, 1, 3)) == date(2020, 12, 28)
    assert date(2021, 1, 3).isocalendar().week == 53
    assert week_of(date(2024, 12, 30)) == date(2024, 12, 30)


def test_periods_have_their_last_day() -> None:
    assert period_last_day("month", date(2024, 2, 1)) == date(2024, 2, 29)
    assert period_last_day("month", date(2026, 12, 1)) == date(2026, 12, 31)
    assert period_last_day("week", date(2020, 12, 28)) == date(2021, 1, 3)
    assert period_last_day("year", date(2024, 1, 1)) == date(2024, 12, 31)
    assert period_start("month", date(2024, 2, 29)) == date(2024, 2, 1)


def test_a_week_may_seal_seven_days_after_its_sunday() -> None:
    assert seal_due_at(calendar("Europe/London"), date(2026, 6, 1)) == datetime(2026, 6, 14, 23, tzinfo=UTC)
