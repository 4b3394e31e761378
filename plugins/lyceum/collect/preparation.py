"""From a chunk of records to a batch that only needs to be judged and written: names resolved, days known, rows complete.

Nothing here takes a lock or depends on what other batches do meanwhile, so the next batch is prepared while the server
works on the one before.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import date, datetime

import numpy as np
from numpy.typing import NDArray

from lyceum.collect import binary_copy
from lyceum.collect.clock import ON_TIME, Clock
from lyceum.collect.dictionaries import Dictionaries
from lyceum.collect.packing import NOBODY, PackedChunk, PackedEvents
from lyceum.local_calendar import LocalCalendar, to_microseconds
from lyceum.records import RAW_COLUMNS, EventColumns, Refusal

# The columns that have the same width in every row; `PackedEvents.tails` holds the rest.
_FIXED_COLUMNS = RAW_COLUMNS[: [name for name, _ in RAW_COLUMNS].index("is_voided") + 1]
_MINUTE = 60_000_000


@dataclass(frozen=True, slots=True)
class PreparedEvents:
    """Packed events with what depends on the organization, in parallel.

    `days` are local days and `weeks` their Mondays, as days since 1970-01-01, and 0 where `verdicts` is not ON_TIME. A row
    of the binary COPY is its start and its tail.
    """

    packed: PackedEvents
    verdicts: NDArray[np.int8]
    days: NDArray[np.int64]
    weeks: NDArray[np.int64]
    starts: Sequence[bytes]

    def rows(self, positions: Sequence[int]) -> list[bytes | memoryview]:
        """Return the rows at these positions as pieces that only need to be joined."""
        borders = self.packed.tail_borders.tolist()
        tails = self.packed.tails.data
        pieces: list[bytes | memoryview] = [b""] * (2 * len(positions))
        pieces[0::2] = [self.starts[position] for position in positions]
        pieces[1::2] = [tails[borders[position] : borders[position + 1]] for position in positions]
        return pieces


@dataclass(frozen=True, slots=True)
class PreparedColumns:
    """Events in bulk with the numbers that stand for their names, and each row's verdict, day and week as above."""

    columns: EventColumns
    verdicts: NDArray[np.int8]
    days: NDArray[np.int64]
    weeks: NDArray[np.int64]
    learner_ids: NDArray[np.int64]
    object_ids: NDArray[np.int64]
    verb_id: int
    course_id: int
    midnights: dict[date, datetime]


@dataclass(frozen=True, slots=True)
class PreparedBatch:
    """One batch, ready for its transaction.

    `is_last` is resolved, by whoever reads the input, to whether the input ends with this batch. `input_id` is None for a
    replay. `records_read` counts the refusals of the adapter, too.
    """

    batch_id: int
    source_id: int
    input_id: int | None
    first_ordinal: int
    last_ordinal: int
    records_read: int
    events: PreparedEvents | None = None
    columns: PreparedColumns | None = None
    refusals: Sequence[Refusal] = ()
    is_last: Future[bool] = field(default_factory=Future)

    @property
    def weeks(self) -> set[date]:
        """Mondays of the weeks that the batch may write to."""
        days: set[int] = set()
        for part in (self.events, self.columns):
            if part is not None:
                days.update(np.unique(part.weeks[part.verdicts == ON_TIME]).tolist())
        return {binary_copy.to_date(day) for day in days}


@dataclass(frozen=True, slots=True)
class Preparation:
    """Prepares the batches of one source of one organization in one run."""

    organization_id: int
    source_id: int
    calendar: LocalCalendar
    clock: Clock
    dictionaries: Dictionaries

    def prepare(self, chunk: PackedChunk, *, batch_id: int, input_id: int | None) -> PreparedBatch:
        """Return the chunk as a batch."""
        return PreparedBatch(
            batch_id=batch_id,
            source_id=self.source_id,
            input_id=input_id,
            first_ordinal=chunk.first_ordinal,
            last_ordinal=chunk.last_ordinal,
            records_read=chunk.records_read,
            events=self._events(chunk.events, batch_id) if chunk.events is not None else None,
            columns=self._columns(chunk.columns) if chunk.columns is not None else None,
            refusals=chunk.refusals,
        )

    def _events(self, packed: PackedEvents, batch_id: int) -> PreparedEvents:
        verdicts = self.clock.verdicts(packed.occurred)
        on_time = verdicts == ON_TIME
        # The calendar is asked for nothing that the clock refuses: its years may not even exist.
        days = np.zeros(len(packed), dtype=np.int64)
        days[on_time] = self.calendar.local_dates(packed.occurred[on_time])
        return PreparedEvents(packed, verdicts, days, _weeks(days, on_time), self._starts(packed, days, batch_id))

    def _starts(self, packed: PackedEvents, days: NDArray[np.int64], batch_id: int) -> list[bytes]:
        """Return the beginning of each event's row, up to `is_voided`."""
        names = self.dictionaries
        users = names.users(packed.people)
        people = np.array([users[person] for person in packed.people], dtype=np.int64)
        objects = names.objects(packed.objects)
        verbs = names.verbs(packed.verbs)
        courses = names.courses(packed.courses)
        is_void = np.zeros(len(packed), dtype=np.bool_)
        is_void[list(packed.voids)] = True
        values: dict[str, NDArray[np.generic] | int | None] = {
            "organization_id": self.organization_id,
            "batch_id": batch_id,
            "ordinal": packed.ordinals,
            "collected_at": binary_copy.server_microseconds(self.clock.as_of),
            "event_id": packed.ids,
            "occurred_at": binary_copy.to_server_instants(packed.occurred),
            "learner_id": people[packed.learner_codes],
            "trainer_id": None,
            "course_id": np.array([courses[course] for course in packed.courses])[packed.course_codes],
            "source_id": self.source_id,
            "object_id": np.array([objects[iri] for iri in packed.objects])[packed.object_codes],
            "verb_id": np.array([verbs[verb] for verb in packed.verbs])[packed.verb_codes],
            "quantity": packed.quantity,
            "activity_date": binary_copy.to_server_dates(days),
            "active_minute": packed.occurred // _MINUTE,
            "is_course_object": packed.is_course_object,
            "is_video": packed.is_video,
            "is_void": is_void,
            "is_voided": 0,
        }
        starts = _slices(values, len(packed))
        trained = np.flatnonzero(packed.trainer_codes != NOBODY)
        if len(trained):
            chosen = {
                name: value[trained] if isinstance(value, np.ndarray) else value for name, value in values.items()
            }
            chosen["trainer_id"] = people[packed.trainer_codes[trained]]
            for position, start in zip(trained.tolist(), _slices(chosen, len(trained)), strict=True):
                starts[position] = start
        return starts

    def _columns(self, columns: EventColumns) -> PreparedColumns:
        all_days = columns.activity_dates.astype("datetime64[D]").astype(np.int64)
        days, positions = np.unique(all_days, return_inverse=True)
        midnights = {day: self.calendar.starts_at(day) for day in map(binary_copy.to_date, days.tolist())}
        instants = np.array([to_microseconds(midnight) for midnight in midnights.values()], dtype=np.int64)
        verdicts = self.clock.verdicts(instants)[positions]
        users = self.dictionaries.users(columns.learners)
        objects = self.dictionaries.objects(dict(columns.objects))
        return PreparedColumns(
            columns=columns,
            verdicts=verdicts,
            days=all_days,
            weeks=_weeks(all_days, verdicts == ON_TIME),
            learner_ids=np.array([users[learner] for learner in columns.learners], dtype=np.int64),
            object_ids=np.array([objects[iri] for iri, _ in columns.objects], dtype=np.int64),
            verb_id=self.dictionaries.verbs([columns.verb])[columns.verb],
            course_id=self.dictionaries.courses([columns.course])[columns.course],
            midnights=midnights,
        )


def selected(columns: EventColumns, rows: NDArray[np.bool_]) -> EventColumns:
    """Return the columns with only the rows for which the mask is true."""
    if rows.all():
        return columns
    return replace(
        columns,
        ordinals=columns.ordinals[rows],
        activity_dates=columns.activity_dates[rows],
        learner_codes=columns.learner_codes[rows],
        object_codes=columns.object_codes[rows],
        quantity=columns.quantity[rows],
        score_hundredths=None if columns.score_hundredths is None else columns.score_hundredths[rows],
        is_success=None if columns.is_success is None else columns.is_success[rows],
    )


def _weeks(days: NDArray[np.int64], on_time: NDArray[np.bool_]) -> NDArray[np.int64]:
    # 1970-01-01 was a Thursday.
    return np.where(on_time, days - (days + 3) % 7, 0)


def _slices(values: dict[str, NDArray[np.generic] | int | None], count: int) -> list[bytes]:
    rows = binary_copy.fixed_rows(_FIXED_COLUMNS, values, count, fields_in_row=len(RAW_COLUMNS))
    width, content = rows.dtype.itemsize, rows.tobytes()
    return [content[start : start + width] for start in range(0, len(content), width)]
