"""What a collection tells its caller: how far it is while it works, and what it did when it is done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Protocol

from lyceum.records import Reason


class Progress(Protocol):
    """Is told after every batch how much of all inputs is done."""

    def __call__(self, done: int, total: int, unit: str) -> None:
        """Take what is done of the total, in `unit` ("bytes", or "records" where the total is known in records)."""
        ...


def silent(done: int, total: int, unit: str) -> None:
    """Tell nobody; the default `Progress`."""


@dataclass(frozen=True, slots=True)
class BatchOutcome:
    """What one batch did. `records_read` = `events_accepted` + `duplicates` + the sum of `quarantined`."""

    records_read: int = 0
    events_accepted: int = 0
    duplicates: int = 0
    quarantined: Mapping[Reason, int] = field(default_factory=dict)
    events_voided: int = 0
    weeks_restored: Sequence[date] = ()
    refused_ordinals: frozenset[int] = frozenset()


@dataclass(slots=True)
class InputReport:
    """What a run did with one input. `is_known` when an earlier run had completed it: then everything else is zero."""

    name: str
    is_known: bool = False
    batches: int = 0
    records_read: int = 0
    events_accepted: int = 0
    duplicates: int = 0
    events_voided: int = 0
    quarantined: Counter[Reason] = field(default_factory=Counter)
    weeks_restored: set[date] = field(default_factory=set)

    def add(self, outcome: BatchOutcome) -> None:
        """Count one committed batch."""
        self.batches += 1
        self.records_read += outcome.records_read
        self.events_accepted += outcome.events_accepted
        self.duplicates += outcome.duplicates
        self.events_voided += outcome.events_voided
        self.quarantined.update(outcome.quarantined)
        self.weeks_restored.update(outcome.weeks_restored)


@dataclass(frozen=True, slots=True)
class CollectReport:
    """What one run did, input by input. An input that could not be read at all is in `failures`, with what was wrong."""

    organization: str
    source: str
    as_of: datetime
    inputs: Sequence[InputReport] = ()
    failures: Sequence[InputFailure] = ()
    deliveries_known: int = 0
    """Files of a landing folder that were not even opened, because nothing about them has changed."""

    @property
    def inputs_known(self) -> int:
        """Number of inputs that an earlier run had completed."""
        return sum(entry.is_known for entry in self.inputs)

    @property
    def batches(self) -> int:
        """Number of batches that this run committed."""
        return sum(entry.batches for entry in self.inputs)

    @property
    def records_read(self) -> int:
        """Number of records that this run read; equals accepted + duplicates + quarantined."""
        return sum(entry.records_read for entry in self.inputs)

    @property
    def events_accepted(self) -> int:
        """Number of events that this run added."""
        return sum(entry.events_accepted for entry in self.inputs)

    @property
    def duplicates(self) -> int:
        """Number of records that repeated an event."""
        return sum(entry.duplicates for entry in self.inputs)

    @property
    def events_voided(self) -> int:
        """Number of events that a voiding statement took out of the numbers."""
        return sum(entry.events_voided for entry in self.inputs)

    @property
    def quarantined(self) -> Counter[Reason]:
        """Number of refused records by reason."""
        return sum((entry.quarantined for entry in self.inputs), Counter[Reason]())

    @property
    def weeks_restored(self) -> set[date]:
        """Weeks (their Mondays) that were sealed and are open again."""
        return set().union(*(entry.weeks_restored for entry in self.inputs))


@dataclass(frozen=True, slots=True)
class InputFailure:
    """An input of a landing folder that could not be read as a whole."""

    name: str
    message: str


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What a replay did: rows taken up, events they became, duplicates they turned out to be, rows refused once more."""

    organization: str
    as_of: datetime
    rows_considered: int = 0
    events_accepted: int = 0
    duplicates: int = 0
    refused_again: Mapping[Reason, int] = field(default_factory=dict)
    without_payload: int = 0
    events_voided: int = 0
    weeks_restored: Sequence[date] = ()
