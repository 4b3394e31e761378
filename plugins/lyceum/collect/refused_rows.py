"""Writing to quarantine: one row for each record that a batch refuses, with what a person needs to act on it."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from lyceum.collect import binary_copy
from lyceum.collect.clock import DETAILS
from lyceum.collect.preparation import PreparedBatch, PreparedColumns, PreparedEvents
from lyceum.database import Connection
from lyceum.records import Reason, Refusal

_COPY = """
    copy stage_one.quarantine (
        organization_id, quarantined_at, source_id, batch_id, ordinal, reason, detail, event_id, activity_date, content_hash,
        byte_length, payload
    ) from stdin (format binary)
"""
_ROWS_PER_BLOCK = 1_000

_WITHOUT_PAYLOAD = (
    " The row holds no payload, so it cannot be replayed: collect its input again with --history, or discard it."
)


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """One refused record. `days` is its local day since 1970-01-01 where that is known."""

    ordinal: int
    reason: Reason
    detail: str
    byte_length: int | None
    event_id: bytes | None = None
    days: int | None = None
    content_hash: bytes | None = None
    payload: bytes | None = None


def of_adapter(refusals: Iterable[Refusal]) -> Iterator[RefusedRow]:
    """Return the rows of what the adapter refused."""
    for refusal in refusals:
        yield RefusedRow(
            ordinal=refusal.ordinal,
            reason=refusal.reason,
            detail=refusal.detail,
            byte_length=refusal.byte_length,
            event_id=refusal.event_id,
            content_hash=refusal.content_hash,
            payload=refusal.payload,
        )


def of_events(prepared: PreparedEvents, refused: dict[int, Reason]) -> Iterator[RefusedRow]:
    """Return the rows of events that collection refused, by position."""
    for position, reason in sorted(refused.items()):
        payload = prepared.packed.payload(position)
        yield RefusedRow(
            ordinal=int(prepared.packed.ordinals[position]),
            reason=reason,
            detail=DETAILS[reason],
            byte_length=len(payload),
            event_id=prepared.packed.event_id(position),
            days=int(prepared.days[position]) or None,
            content_hash=prepared.packed.content_hash(position),
            payload=payload,
        )


def of_columns(prepared: PreparedColumns, refused: dict[int, Reason]) -> Iterator[RefusedRow]:
    """Return the rows of bulk events that collection refused, by position. They hold no payload."""
    high = prepared.columns.event_id_high
    for position, reason in sorted(refused.items()):
        ordinal = int(prepared.columns.ordinals[position])
        yield RefusedRow(
            ordinal=ordinal,
            reason=reason,
            detail=DETAILS[reason].partition(". ")[0] + "." + _WITHOUT_PAYLOAD,
            byte_length=None,
            event_id=high + ordinal.to_bytes(8, "big"),
            days=int(prepared.days[position]),
        )


def write(
    connection: Connection, batch: PreparedBatch, organization_id: int, as_of: datetime, rows: Iterable[RefusedRow]
) -> int:
    """Write the rows to `stage_one.quarantine` as of the batch; return their number."""
    start = binary_copy.row_start(
        12,
        binary_copy.field(binary_copy.int8(organization_id)),
        binary_copy.field(binary_copy.timestamptz(as_of)),
        binary_copy.field(binary_copy.int4(batch.source_id)),
        binary_copy.field(binary_copy.int8(batch.batch_id)),
    )
    packed = [start + _fields(row) for row in rows]
    if packed:
        with connection.cursor().copy(_COPY) as copy:
            copy.write(binary_copy.HEADER)
            for block in binary_copy.blocks(packed, _ROWS_PER_BLOCK):
                copy.write(block)
            copy.write(binary_copy.TRAILER)
    return len(packed)


def _fields(row: RefusedRow) -> bytes:
    field = binary_copy.field
    return b"".join(
        (
            field(struct.pack(">q", row.ordinal)),
            field(row.reason.encode()),
            field(row.detail.encode()),
            field(row.event_id),
            field(None if row.days is None else binary_copy.date_days(row.days)),
            field(row.content_hash),
            field(None if row.byte_length is None else binary_copy.int8(row.byte_length)),
            field(row.payload),
        )
    )
