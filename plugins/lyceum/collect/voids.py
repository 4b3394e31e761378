"""Voiding statements: what they do to the event that they name, decided before and applied after the events are written."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal, TypeAlias

from lyceum.collect.ledger import Key, Ledger
from lyceum.collect.parameters import UuidArray
from lyceum.collect.raw_days import keep_days
from lyceum.database import Connection
from lyceum.local_calendar import week_of

Effect: TypeAlias = Literal["none", "here", "earlier", "unseen", "too_late"]
"""What a void does: nothing (its target is a void, or is void already), mark an event of the same batch, mark a row of an
earlier batch, leave a tombstone for an event that has not come yet; or it comes too late and is refused."""


@dataclass(frozen=True, slots=True)
class RawRow:
    """The raw row of an event that an earlier batch accepted."""

    batch_id: int
    collected_at: datetime
    is_void: bool


@dataclass(slots=True)
class VoidEffects:
    """What the accepted voids of a batch do, by the id of the event that they void."""

    here: set[bytes] = field(default_factory=set)
    earlier: dict[bytes, RawRow] = field(default_factory=dict)
    unseen: dict[bytes, bytes] = field(default_factory=dict)
    """Target to the id of the first void that names it."""
    arrived: set[bytes] = field(default_factory=set)
    """Events of this batch for which a tombstone was waiting."""


@dataclass(frozen=True, slots=True)
class Targets:
    """What is known about the targets of a batch's voids."""

    in_batch: Mapping[bytes, bool]
    """Accepted events of the batch: is this one a void itself?"""
    keys: Mapping[bytes, Key]
    raw_rows: Mapping[bytes, RawRow]


def effect_of(target: bytes, targets: Targets, takes_events: Callable[[date], bool]) -> Effect:
    """Decide what a void of `target` does. `takes_events` says whether the week of a Monday is open (or will be reopened)."""
    is_void_here = targets.in_batch.get(target)
    if is_void_here is not None:
        return "none" if is_void_here else "here"
    key = targets.keys.get(target)
    if key is None:
        return "unseen"
    raw = targets.raw_rows.get(target)
    if raw is None or not takes_events(week_of(key.activity_date)):
        return "too_late"
    return "none" if raw.is_void else "earlier"


def find_targets(
    connection: Connection,
    ledger: Ledger,
    wanted: Iterable[bytes],
    in_batch: Mapping[bytes, bool],
    find_archived: Callable[[Connection, Collection[bytes]], Mapping[bytes, Key]],
) -> Targets:
    """Look up the targets that are not in the batch itself, in the ledger first, then in the archives of its sealed weeks."""
    elsewhere = sorted(set(wanted) - in_batch.keys())
    keys = ledger.look_everywhere(elsewhere) if elsewhere else {}
    if len(keys) < len(elsewhere):
        keys.update(find_archived(connection, set(elsewhere) - keys.keys()))
    raw_rows: dict[bytes, RawRow] = {}
    if keys:
        batch_ids = sorted({key.batch_id for key in keys.values()})
        days = connection.execute(
            "select distinct collected_at from ops.batches where organization_id = %s and batch_id = any(%s)",
            [ledger.organization_id, batch_ids],
        ).fetchall()
        # What is found now is marked later: a clean-up must not come in between.
        keep_days(connection, (collected_at for (collected_at,) in days))
        rows = connection.execute(
            """
            select raw.event_id, raw.batch_id, raw.collected_at, raw.is_void
            from ops.batches as batches
            inner join stage_one.raw_data_collection as raw
                on
                    batches.organization_id = raw.organization_id
                    and batches.batch_id = raw.batch_id
                    and batches.collected_at = raw.collected_at
            where batches.organization_id = %s and batches.batch_id = any(%s) and raw.event_id = any(%s::uuid[])
            """,
            [ledger.organization_id, batch_ids, UuidArray.of(keys)],
        ).fetchall()
        raw_rows = {event_id.bytes: RawRow(*columns) for event_id, *columns in rows}
    return Targets(in_batch, keys, raw_rows)


def find_tombstones(connection: Connection, organization_id: int, ids: Iterable[bytes]) -> set[bytes]:
    """Return those of the ids for which a void came first."""
    rows = connection.execute(
        """
        select target_event_id from stage_one.void_tombstones
        where organization_id = %s and target_event_id = any(%s::uuid[])
        """,
        [organization_id, UuidArray.of(ids)],
    ).fetchall()
    return {event_id.bytes for (event_id,) in rows}


def apply(
    connection: Connection, organization_id: int, batch_id: int, as_of: datetime, effects: VoidEffects
) -> list[datetime]:
    """Mark what is voided and keep the tombstones; return the instants of collection of the rows that were marked."""
    here = RawRow(batch_id, as_of, is_void=False)
    marked = {**effects.earlier, **dict.fromkeys(effects.here, here)}
    collected: list[datetime] = []
    if marked:
        rows = connection.execute(
            """
            update stage_one.raw_data_collection as raw
            set is_voided = true
            where
                raw.organization_id = %s
                and raw.batch_id = any(%s)
                and raw.collected_at = any(%s)
                and raw.event_id = any(%s::uuid[])
                and not raw.is_void
                and not raw.is_voided
            returning raw.collected_at
            """,
            [
                organization_id,
                sorted({row.batch_id for row in marked.values()}),
                sorted({row.collected_at for row in marked.values()}),
                UuidArray.of(marked),
            ],
        ).fetchall()
        collected = [collected_at for (collected_at,) in rows]
    if effects.arrived:
        connection.execute(
            "delete from stage_one.void_tombstones where organization_id = %s and target_event_id = any(%s::uuid[])",
            [organization_id, UuidArray.of(effects.arrived)],
        )
    if effects.unseen:
        targets = sorted(effects.unseen)
        connection.execute(
            """
            insert into stage_one.void_tombstones (organization_id, target_event_id, void_event_id, batch_id)
            select %s, new.target_event_id, new.void_event_id, %s
            from unnest(%s::uuid[], %s::uuid[]) as new (target_event_id, void_event_id)
            on conflict (organization_id, target_event_id) do nothing
            """,
            [
                organization_id,
                batch_id,
                UuidArray.of(targets),
                UuidArray.of(effects.unseen[target] for target in targets),
            ],
        )
    return collected
