"""The calendar of an organization: instants to days, days to the instants at which they are over."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lyceum.local_calendar import LocalCalendar, ZonePeriod, to_microseconds, week_of

ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)
ZONES = (
    "UTC",
    "Europe/London",
    "America/New_York",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "Australia/Lord_Howe",
    "America/St_Johns",  # its clock fell back across midnight until 2011
    "America/Sao_Paulo",  # its summer began at a midnight that did not exist
    "Africa/Casablanca",
    "Pacific/Kiritimati",
)

instants = st.datetimes(datetime(2004, 1, 1), datetime(2037, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
zones = st.sampled_from(ZONES)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@st.composite
def calendars(draw: st.DrawFn) -> LocalCalendar:
    """One zone, or a change to a second one at a local midnight of the first."""
    first, second = draw(zones), draw(zones)
    calendar = LocalCalendar.of_zone(first)
    if first == second:
        return calendar
    moved = calendar.starts_at(draw(st.dates(date(2005, 1, 1), date(2036, 1, 1))))
    return LocalCalendar([ZonePeriod(ALWAYS, ZoneInfo(first)), ZonePeriod(moved, ZoneInfo(second))])


@given(zones, st.lists(instants, max_size=30))
def test_the_bulk_form_agrees_with_the_zone_database(zone: str, moments: list[datetime]) -> None:
    days = LocalCalendar.of_zone(zone).local_dates(
        np.array([to_microseconds(moment) for moment in moments], dtype=np.int64)
    )

    expected = [moment.astimezone(ZoneInfo(zone)).date() for moment in moments]
    assert [date(1970, 1, 1) + timedelta(days=int(day)) for day in days] == expected


@given(calendars(), st.lists(instants, max_size=30))
def test_the_bulk_form_agrees_with_the_single_one(calendar: LocalCalendar, moments: list[datetime]) -> None:
    days = calendar.local_dates(np.array([to_microseconds(moment) for moment in moments], dtype=np.int64))

    expected = [calendar.local_day(moment).activity_date for moment in moments]
    assert [date(1970, 1, 1) + timedelta(days=int(day)) for day in days] == expected


@given(calendars(), instants, st.integers(-3, 3))
def test_a_day_is_closed_exactly_when_its_date_cannot_come_again(
    calendar: LocalCalendar, moment: datetime, offset: int
) -> None:
    day = calendar.local_day(moment).activity_date + timedelta(days=offset)
    closed_at = calendar.closed_at(day)

    assert calendar.local_day(closed_at - timedelta(microseconds=1)).activity_date <= day
    for later in (
        timedelta(0),
        timedelta(microseconds=1),
        timedelta(minutes=30),
        timedelta(hours=1),
        timedelta(hours=26),
    ):
        assert calendar.local_day(closed_at + later).activity_date > day


@given(calendars(), instants)
def test_a_day_starts_at_its_first_instant(calendar: LocalCalendar, moment: datetime) -> None:
    day = calendar.local_day(moment).activity_date
    starts_at = calendar.starts_at(day)

    assert starts_at <= moment < calendar.closed_at(day)
    assert calendar.local_day(starts_at).activity_date == day
    for earlier in (timedelta(microseconds=1), timedelta(minutes=30), timedelta(hours=2), timedelta(hours=30)):
        assert calendar.local_day(starts_at - earlier).activity_date < day


@given(calendars(), instants)
def test_the_last_closed_day_is_closed_and_the_next_is_not(calendar: LocalCalendar, as_of: datetime) -> None:
    day = calendar.last_closed_day(as_of)

    assert calendar.is_closed(day, as_of)
    assert not calendar.is_closed(day + timedelta(days=1), as_of)


@given(calendars(), instants)
def test_a_week_is_named_by_its_monday_and_sealed_seven_days_after_its_sunday(
    calendar: LocalCalendar, moment: datetime
) -> None:
    day = calendar.local_day(moment)

    assert day.week_start.isocalendar()[:2] == day.activity_date.isocalendar()[:2]
    assert day.week_start.weekday() == 0
    sunday = day.week_start + timedelta(days=6)
    assert calendar.seal_due_at(day.week_start) == calendar.closed_at(sunday) + timedelta(days=7)


def test_a_day_of_a_spring_change_has_23_hours() -> None:
    london = LocalCalendar.of_zone("Europe/London")

    assert london.starts_at(date(2024, 3, 31)) == utc("2024-03-31T00:00")
    assert london.closed_at(date(2024, 3, 31)) == utc("2024-03-31T23:00")


def test_lord_howe_moves_its_clock_by_half_an_hour() -> None:
    calendar = LocalCalendar.of_zone("Australia/Lord_Howe")

    assert calendar.starts_at(date(2024, 4, 7)) == utc("2024-04-06T13:00")
    assert calendar.closed_at(date(2024, 4, 7)) == utc("2024-04-07T13:30")


def test_the_day_that_apia_skipped_is_empty_and_closes_with_the_day_before() -> None:
    apia = LocalCalendar.of_zone("Pacific/Apia")

    assert apia.closed_at(date(2011, 12, 29)) == utc("2011-12-30T10:00")
    assert apia.closed_at(date(2011, 12, 30)) == utc("2011-12-30T10:00")
    assert apia.local_day(utc("2011-12-30T09:59:59")).activity_date == date(2011, 12, 29)
    assert apia.local_day(utc("2011-12-30T10:00")).activity_date == date(2011, 12, 31)


def test_a_clock_that_falls_back_across_midnight_closes_the_day_once() -> None:
    st_johns = LocalCalendar.of_zone("America/St_Johns")

    # On 2010-11-07 at 00:01 the clock went back to 23:01 of the 6th.
    assert st_johns.starts_at(date(2010, 11, 7)) == utc("2010-11-07T02:30")
    assert st_johns.closed_at(date(2010, 11, 6)) == utc("2010-11-07T03:30")


def test_a_midnight_that_does_not_exist_starts_the_day_later() -> None:
    sao_paulo = LocalCalendar.of_zone("America/Sao_Paulo")

    assert sao_paulo.starts_at(date(2018, 11, 4)) == utc("2018-11-04T03:00")
    assert sao_paulo.local_day(utc("2018-11-04T03:00")).activity_date == date(2018, 11, 4)


def test_the_first_zone_holds_for_all_time_before_it() -> None:
    calendar = LocalCalendar([ZonePeriod(utc("2024-01-01T00:00"), ZoneInfo("Asia/Tokyo"))])

    assert calendar.local_day(utc("2013-05-05T15:00")).activity_date == date(2013, 5, 6)


@pytest.mark.parametrize("day", [date(2021, 1, 3), date(2020, 12, 28), date(2024, 12, 30)])
def test_a_week_across_new_year_keeps_its_monday(day: date) -> None:
    assert week_of(day) == day - timedelta(days=day.isoweekday() - 1)


def test_a_week_must_be_named_by_a_monday() -> None:
    with pytest.raises(ValueError, match="no Monday"):
        LocalCalendar.of_zone("UTC").seal_due_at(date(2024, 1, 2))
