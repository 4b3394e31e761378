"""Taking refused records up again: each portion is a batch of its own, which marks what it resolves in the same transaction.

A replay follows the rules of history, so it opens and restores weeks. What is refused again stays as it was, which is why
repeating a replay changes nothing. A portion is read under the organization's lock: two replays never take the same row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

import numpy as np

from lyceum import faults, organizations
from lyceum.audit import Access, Outcome, announced
from lyceum.collect.batches import PartitionMissingError
from lyceum.collect.formats import PayloadReader, payload_reader
from lyceum.collect.packing import PackedChunk, pack
from lyceum.collect.preparation import selected
from lyceum.collect.quarantine import SELECTED, Selection, require_selection
from lyceum.collect.reports import BatchOutcome, Progress, ReplayReport, silent
from lyceum.collect.runs import Run, open_run
from lyceum.database import Connection, ConnectionTarget, connect
from lyceum.records import Chunk, Event, Input, Reason, Refusal
from lyceum.settings import Settings

_PORTION_ROWS = 10_000
_PORTION_BYTES = 64 * 1024 * 1024
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class _Row:
    """An unresolved row: its key, its place in its input, and how large its record was."""

    quarantined_at: datetime
    quarantine_id: int
    ordinal: int
    byte_length: int


@dataclass(frozen=True, slots=True)
class _LockedRow:
    """A row that this transaction may resolve."""

    quarantined_at: datetime
    quarantine_id: int
    ordinal: int
    payload: bytes | None


_Build: TypeAlias = Callable[[Sequence[_LockedRow]], tuple[Chunk, Mapping[int, _LockedRow]]]
"""Makes the chunk of some rows, and says which row stands behind which of its ordinals."""


def replay(
    target: ConnectionTarget,
    settings: Settings,
    *,
    organization: str,
    quarantine_ids: Sequence[int] | None = None,
    reason: Reason | None = None,
    as_of: datetime,
    run_id: str,
    progress: Progress = silent,
) -> ReplayReport:
    """Collect the payloads of unresolved rows, chosen by id or by reason, in the order in which they were refused.

    Raises `ConfigurationError` when neither ids nor a reason are given, or an id is unknown. Rows without payload are
    counted in the report and left alone: their input has to be collected again, with --history.
    """
    access = Access(
        "quarantine_replayed",
        f"quarantine of {organization}",
        detail=Selection(quarantine_ids, reason).told(),
    )
    with announced(target, access, begun="quarantine_replay_begun", application_name="lyceum collect") as outcome:
        return _replay(
            target, settings, organization, Selection(quarantine_ids, reason), as_of, run_id, progress, outcome
        )


def _replay(
    target: ConnectionTarget,
    settings: Settings,
    organization: str,
    wanted: Selection,
    as_of: datetime,
    run_id: str,
    progress: Progress,
    told: Outcome,
) -> ReplayReport:
    with connect(target) as connection:
        tenant = organizations.find_organization(connection, organization)
        told.organization_id = tenant.organization_id
        selection = require_selection(connection, tenant, wanted.quarantine_ids, wanted.reason)
        sources = {source.source_id: source for source in organizations.list_sources(connection, tenant)}
        waiting, without_payload = _waiting(connection, tenant.organization_id, selection)
    total = sum(len(rows) for rows in waiting.values())
    report = ReplayReport(organization, as_of, without_payload=without_payload)
    for source_id, rows in waiting.items():
        source = sources[source_id]
        read = payload_reader(source.format)
        with open_run(
            target,
            settings,
            organization=organization,
            source=source.name,
            source_format=source.format,
            as_of=as_of,
            is_history=True,
            run_id=run_id,
        ) as run:
            for portion in _portions(rows):
                outcome = _replay_portion(run, portion, _payload_chunks(run, read))
                report = _counted(report, outcome)
                progress(report.rows_considered, total, "rows")
    told.row_count = report.rows_considered
    told.detail |= {"events_accepted": report.events_accepted, "weeks_restored": len(report.weeks_restored)}
    return report


def collect_refused(run: Run, entry: Input, input_id: int) -> Iterator[tuple[PackedChunk, BatchOutcome | None]]:
    """Take up the unresolved rows of a completed input that hold no payload, by reading that input once more.

    Yields each chunk that was read with what its replay did, None where it had nothing to replay.
    """
    waiting = _refused_of_input(run.names, run.organization.organization_id, input_id)
    if not waiting:
        return
    for chunk in entry.chunks(1, run.hasher):
        rows = [row for ordinal, row in waiting.items() if chunk.first_ordinal <= ordinal <= chunk.last_ordinal]
        if rows and chunk.columns is not None:
            yield pack(chunk), _replay_portion(run, rows, _column_chunks(chunk))
        else:
            yield pack(chunk), None


def _payload_chunks(run: Run, read: PayloadReader) -> _Build:
    def build(rows: Sequence[_LockedRow]) -> tuple[Chunk, Mapping[int, _LockedRow]]:
        by_ordinal = dict(enumerate(rows, 1))
        records = [
            read(row.payload, ordinal, run.hasher) for ordinal, row in by_ordinal.items() if row.payload is not None
        ]
        chunk = Chunk(
            first_ordinal=1,
            last_ordinal=len(rows),
            events=[record for record in records if isinstance(record, Event)],
            refusals=[record for record in records if isinstance(record, Refusal)],
        )
        return chunk, by_ordinal

    return build


def _column_chunks(chunk: Chunk) -> _Build:
    columns = chunk.columns
    assert columns is not None  # the caller has looked

    def build(rows: Sequence[_LockedRow]) -> tuple[Chunk, Mapping[int, _LockedRow]]:
        wanted = np.array([row.ordinal for row in rows], dtype=np.int64)
        chosen = selected(columns, np.isin(columns.ordinals, wanted))
        return replace(chunk, columns=chosen, refusals=[]), {row.ordinal: row for row in rows}

    return build


def _replay_portion(run: Run, rows: Sequence[_Row], build: _Build) -> BatchOutcome | None:
    """Replay the rows in one transaction; None when none of them was still unresolved."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return _replay_once(run, rows, build)
        except PartitionMissingError:
            run.ready_weeks.clear()
    return _replay_once(run, rows, build)


def _replay_once(run: Run, rows: Sequence[_Row], build: _Build) -> BatchOutcome | None:
    writer = run.writer
    with writer.transaction():
        writer.lock()
        locked = _lock_rows(writer.connection, run.organization.organization_id, rows)
        if not locked:
            return None
        chunk, by_ordinal = build(locked)
        batch = run.prepare(pack(chunk), input_id=None)
        outcome = writer.write_locked(batch)
        if not outcome.events_accepted + outcome.duplicates:
            writer.connection.rollback()
            return outcome
        resolved = [row for ordinal, row in by_ordinal.items() if ordinal not in outcome.refused_ordinals]
        _resolve(writer.connection, run, resolved)
        faults.reach("replay.rows_resolved")
    faults.reach("replay.committed")
    return outcome


def _waiting(connection: Connection, organization_id: int, selection: Selection) -> tuple[dict[int, list[_Row]], int]:
    """Return the selected rows that hold a payload by source, and the number of those that hold none."""
    cursor = connection.execute(
        f"""
        select source_id, quarantined_at, quarantine_id, ordinal, coalesce(byte_length, 0), payload is not null
        from stage_one.quarantine as quarantine
        where {SELECTED} and quarantine.resolution is null
        order by quarantine.batch_id, quarantine.ordinal, quarantine.quarantine_id
        """,  # noqa: S608
        {"organization_id": organization_id, **selection.parameters()},
    )
    waiting: dict[int, list[_Row]] = {}
    without_payload = 0
    for source_id, quarantined_at, quarantine_id, ordinal, byte_length, has_payload in cursor:
        if has_payload:
            waiting.setdefault(source_id, []).append(_Row(quarantined_at, quarantine_id, ordinal, byte_length))
        else:
            without_payload += 1
    return waiting, without_payload


def _refused_of_input(connection: Connection, organization_id: int, input_id: int) -> dict[int, _Row]:
    """Return the unresolved rows of an input that collection itself refused and that hold no payload, by ordinal."""
    rows = connection.execute(
        """
        select quarantine.quarantined_at, quarantine.quarantine_id, quarantine.ordinal, 0
        from ops.batches as batches
        inner join stage_one.quarantine as quarantine
            on batches.organization_id = quarantine.organization_id and batches.batch_id = quarantine.batch_id
        where
            batches.organization_id = %s
            and batches.input_id = %s
            and batches.quarantined > 0
            and quarantine.resolution is null
            and quarantine.payload is null
            and quarantine.reason in ('too_late', 'in_the_future', 'older_than_retention')
        order by quarantine.ordinal
        """,
        [organization_id, input_id],
    ).fetchall()
    return {row.ordinal: row for row in (_Row(*columns) for columns in rows)}


def _portions(rows: Sequence[_Row]) -> Iterator[list[_Row]]:
    """Cut the rows so that a portion is no larger than a transaction and the memory bear."""
    portion: list[_Row] = []
    size = 0
    for row in rows:
        if portion and (len(portion) >= _PORTION_ROWS or size + row.byte_length > _PORTION_BYTES):
            yield portion
            portion, size = [], 0
        portion.append(row)
        size += row.byte_length
    if portion:
        yield portion


def _lock_rows(connection: Connection, organization_id: int, rows: Sequence[_Row]) -> list[_LockedRow]:
    """Return those of the rows that are unresolved still, in the order given, and keep others from resolving them."""
    found = connection.execute(
        """
        select quarantine.quarantined_at, quarantine.quarantine_id, quarantine.ordinal, quarantine.payload::text
        from stage_one.quarantine as quarantine
        inner join unnest(%s::timestamptz[], %s::bigint[]) with ordinality as wanted (quarantined_at, quarantine_id, position)
            on quarantine.quarantined_at = wanted.quarantined_at and quarantine.quarantine_id = wanted.quarantine_id
        where quarantine.organization_id = %s and quarantine.resolution is null
        order by wanted.position
        for update of quarantine
        """,
        [[row.quarantined_at for row in rows], [row.quarantine_id for row in rows], organization_id],
    ).fetchall()
    return [
        _LockedRow(quarantined_at, quarantine_id, ordinal, None if payload is None else payload.encode())
        for quarantined_at, quarantine_id, ordinal, payload in found
    ]


def _resolve(connection: Connection, run: Run, rows: Sequence[_LockedRow]) -> None:
    connection.execute(
        """
        update stage_one.quarantine as quarantine
        set resolution = 'replayed', resolved_at = %s
        from unnest(%s::timestamptz[], %s::bigint[]) as resolved (quarantined_at, quarantine_id)
        where
            quarantine.organization_id = %s
            and quarantine.quarantined_at = resolved.quarantined_at
            and quarantine.quarantine_id = resolved.quarantine_id
        """,
        [
            run.as_of,
            [row.quarantined_at for row in rows],
            [row.quarantine_id for row in rows],
            run.organization.organization_id,
        ],
    )


def _counted(report: ReplayReport, outcome: BatchOutcome | None) -> ReplayReport:
    if outcome is None:
        return report
    is_rolled_back = not outcome.events_accepted + outcome.duplicates
    refused = Counter[Reason](report.refused_again) + Counter[Reason](outcome.quarantined)
    return replace(
        report,
        rows_considered=report.rows_considered + outcome.records_read,
        events_accepted=report.events_accepted + outcome.events_accepted,
        duplicates=report.duplicates + outcome.duplicates,
        refused_again=refused,
        events_voided=report.events_voided + outcome.events_voided,
        weeks_restored=[*report.weeks_restored, *(() if is_rolled_back else outcome.weeks_restored)],
    )
