"""What the clock says about events before any table is asked: how late and how early an event may be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from lyceum.local_calendar import Microseconds, to_microseconds
from lyceum.records import Reason

CLOCK_TOLERANCE = timedelta(minutes=5)
RETENTION_YEARS = 7

ON_TIME, IN_THE_FUTURE, OLDER_THAN_RETENTION = 0, 1, 2
"""Codes of a verdict by the clock."""

REASONS: dict[int, Reason] = {IN_THE_FUTURE: "in_the_future", OLDER_THAN_RETENTION: "older_than_retention"}

DETAILS: dict[Reason, str] = {
    "in_the_future": "The event lies more than 5 minutes after the clock of the collection. Correct the sender's clock, or "
    "replay the row once that instant has passed.",
    "older_than_retention": "The event is older than the 7 years for which results are kept. Discard the row.",
    "too_late": "The event's week is closed: it was sealed, or it ended more than 7 days before the collection. "
    "Replay the row to reopen the week, or collect history with --history.",
    "conflict": "The event's id was collected before with other content, which stays. Correct the sender, or discard the row.",
    "void_too_late": "The event to be voided can no longer be taken out: its raw record is gone or its week is closed. "
    "Discard the row, or replay it while the raw record still exists.",
}
"""What a person is told about an event that collection itself refuses."""


@dataclass(frozen=True, slots=True)
class Clock:
    """The clock of one run: `as_of`, aware, in UTC."""

    as_of: datetime

    def verdicts(self, occurred: Microseconds) -> NDArray[np.int8]:
        """Return ON_TIME, IN_THE_FUTURE or OLDER_THAN_RETENTION for each instant."""
        verdicts = np.zeros(len(occurred), dtype=np.int8)
        verdicts[occurred > to_microseconds(self.as_of + CLOCK_TOLERANCE)] = IN_THE_FUTURE
        verdicts[occurred < to_microseconds(self.oldest)] = OLDER_THAN_RETENTION
        return verdicts

    @property
    def oldest(self) -> datetime:
        """The same instant 7 calendar years before; for 29 February, which that year lacks, the 28th."""
        year = self.as_of.year - RETENTION_YEARS
        if (self.as_of.month, self.as_of.day) == (2, 29):
            return self.as_of.replace(year=year, day=28)
        return self.as_of.replace(year=year)
