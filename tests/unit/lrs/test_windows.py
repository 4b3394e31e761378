"""Windows cover the store's time without a gap, and the cursor never moves past what is known to be complete."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from lyceum.lrs import windows

NOW = datetime(2026, 3, 9, 6, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
INSTANTS = st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(begins=st.none() | INSTANTS, end=INSTANTS, counts=st.lists(st.integers(0, 1_000_000), max_size=30))
def test_windows_follow_one_another_to_the_end(begins: datetime | None, end: datetime, counts: list[int]) -> None:
    position, width, taken = begins, windows.FIRST, 0
    held = iter(counts)
    while position is None or position < end:
        until = windows.window_end(position, end, width)
        assert until <= end
        assert position is None or until > position
        width = windows.next_width(width, next(held, 0))
        assert windows.NARROWEST <= windows.width_after_failure(width) <= width <= windows.WIDEST
        position, taken = until, taken + 1
    assert taken < 400 + 30 * 24 * 60


def test_a_store_is_believed_about_its_consistency_and_no_further_than_it_was_asked() -> None:
    later, earlier = NOW + MINUTE, NOW - MINUTE

    assert windows.pulled_through(NOW, NOW, later, NOW, MINUTE) == NOW
    assert windows.pulled_through(NOW, NOW, earlier, NOW, timedelta(0)) == earlier


def test_a_store_that_does_not_tell_is_given_time_by_the_earlier_of_two_clocks() -> None:
    behind = NOW - 10 * MINUTE

    assert windows.pulled_through(NOW, NOW, None, behind, MINUTE) == behind - MINUTE
    assert windows.pulled_through(NOW, NOW, None, NOW + 10 * MINUTE, MINUTE) == NOW - MINUTE
    assert windows.pulled_through(behind, NOW, None, NOW, MINUTE) == behind
    assert windows.pulled_through(NOW, NOW, None, None, MINUTE) is None
