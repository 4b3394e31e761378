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
    """Ask for the seconds around the statement's timestamp: whether it is among the answers tells. None when it stays open."""
    assert times.timestamp is not None
    since, until = times.timestamp - _REACH, times.timestamp + _REACH
    for page in itertools.islice(store.pages(Query(since, until, page_size)), _MOST_PAGES):
        for statement in page.statements:
            found = times_of(statement)
            if found.id == times.id:
                return "timestamp"
            if found.stored is not None and found.timestamp is not None:
                by_stored = _lies_between(found.stored, since, until)
                if by_stored != _lies_between(found.timestamp, since, until):
                    return "stored" if by_stored else "timestamp"
        if page.more is None:
            return "stored"
    return None


def _lies_between(instant: datetime, since: datetime, until: datetime) -> bool:
    return since - _REACH < instant < until + _REACH
