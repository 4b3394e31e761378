"""The record contract: what an adapter hands to collection. Nothing after the adapter knows the input's format.

An adapter reads one input and yields records in a fixed order, numbered from 1 (`ordinal`). Each record is an `Event`
(or, in bulk, `EventColumns`) or a `Refusal`. Identities leave the adapter only as keyed hashes (`IdentityHasher`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Literal, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

Reason = Literal[
    "malformed",
    "invalid",
    "missing_id",
    "missing_timestamp",
    "missing_actor",
    "too_long",
    "unreadable_tail",
    "conflict",
    "too_late",
    "void_too_late",
    "in_the_future",
    "older_than_retention",
]

MAXIMUM_IRI_BYTES = 2000
MAXIMUM_RECORD_BYTES = 4 * 1024 * 1024
MAXIMUM_BATCH_RECORDS = 100_000


class IdentityHasher(Protocol):
    """Turns an identifier into a pseudonym: HMAC-SHA256 under a key of the organization."""

    def hash(self, identifier: str) -> bytes:
        """Return the 32-byte keyed hash of a canonical identifier (`mbox:…`, `account:homePage name`, `oulad:student`)."""
        ...


class Event(msgspec.Struct, gc=False, kw_only=True):
    """One readable record of an instant-precise source (xAPI).

    `event_id` has 16 bytes, `content_hash` (SHA-256 of the canonical pseudonymized content) and the identities 32.
    `occurred_at` is aware, in UTC. `course` is the activity id the course is known by, None when unassigned.
    `played_segments` are (start, end) pairs with end > start, in the order of the statement. `voids` is the id of the
    event that this one voids. `payload` is UTF-8 JSON without any identity.
    """

    ordinal: int
    event_id: bytes
    content_hash: bytes
    occurred_at: datetime
    learner: bytes
    verb: str
    object: str
    payload: bytes
    object_type: str | None = None
    course: str | None = None
    trainer: bytes | None = None
    quantity: int = 1
    score_scaled: Decimal | None = None
    is_success: bool | None = None
    is_course_object: bool = False
    is_video: bool = False
    video_length_seconds: Decimal | None = None
    played_segments: tuple[tuple[Decimal, Decimal], ...] = ()
    voids: bytes | None = None


class Refusal(msgspec.Struct, gc=False, kw_only=True):
    """One record that cannot become an event. `detail` says what was found, what was expected and what to do; it never
    quotes the record. `payload` is JSON with identities replaced, or None where that could not be done safely."""

    ordinal: int
    reason: Reason
    detail: str
    byte_length: int
    event_id: bytes | None = None
    content_hash: bytes | None = None
    payload: bytes | None = None


@dataclass(frozen=True, slots=True)
class EventColumns:
    """Up to 100,000 records of a day-precise source (OULAD) as columns; needs no event keys, because the input's
    fingerprint and the ordinal already identify each record.

    All arrays have one element per event, in order of `ordinals` (int64, 1-based, increasing, gaps where refused).
    `event_id` of an event is `event_id_high` (8 bytes) followed by its ordinal (8 bytes, big-endian).
    `*_codes` index into the small lists beside them. `score_hundredths` is scaled score × 100, -128 for none;
    `is_success` is 1, 0 or -1 for unknown.
    """

    event_id_high: bytes
    ordinals: NDArray[np.int64]
    activity_dates: NDArray[np.datetime64]
    learner_codes: NDArray[np.int32]
    learners: list[bytes]
    object_codes: NDArray[np.int32]
    objects: list[tuple[str, str | None]]
    verb: str
    course: str
    quantity: NDArray[np.int32]
    is_course_object: bool = False
    score_hundredths: NDArray[np.int8] | None = None
    is_success: NDArray[np.int8] | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one batch is made of: consecutive records `first_ordinal` … `last_ordinal` of one input."""

    first_ordinal: int
    last_ordinal: int
    events: list[Event] = field(default_factory=list)
    columns: EventColumns | None = None
    refusals: list[Refusal] = field(default_factory=list)
    position: int | None = None
    """How far the input is read with this chunk, measured as `Input.progress_total`; None: `last_ordinal` says it."""

    @property
    def records_read(self) -> int:
        """Number of records of the input in this chunk."""
        return self.last_ordinal - self.first_ordinal + 1


@dataclass(frozen=True, slots=True)
class Input:
    """One input as collection sees it: known by its content, read in chunks from any ordinal on."""

    name: str
    fingerprint: bytes
    byte_length: int
    chunks: Callable[[int, IdentityHasher], Iterator[Chunk]]
    """`chunks(next_ordinal, hasher)` yields the chunks from that ordinal on; same input, same chunks, always."""
    progress_total: int
    """What `Chunk` positions are measured against for progress: bytes or records, as the adapter chooses."""
    chunks_in_parts: Callable[[int, IdentityHasher, int, int], Iterator[Chunk]] | None = None
    """`chunks_in_parts(next_ordinal, hasher, part, parts)` yields of those chunks every `parts`-th, from number `part` on, so
    that several processes can share the work. None where one process does as well."""
    has_event_ids: bool = True
    """Whether its records carry ids of their own. If not, they are told apart by the input alone, and an input of the same
    name with other content is refused once this one is collected."""


@dataclass(frozen=True, slots=True)
class LocalDay:
    """An event's calendar day in its organization, and the ISO week (its Monday) that the day belongs to."""

    activity_date: date
    week_start: date


RAW_COLUMNS: tuple[tuple[str, str], ...] = (
    ("organization_id", "int8"),
    ("batch_id", "int8"),
    ("ordinal", "int8"),
    ("collected_at", "timestamptz"),
    ("event_id", "uuid"),
    ("occurred_at", "timestamptz"),
    ("learner_id", "int8"),
    ("trainer_id", "int8"),
    ("course_id", "int8"),
    ("source_id", "int4"),
    ("object_id", "int4"),
    ("verb_id", "int4"),
    ("quantity", "int4"),
    ("activity_date", "date"),
    ("active_minute", "int4"),
    ("is_course_object", "bool"),
    ("is_video", "bool"),
    ("is_void", "bool"),
    ("is_voided", "bool"),
    ("is_success", "bool"),
    ("occurred_at_precision", "text"),
    ("score_scaled", "numeric"),
    ("video_length_seconds", "numeric"),
    ("played_segments", "nummultirange"),
    ("payload", "json"),
)
"""Columns of `stage_one.raw_data_collection` in the order of the binary COPY, with their PostgreSQL types."""
