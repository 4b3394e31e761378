"""Events as arrays: what the adapter's records say, in a form that another process can hand over in one piece.

Nothing here knows the warehouse. Names stay names, each held once, with a code for every event; the fields of the raw row
that do not depend on the warehouse are packed for the binary COPY, payload included.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from lyceum.collect import binary_copy
from lyceum.records import Chunk, Event, EventColumns, Refusal

Name = TypeVar("Name", bound=Hashable)

NOBODY = -1
"""The code of a trainer that an event does not have."""

_SUCCESS = {
    None: binary_copy.NULL,
    True: binary_copy.field(b"\x01"),
    False: binary_copy.field(b"\x00"),
}
_INSTANT = binary_copy.field(b"instant")
# is_success, occurred_at_precision, and three nulls: no score, no length, no segments. Most events end like this.
_PLAIN_ENDS = {success: known + _INSTANT + binary_copy.NULL * 3 for success, known in _SUCCESS.items()}


@dataclass(frozen=True, slots=True)
class PackedEvents:
    """Events in parallel arrays of one length, in ordinal order.

    `occurred` are microseconds since 1970-01-01T00:00Z. `*_codes` index into the names beside them; `trainer_codes` index into
    `people`, as `learner_codes` do. The end of the raw row of event i, from `is_success` on, is
    `tails[tail_borders[i]:tail_borders[i + 1]]`, and its last `payload_lengths[i]` bytes are the payload.
    """

    ordinals: NDArray[np.int64]
    ids: NDArray[np.void]
    content_hashes: NDArray[np.void]
    occurred: NDArray[np.int64]
    learner_codes: NDArray[np.int64]
    trainer_codes: NDArray[np.int64]
    people: Sequence[bytes]
    verb_codes: NDArray[np.int64]
    verbs: Sequence[str]
    object_codes: NDArray[np.int64]
    objects: Mapping[str, str | None]
    course_codes: NDArray[np.int64]
    courses: Sequence[str | None]
    quantity: NDArray[np.int64]
    is_course_object: NDArray[np.bool_]
    is_video: NDArray[np.bool_]
    voids: Mapping[int, bytes]
    """Position of each event that voids another, with the id of that one."""
    has_repeated_ids: bool
    tails: NDArray[np.uint8]
    tail_borders: NDArray[np.int64]
    payload_lengths: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ordinals)

    def event_id(self, position: int) -> bytes:
        """Return the 16 bytes of an event's id."""
        value: bytes = self.ids[position].tobytes()
        return value

    def content_hash(self, position: int) -> bytes:
        """Return the 32 bytes of an event's content hash."""
        value: bytes = self.content_hashes[position].tobytes()
        return value

    def payload(self, position: int) -> bytes:
        """Return an event's payload."""
        end = int(self.tail_borders[position + 1])
        value: bytes = self.tails[end - int(self.payload_lengths[position]) : end].tobytes()
        return value


@dataclass(frozen=True, slots=True)
class PackedChunk:
    """A chunk whose events are packed; otherwise as `lyceum.records.Chunk`."""

    first_ordinal: int
    last_ordinal: int
    position: int
    events: PackedEvents | None
    columns: EventColumns | None
    refusals: Sequence[Refusal]

    @property
    def records_read(self) -> int:
        """Number of records of the input in this chunk."""
        return self.last_ordinal - self.first_ordinal + 1


def pack(chunk: Chunk) -> PackedChunk:
    """Return the chunk with its events packed."""
    return PackedChunk(
        first_ordinal=chunk.first_ordinal,
        last_ordinal=chunk.last_ordinal,
        position=chunk.last_ordinal if chunk.position is None else chunk.position,
        events=pack_events(chunk.events) if chunk.events else None,
        columns=chunk.columns if chunk.columns is not None and len(chunk.columns.ordinals) else None,
        refusals=chunk.refusals,
    )


def pack_events(events: Sequence[Event]) -> PackedEvents:
    """Return at least one event in arrays."""
    ids = [event.event_id for event in events]
    learners = [event.learner for event in events]
    trainers = {position: event.trainer for position, event in enumerate(events) if event.trainer is not None}
    people = {name: code for code, name in enumerate(dict.fromkeys([*learners, *trainers.values()]))}
    trainer_codes = np.full(len(events), NOBODY, dtype=np.int64)
    for position, trainer in trainers.items():
        trainer_codes[position] = people[trainer]
    verb_codes, verbs = _coded([event.verb for event in events])
    object_codes, objects = _coded([event.object for event in events])
    course_codes, courses = _coded([event.course for event in events])
    types: dict[str, str | None] = dict.fromkeys(objects)
    types.update((event.object, event.object_type) for event in events if event.object_type is not None)
    payloads = [event.payload for event in events]
    ends = [_end(event) + len(event.payload).to_bytes(4, "big") for event in events]
    pieces: list[bytes] = [b""] * (2 * len(events))
    pieces[0::2], pieces[1::2] = ends, payloads
    payload_lengths = _numbers(list(map(len, payloads)))
    return PackedEvents(
        ordinals=_numbers([event.ordinal for event in events]),
        ids=np.frombuffer(b"".join(ids), dtype="V16"),
        content_hashes=np.frombuffer(b"".join([event.content_hash for event in events]), dtype="V32"),
        occurred=_microseconds(events),
        learner_codes=_numbers([people[learner] for learner in learners]),
        trainer_codes=trainer_codes,
        people=list(people),
        verb_codes=verb_codes,
        verbs=verbs,
        object_codes=object_codes,
        objects=types,
        course_codes=course_codes,
        courses=courses,
        quantity=_numbers([event.quantity for event in events]),
        is_course_object=np.array([event.is_course_object for event in events], dtype=np.bool_),
        is_video=np.array([event.is_video for event in events], dtype=np.bool_),
        voids={position: event.voids for position, event in enumerate(events) if event.voids is not None},
        has_repeated_ids=len(set(ids)) < len(ids),
        tails=np.frombuffer(b"".join(pieces), dtype=np.uint8),
        tail_borders=np.concatenate(([0], np.cumsum(_numbers(list(map(len, ends))) + payload_lengths))),
        payload_lengths=payload_lengths,
    )


def _coded(names: Sequence[Name]) -> tuple[NDArray[np.int64], list[Name]]:
    """Return a code for each name, and the names by code."""
    codes = {name: code for code, name in enumerate(dict.fromkeys(names))}
    return _numbers([codes[name] for name in names]), list(codes)


def _numbers(values: Sequence[int]) -> NDArray[np.int64]:
    return np.array(values, dtype=np.int64)


def _microseconds(events: Sequence[Event]) -> NDArray[np.int64]:
    """Return the instants of the events. A double holds the seconds of this century to a quarter of a microsecond."""
    seconds = np.array([event.occurred_at.timestamp() for event in events], dtype=np.float64)
    return np.rint(seconds * 1e6).astype(np.int64)


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
