"""By which property a store applies since and until: `stored`, as the specification wants, or `timestamp`, as some do.

It matters: a statement that comes late is new by `stored` and old by `timestamp`, so with the latter it turns up behind a cursor.
"""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta

from lyceum.lrs.cursors import FiltersBy
from lyceum.lrs.statements import Query, StatementStore, Times, times_of

_REACH = timedelta(seconds=1)
_MOST_PAGES = 20


def can_tell(times: Times) -> bool:
    """Return whether a statement's two instants lie so far apart that asking for one does not mean the other."""
    if times.id is None or times.stored is None or times.timestamp is None:
        return False
    return abs(times.stored - times.timestamp) > 4 * _REACH


def find_clock(store: StatementStore, times: Times, page_size: int) -> FiltersBy | None:
    """Ask for the seconds around the statement's two instants: with which of them it comes tells. None when it stays open."""
    assert times.timestamp is not None
    assert times.stored is not None
    if _comes_with(store, times, times.timestamp, page_size):
        return "timestamp"
    # It may be gone altogether by now, voided for example, and would then tell nothing.
    return "stored" if _comes_with(store, times, times.stored, page_size) else None


def _comes_with(store: StatementStore, times: Times, instant: datetime, page_size: int) -> bool:
    query = Query(instant - _REACH, instant + _REACH, page_size)
    return any(
        times_of(statement).id == times.id
        for page in itertools.islice(store.pages(query), _MOST_PAGES)
        for statement in page.statements
    )
