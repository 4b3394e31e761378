"""Inputs as the warehouse remembers them: by their fingerprint, with the record at which collection goes on."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from lyceum.database import Connection
from lyceum.errors import InputError
from lyceum.records import Input


class ChangedInputError(InputError):
    """An input whose records have no ids was collected before with other content; it is refused as a whole."""


@dataclass(frozen=True, slots=True)
class RegisteredInput:
    """An input with its id and the ordinal of the record at which collection goes on."""

    input_id: int
    next_ordinal: int
    is_completed: bool


def register_input(
    connection: Connection, organization_id: int, source_id: int, entry: Input, as_of: datetime
) -> RegisteredInput:
    """Return the input of this fingerprint, adding it when it is new. `connection` is in autocommit mode.

    Raises `ChangedInputError` when its records have no ids and an input of this name was collected with other content.
    """
    known = _find(connection, organization_id, entry.fingerprint)
    if known is not None:
        return known
    # A second process may add it between the two statements; then its row is the one.
    connection.execute(
        """
        insert into ops.inputs (
            organization_id, source_id, fingerprint, name, byte_length, first_seen_at, has_event_ids
        )
        values (%s, %s, %s, %s, %s, %s, %s)
        on conflict do nothing
        """,
        [organization_id, source_id, entry.fingerprint, entry.name, entry.byte_length, as_of, entry.has_event_ids],
    )
    added = _find(connection, organization_id, entry.fingerprint)
    if added is None:
        raise ChangedInputError(
            f"{entry.name} was collected before, with other content. Its records have no ids, so what is new in it cannot be "
            "told from what is there, and nothing of it was collected. Expected the same content, or a presentation that "
            "was never collected; collect a corrected one into another organization."
        )
    return added


def complete_input(connection: Connection, organization_id: int, input_id: int, as_of: datetime) -> None:
    """Mark an input as completed that has no further record, such as an empty file. `connection` is in autocommit mode."""
    connection.execute(
        """
        update ops.inputs set completed_at = %s
        where organization_id = %s and input_id = %s and completed_at is null
        """,
        [as_of, organization_id, input_id],
    )


def completed_fingerprints(
    connection: Connection, organization_id: int, fingerprints: Collection[bytes]
) -> frozenset[bytes]:
    """Return those of the fingerprints whose inputs are completed."""
    rows = connection.execute(
        """
        select fingerprint from ops.inputs
        where organization_id = %s and fingerprint = any(%s) and completed_at is not null
        """,
        [organization_id, list(fingerprints)],
    ).fetchall()
    return frozenset(fingerprint for (fingerprint,) in rows)


def _find(connection: Connection, organization_id: int, fingerprint: bytes) -> RegisteredInput | None:
    row = connection.execute(
        """
        select input_id, next_ordinal, completed_at is not null from ops.inputs
        where organization_id = %s and fingerprint = %s
        """,
        [organization_id, fingerprint],
    ).fetchone()
    return RegisteredInput(*row) if row else None
