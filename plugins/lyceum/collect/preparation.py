"""From a chunk of records to a batch that only needs to be judged and written: names resolved, days known, rows packed.

Nothing here takes a lock or depends on what other batches do meanwhile, so the next batch is prepared while the server
works on the one before.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from lyceum.collect import binary_copy
from lyceum.collect.clock import ON_TIME, Clock
from lyceum.collect.dictionaries import Dictionaries
from lyceum.local_calendar import LocalCalendar
from lyceum.records import RAW_COLUMNS, Chunk, Event, EventColumns, Refusal

# The columns that have the same width in every row; the rest is appended row by row.
_FIXED_COLUMNS = RAW_COLUMNS[: [name for name, _ in RAW_COLUMNS].index("is_voided") + 1]
_MINUTE = 60_000_000

_SUCCESS = {
    None: binary_copy.NULL,
    True: binary_copy.field(b"\x01"),
    False: binary_copy.field(b"\x00"),
}
_INSTANT = binary_copy.field(b"instant")
# is_success, occurred_at_precision, and three nulls: no score, no length, no segments. Most events end like this.
_PLAIN_ENDS = {success: known + _INSTANT + binary_copy.NULL * 3 for success, known in _SUCCESS.items()}


@dataclass(frozen=True, slots=True)
class PreparedEvents:
    """Events with everything that the server needs, in parallel arrays of one length, in ordinal order.

    `days` are local days and `weeks` their Mondays, as days since 1970-01-01, and 0 where `verdicts` is not ON_TIME.
    `ids` are 16-byte values with two big-endian halves, `high` and `low`. A row of the binary COPY is its head and its payload.
    """

    events: Sequence[Event]
    verdicts: NDArray[np.int8]
    days: NDArray[np.int64]
    weeks: NDArray[np.int64]
    ids: NDArray[np.void]
    heads: Sequence[bytes]
    has_repeated_ids: bool
    voids: Sequence[int]
    """Positions of the events that void another."""


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

    def prepare(self, chunk: Chunk, *, batch_id: int, input_id: int | None) -> PreparedBatch:
        """Return the chunk as a batch."""
        return PreparedBatch(
            batch_id=batch_id,
            source_id=self.source_id,
            input_id=input_id,
            first_ordinal=chunk.first_ordinal,
            last_ordinal=chunk.last_ordinal,
            records_read=chunk.records_read,
            events=self._events(chunk.events, batch_id) if chunk.events else None,
            columns=self._columns(chunk.columns) if chunk.columns is not None and len(chunk.columns.ordinals) else None,
            refusals=chunk.refusals,
        )

    def _events(self, events: Sequence[Event], batch_id: int) -> PreparedEvents:
        occurred = _microseconds(events)
        verdicts = self.clock.verdicts(occurred)
        days, weeks = self._days(occurred, verdicts)
        joined_ids = [event.event_id for event in events]
        ids = np.frombuffer(b"".join(joined_ids), dtype="V16")
        return PreparedEvents(
            events=events,
            verdicts=verdicts,
            days=days,
            weeks=weeks,
            ids=ids,
            heads=self._heads(events, occurred, days, ids, batch_id),
            has_repeated_ids=len(set(joined_ids)) < len(events),
            voids=[position for position, event in enumerate(events) if event.voids is not None],
        )

    def _days(
        self, occurred: NDArray[np.int64], verdicts: NDArray[np.int8]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return local days and Mondays; 0 for what the clock refuses, whose calendar years may not even exist."""
        days = np.zeros(len(occurred), dtype=np.int64)
        on_time = verdicts == ON_TIME
        days[on_time] = self.calendar.local_dates(occurred[on_time])
        return days, _weeks(days, on_time)

    def _heads(
        self,
        events: Sequence[Event],
        occurred: NDArray[np.int64],
        days: NDArray[np.int64],
        ids: NDArray[np.void],
        batch_id: int,
    ) -> list[bytes]:
        """Return each event's row of the binary COPY up to the length of its payload, which then follows."""
        trained = [position for position, event in enumerate(events) if event.trainer is not None]
        people = {event.learner: None for event in events}
        people.update((event.trainer, None) for event in events if event.trainer is not None)
        users = self.dictionaries.users(people)
        types: dict[str, str | None] = {}
        for event in events:
            if types.get(event.object) is None:
                types[event.object] = event.object_type
        objects = self.dictionaries.objects(types)
        verbs = self.dictionaries.verbs({event.verb: None for event in events})
        courses = self.dictionaries.courses({event.course: None for event in events})
        values: dict[str, NDArray[np.generic] | int | None] = {
            "organization_id": self.organization_id,
            "batch_id": batch_id,
            "ordinal": np.array([event.ordinal for event in events]),
            "collected_at": binary_copy.server_microseconds(self.clock.as_of),
            "event_id": ids,
            "occurred_at": binary_copy.to_server_instants(occurred),
            "learner_id": np.array([users[event.learner] for event in events]),
            "trainer_id": None,
            "course_id": np.array([courses[event.course] for event in events]),
            "source_id": self.source_id,
            "object_id": np.array([objects[event.object] for event in events]),
            "verb_id": np.array([verbs[event.verb] for event in events]),
            "quantity": np.array([event.quantity for event in events]),
            "activity_date": binary_copy.to_server_dates(days),
            "active_minute": occurred // _MINUTE,
            "is_course_object": np.array([event.is_course_object for event in events]),
            "is_video": np.array([event.is_video for event in events]),
            "is_void": np.array([event.voids is not None for event in events]),
            "is_voided": 0,
        }
        starts = _slices(values, len(events))
        if trained:
            chosen = {
                name: value[trained] if isinstance(value, np.ndarray) else value for name, value in values.items()
            }
            chosen["trainer_id"] = np.array([users[_present(events[position].trainer)] for position in trained])
            for position, start in zip(trained, _slices(chosen, len(trained)), strict=True):
                starts[position] = start
        return [
            start + _end(event) + len(event.payload).to_bytes(4, "big")
            for start, event in zip(starts, events, strict=True)
        ]

    def _columns(self, columns: EventColumns) -> PreparedColumns:
        all_days = columns.activity_dates.astype("datetime64[D]").astype(np.int64)
        days, positions = np.unique(all_days, return_inverse=True)
        midnights = {day: self.calendar.starts_at(day) for day in map(binary_copy.to_date, days.tolist())}
        instants = np.array(
            [round(midnight.timestamp()) * 1_000_000 for midnight in midnights.values()], dtype=np.int64
        )
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


def _microseconds(events: Sequence[Event]) -> NDArray[np.int64]:
    """Return the instants of the events. A double holds seconds of this century to a quarter of a microsecond."""
    seconds = np.array([event.occurred_at.timestamp() for event in events], dtype=np.float64)
    return np.rint(seconds * 1e6).astype(np.int64)


def _weeks(days: NDArray[np.int64], on_time: NDArray[np.bool_]) -> NDArray[np.int64]:
    # 1970-01-01 was a Thursday.
    return np.where(on_time, days - (days + 3) % 7, 0)


def _slices(values: dict[str, NDArray[np.generic] | int | None], count: int) -> list[bytes]:
    rows = binary_copy.fixed_rows(_FIXED_COLUMNS, values, count, fields_in_row=len(RAW_COLUMNS))
    width, content = rows.dtype.itemsize, rows.tobytes()
    return [content[start : start + width] for start in range(0, len(content), width)]


def _end(event: Event) -> bytes:
    """Return the fields from `is_success` to `played_segments`."""
    if event.score_scaled is None and event.video_length_seconds is None and not event.played_segments:
        return _PLAIN_ENDS[event.is_success]
    return b"".join(
        (
            _SUCCESS[event.is_success],
            _INSTANT,
            _numeric(event.score_scaled),
            _numeric(event.video_length_seconds),
            binary_copy.field(binary_copy.nummultirange(event.played_segments) if event.played_segments else None),
        )
    )


def _numeric(value: Decimal | None) -> bytes:
    return binary_copy.field(None if value is None else binary_copy.numeric(value))


def _present(identity: bytes | None) -> bytes:
    assert identity is not None  # callers chose events that have one
    return identity
