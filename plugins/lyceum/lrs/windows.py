"""Which stretch of a store's time is asked for next. Pure: instants in, instants out.

A pull goes through time in windows, and its cursor moves window by window. Within a window the order of statements and pages
does not matter, because nothing is concluded from it: a store may list oldest first, newest first or in no order at all.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

BEGINNING = datetime(2012, 1, 1, tzinfo=UTC)
"""Before that there was no xAPI: the first window of a store that is pulled from its beginning ends here."""
SEAM = timedelta(seconds=1)
"""By how much a window reaches into the one before: stores differ in whether a bound belongs to it."""
WIDEST = timedelta(days=64)
NARROWEST = timedelta(minutes=1)
FIRST = timedelta(days=1)
_FEW, _MANY = 20_000, 200_000


def window_end(position: datetime | None, end: datetime, width: timedelta) -> datetime:
    """Return where the window that begins at `position` ends; `end` is where the pull ends."""
    if position is None:
        return min(BEGINNING, end)
    return min(position + width, end)


def next_width(width: timedelta, statements: int) -> timedelta:
    """Return the width of the window after one of this width that held so many statements."""
    if statements < _FEW:
        return min(width * 4, WIDEST)
    if statements > _MANY:
        return max(width / 4, NARROWEST)
    return width


def width_after_failure(width: timedelta) -> timedelta:
    """Return the width for the case that a window of this width is not finished: a backlog then gets through in parts."""
    return max(width / 8, NARROWEST)


def pulled_through(
    until: datetime,
    as_of: datetime,
    consistent_through: datetime | None,
    server_time: datetime | None,
    settle: timedelta,
) -> datetime | None:
    """Return up to where a finished window that ended at `until` has told everything; None when that cannot be known.

    A store that says through when it is consistent is believed, and never moved past. Any other is given `settle` to show what
    it has stored, by its own clock as well as by that of the run.
    """
    if consistent_through is not None:
        return min(until, consistent_through)
    if server_time is None:
        return None
    return min(until, min(as_of, server_time) - settle)
