"""How far each Learning Record Store has been pulled, as the warehouse remembers it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from lyceum.database import Connection
from lyceum.lrs import windows
from lyceum.lrs.options import LrsOptions

FiltersBy: TypeAlias = Literal["stored", "timestamp"]


@dataclass(frozen=True, slots=True)
class Cursor:
    """Everything up to `pulled_through` is in committed batches; None: nothing is yet.

    `filters_by` is the property by which the store applies since and until, None while that is unknown. `is_history`: a pull of
    history has not come to its end yet.
    """

    pulled_through: datetime | None
    filters_by: FiltersBy | None
    width: timedelta
    is_history: bool = False

    def start(self, options: LrsOptions) -> datetime | None:
        """Return from where on the next pull asks; None: from the beginning."""
        if self.pulled_through is None:
            return options.since
        if self.filters_by == "stored":
            overlap = timedelta(seconds=options.overlap_seconds)
        else:
            # A late statement would show up behind the cursor, so all that may still count is asked for again.
            overlap = max(timedelta(days=options.lateness_days), timedelta(seconds=options.overlap_seconds))
        start = self.pulled_through - overlap
        return start if options.since is None else max(start, options.since)


def read_cursor(connection: Connection, organization_id: int, source_id: int, options: LrsOptions) -> Cursor:
    """Return the source's cursor, a new one when there is none for this endpoint and beginning."""
    row = connection.execute(
        """
        select pulled_through, filters_by, window_seconds, is_history from ops.lrs_cursors
        where organization_id = %s and source_id = %s and endpoint = %s and begins_at is not distinct from %s
        """,
        [organization_id, source_id, options.endpoint, options.since],
    ).fetchone()
    if row is None:
        return Cursor(None, None, windows.FIRST, options.history)
    return Cursor(row[0], row[1], timedelta(seconds=row[2]), row[3])


def write_cursor(
    connection: Connection, organization_id: int, source_id: int, options: LrsOptions, cursor: Cursor, as_of: datetime
) -> None:
    """Remember the cursor; one for another endpoint or beginning is replaced, one that is further stays where it is."""
    connection.execute(
        """
        insert into ops.lrs_cursors as known (
            organization_id, source_id, endpoint, begins_at, pulled_through, filters_by, window_seconds, is_history, pulled_at
        )
        values (
            %(organization)s, %(source)s, %(endpoint)s, %(since)s, %(through)s, %(filters_by)s, %(seconds)s, %(is_history)s, %(as_of)s
        )
        on conflict (organization_id, source_id) do update set
            endpoint = excluded.endpoint,
            begins_at = excluded.begins_at,
            pulled_through = case
                when known.endpoint = excluded.endpoint and known.begins_at is not distinct from excluded.begins_at
                    then greatest(known.pulled_through, excluded.pulled_through)
                else excluded.pulled_through
            end,
            filters_by = excluded.filters_by,
            window_seconds = excluded.window_seconds,
            is_history = excluded.is_history,
            pulled_at = excluded.pulled_at
        """,
        {
            "organization": organization_id,
            "source": source_id,
            "endpoint": options.endpoint,
            "since": options.since,
            "through": cursor.pulled_through,
            "filters_by": cursor.filters_by,
            "seconds": max(round(cursor.width.total_seconds()), 1),
            "is_history": cursor.is_history,
            "as_of": as_of,
        },
    )


def forget_progress(connection: Connection, organization_id: int, source_id: int) -> None:
    """Let the next pull ask for everything from the beginning; what is known about the store itself stays."""
    connection.execute(
        "update ops.lrs_cursors set pulled_through = null where organization_id = %s and source_id = %s",
        [organization_id, source_id],
    )
