"""The product's calendar and the oracle's are two programs with one definition."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from lyceum.local_calendar import LocalCalendar, ZonePeriod
from oracle.calendars import Calendar, seal_due_at, week_of
from property.population import ZONES

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
ODD_ZONES = (*ZONES, "America/Havana", "America/St_Johns", "Asia/Beirut", "Africa/Cairo", "America/Sao_Paulo")

zones = st.sampled_from(ODD_ZONES)
days = st.dates(date(2006, 1, 1), date(2035, 12, 31))
changes = st.lists(st.tuples(days, zones), max_size=2, unique_by=lambda change: change[0]).map(sorted)
nudges = st.sampled_from([timedelta(0), timedelta(microseconds=-1), timedelta(seconds=1)]) | st.timedeltas(
    timedelta(days=-2), timedelta(days=2)
)


@st.composite
def calendars(draw: st.DrawFn) -> tuple[Calendar, LocalCalendar]:
    """An organization that moves at local midnights, as both programs see it."""
    periods = [(BEGINNING, draw(zones))]
    for day, zone in draw(changes):
        at = Calendar(tuple(periods)).day_start(day)
        if at > periods[-1][0]:
            periods.append((at, zone))
    product = LocalCalendar([ZonePeriod(effective_from, ZoneInfo(zone)) for effective_from, zone in periods])
    return Calendar(tuple(periods)), product


@given(calendars(), days, nudges)
def test_both_calendars_agree_about_every_day(
    pair: tuple[Calendar, LocalCalendar], day: date, nudge: timedelta
) -> None:
    expected, product = pair
    instant = expected.day_end(day) + nudge
    assert product.closed_at(day) == expected.day_end(day)
    assert product.local_day(instant).activity_date == expected.local_date(instant)
    assert product.local_day(instant).week_start == week_of(expected.local_date(instant))
    assert product.last_closed_day(instant) == expected.last_closed_day(instant)
    assert product.seal_due_at(week_of(day)) == seal_due_at(expected, week_of(day))


@given(calendars(), days)
def test_both_calendars_agree_where_a_day_starts(pair: tuple[Calendar, LocalCalendar], day: date) -> None:
    expected, product = pair
    assert product.starts_at(day) == expected.day_start(day)
