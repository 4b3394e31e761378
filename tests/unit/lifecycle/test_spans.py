"""Lengths of time by the calendar."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from lyceum.lifecycle.spans import Span
from warehouse import Warehouse


def test_a_year_is_as_long_as_the_calendar_says() -> None:
    assert Span(months=84).after(datetime(2020, 1, 1, tzinfo=UTC)) == datetime(2027, 1, 1, tzinfo=UTC)


def test_the_last_of_a_month_stays_in_the_month_that_follows() -> None:
    assert Span(months=1).after(datetime(2024, 1, 31, tzinfo=UTC)) == datetime(2024, 2, 29, tzinfo=UTC)


@pytest.mark.parametrize(
    "interval", ["24 hours", "7 days", "13 months", "7 years", "10 years", "1 year 2 mons 3 days 04:05:06"]
)
@pytest.mark.parametrize("instant", ["2020-02-29 23:59:59+00", "2024-12-31 00:00+00", "2026-03-29 01:30+00"])
def test_it_counts_as_the_database_does(warehouse: Warehouse, interval: str, instant: str) -> None:
    with warehouse.connect() as connection:
        row = connection.execute(
            """
            with given as (select %s::interval as span, %s::timestamptz as instant)
            select
                (extract(year from span) * 12 + extract(month from span))::integer,
                extract(day from span)::integer,
                (extract(hour from span) * 3600 + extract(minute from span) * 60 + extract(second from span))::integer,
                instant,
                instant + span
            from given
            """,
            [interval, instant],
        ).fetchone()
    assert row is not None
    months, days, seconds, start, expected = row
    assert Span(months, days, seconds).after(start) == expected


def test_it_reads_like_a_sentence() -> None:
    assert str(Span(months=85)) == "7 years 1 month"
    assert str(Span(seconds=86400)) == "24 hours"
    assert str(Span()) == "0 hours"
