"""Which events of a batch are accepted: the clock, the week, the ledger, and what voids may still do, in this order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date

import numpy as np
from numpy.typing import NDArray

from lyceum.collect import voids
from lyceum.collect.clock import ON_TIME, REASONS
from lyceum.collect.known_ids import KnownIds
from lyceum.collect.ledger import Key, Ledger
from lyceum.collect.preparation import PreparedEvents
from lyceum.database import Connection
from lyceum.records import Reason

_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()


@dataclass(slots=True)
class Judgement:
    """What becomes of the events of a batch: a mask of those accepted, the refused by position, and what voids do."""

    accepted: NDArray[np.bool_]
    duplicates: int = 0
    refused: dict[int, Reason] = field(default_factory=dict)
    effects: voids.VoidEffects = field(default_factory=voids.VoidEffects)

    @property
    def reasons(self) -> Counter[Reason]:
        """How many events were refused for each reason."""
        return Counter(self.refused.values())


def by_clock_and_week(verdicts: NDArray[np.int8], weeks: NDArray[np.int64], taking: Iterable[date]) -> Judgement:
    """Judge by the clock first, then by the week: accepted is what lies in a week that takes events."""
    judgement = Judgement(verdicts == ON_TIME)
    for code, reason in REASONS.items():
        judgement.refused.update(dict.fromkeys(np.flatnonzero(verdicts == code).tolist(), reason))
    mondays = np.array([week.toordinal() - _EPOCH_ORDINAL for week in taking], dtype=np.int64)
    late = judgement.accepted & ~np.isin(weeks, mondays)
    if late.any():
        judgement.refused.update(dict.fromkeys(np.flatnonzero(late).tolist(), "too_late"))
        judgement.accepted &= ~late
    return judgement


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges the events of one batch inside its transaction, which holds the organization's lock.

    `live_weeks` are the weeks whose keys are in the ledger; `find_archived` finds keys of sealed weeks. `reopen` is asked
    whether a sealed week may be reopened for a void, and does it.
    """

    connection: Connection
    ledger: Ledger
    known_ids: KnownIds
    live_weeks: frozenset[date]
    has_tombstones: bool
    reopen: Callable[[date], bool]
    find_archived: Callable[[Connection, Collection[bytes]], Mapping[bytes, Key]]

    def judge(self, prepared: PreparedEvents, taking: frozenset[date]) -> Judgement:
        """Return what becomes of each event."""
        judgement = by_clock_and_week(prepared.verdicts, prepared.weeks, taking)
        self._against_ledger(prepared, judgement)
        if prepared.packed.voids:
            self._voids(prepared, judgement, taking)
        if prepared.packed.has_repeated_ids:
            _within_batch(prepared, judgement)
        if self.has_tombstones:
            self._tombstones(prepared, judgement)
        return judgement

    def _against_ledger(self, prepared: PreparedEvents, judgement: Judgement) -> None:
        candidates = np.flatnonzero(judgement.accepted)
        ids = prepared.packed.ids[candidates]
        candidates = candidates[self.known_ids.may_be_known(self.connection, ids, self.live_weeks)]
        for index, key in self.ledger.look_up(prepared.packed.ids[candidates], self.live_weeks).items():
            position = int(candidates[index])
            judgement.accepted[position] = False
            if prepared.packed.content_hash(position) == key.content_hash:
                judgement.duplicates += 1
            else:
                judgement.refused[position] = "conflict"

    def _voids(self, prepared: PreparedEvents, judgement: Judgement, taking: frozenset[date]) -> None:
        packed = prepared.packed
        in_batch: dict[bytes, bool] = {}
        for position in np.flatnonzero(judgement.accepted).tolist():
            in_batch.setdefault(packed.event_id(position), position in packed.voids)
        accepted = {position: target for position, target in packed.voids.items() if judgement.accepted[position]}
        targets = voids.find_targets(self.connection, self.ledger, accepted.values(), in_batch, self.find_archived)

        def takes_events(week: date) -> bool:
            return week in taking or week in self.live_weeks or self.reopen(week)

        effects = judgement.effects
        settled = {event_id for event_id, is_void in in_batch.items() if not is_void}
        for position, target in accepted.items():
            event_id = packed.event_id(position)
            if event_id in settled:
                # It repeats an event of this batch, or is in conflict with it: it has no effect of its own.
                continue
            effect = voids.effect_of(target, targets, takes_events)
            if effect == "too_late":
                judgement.accepted[position] = False
                judgement.refused[position] = "void_too_late"
                continue
            settled.add(event_id)
            if effect == "here":
                effects.here.add(target)
            elif effect == "earlier":
                effects.earlier[target] = targets.raw_rows[target]
            elif effect == "unseen":
                effects.unseen.setdefault(target, event_id)

    def _tombstones(self, prepared: PreparedEvents, judgement: Judgement) -> None:
        packed = prepared.packed
        accepted = {packed.event_id(position): position for position in np.flatnonzero(judgement.accepted).tolist()}
        if not accepted:
            return
        judgement.effects.arrived = voids.find_tombstones(self.connection, self.ledger.organization_id, accepted)
        judgement.effects.here.update(
            target for target in judgement.effects.arrived if accepted[target] not in packed.voids
        )


def _within_batch(prepared: PreparedEvents, judgement: Judgement) -> None:
    """Of several events with one id the first accepted wins; copies of it are duplicates, others are in conflict."""
    packed = prepared.packed
    first: dict[bytes, bytes] = {}
    for position in np.flatnonzero(judgement.accepted).tolist():
        event_id, content_hash = packed.event_id(position), packed.content_hash(position)
        if event_id not in first:
            first[event_id] = content_hash
            continue
        judgement.accepted[position] = False
        if content_hash == first[event_id]:
            judgement.duplicates += 1
        else:
            judgement.refused[position] = "conflict"
