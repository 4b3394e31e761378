"""Verification: recomputes the chain from the rows, and compares it with the heads outside the database."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from lyceum.audit.canonical import BATCH_SELECTION, Batch, Row, RowsDigest, batch_of, genesis
from lyceum.audit.heads import Head, Heads
from lyceum.audit.sealer import read_chain, read_rows
from lyceum.database import Connection


class FindingKind(StrEnum):
    """What is wrong with a part of the trail."""

    EDITED = "edited"
    """As many rows as were sealed, of which some say something else."""
    DELETED = "deleted"
    """Fewer rows than were sealed."""
    INSERTED = "inserted"
    """More rows than were sealed, or rows where none can be."""
    REORDERED = "reordered"
    """The same entries in another order or at other instants."""
    BATCH_EDITED = "batch_edited"
    """The batch's own row does not have the hash that follows from it and the batch before."""
    BATCH_DELETED = "batch_deleted"
    """A batch in the middle of the chain is gone."""
    REWRITTEN = "rewritten"
    """The batch is consistent in itself and has another hash than the head outside."""
    TAIL_CUT = "tail_cut"
    """The heads outside know later batches, and the database was not set back."""
    RESTORED = "restored"
    """The heads outside know later batches, or other ones, and the database is of an older state."""
    HEAD_MISSING = "head_missing"
    """The batch is in the database, and no head outside says so."""
    OTHER_CHAIN = "other_chain"
    """The heads outside are those of another chain: this is another database, or the trail was begun anew."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: the batch it is about, if it is about one, and a sentence for a person."""

    batch_id: int | None
    kind: FindingKind
    message: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What was recomputed and what was found. The trail is whole when there is no finding.

    `rows_of_organization` counts the sealed rows about the organization that was asked for. `rows_unsealed` are those behind the
    last batch, which nothing protects yet. Batches whose rows have outlived their retention are `batches_expired`: their own
    hashes are verified, their rows are gone.
    """

    batches: int
    rows: int
    rows_of_organization: int | None
    rows_unsealed: int
    batches_expired: int
    findings: tuple[Finding, ...]

    @property
    def is_whole(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


def verify_trail(
    connection: Connection, heads: Heads, *, organization_id: int | None = None, since_batch: int = 1
) -> Verification:
    """Recompute every batch from `since_batch` on in one snapshot, and compare the chain with its heads. Changes nothing.

    All rows of a batch count, whatever organization they are about; `organization_id` only counts its rows. `connection` must be
    one that sees all rows: the pipeline's or the administrator's.
    """
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read, read only")
        chain_id = read_chain(connection)
        batches = _read_batches(connection)
        examined = [batch for batch in batches if batch.batch_id >= since_batch]
        count = _Count(organization_id)
        expired_before = _expired_before(connection, batches)
        findings = [*_chain_findings(batches, chain_id, since_batch)]
        findings += _row_findings(connection, examined, count, expired_before)
        findings += _unsealed_findings(connection, batches, count)
        known = [head for head in heads.read() if head.batch_id >= since_batch]
        findings += _head_findings(connection, examined, known, chain_id)
    order = {kind: position for position, kind in enumerate(FindingKind)}
    findings.sort(key=lambda finding: (finding.batch_id or 0, order[finding.kind]))
    return Verification(
        batches=len(examined),
        rows=count.rows,
        rows_of_organization=count.of_organization if organization_id is not None else None,
        rows_unsealed=count.unsealed,
        batches_expired=count.expired,
        findings=tuple(findings),
    )


class _Count:
    def __init__(self, organization_id: int | None) -> None:
        self._organization_id = organization_id
        self.rows = 0
        self.of_organization = 0
        self.unsealed = 0
        self.expired = 0

    def add(self, row: Row) -> None:
        self.rows += 1
        self.of_organization += row.organization_id == self._organization_id


def _read_batches(connection: Connection) -> list[Batch]:
    rows = connection.execute(
        f"select {BATCH_SELECTION} from audit.batches order by batch_id".encode()  # noqa: S608
    ).fetchall()
    return [batch_of(row) for row in rows]


def _expired_before(connection: Connection, batches: list[Batch]) -> datetime | None:
    """Return the instant before which the chain itself says that rows may have been dropped: its end less the retention."""
    if not batches:
        return None
    row = connection.execute(
        "select %s - retention from ops.partition_policies where parent_table = 'audit.audit_logs'",
        [batches[-1].sealed_at],
    ).fetchone()
    found: datetime | None = row[0] if row is not None else None
    return found


def _chain_findings(batches: list[Batch], chain_id: UUID, since_batch: int) -> Iterator[Finding]:
    expected_id, previous_hash = 1, genesis(chain_id)
    for batch in batches:
        if batch.batch_id > expected_id and batch.batch_id >= since_batch:
            gone = str(expected_id) if batch.batch_id == expected_id + 1 else f"{expected_id} to {batch.batch_id - 1}"
            yield Finding(expected_id, FindingKind.BATCH_DELETED, f"The chain lacks batch {gone}.")
            # What the lost batch's hash was only the next one says.
            previous_hash = batch.previous_hash
        if batch.batch_id >= since_batch and (batch.previous_hash != previous_hash or batch.hash != batch.true_hash):
            yield Finding(
                batch.batch_id,
                FindingKind.BATCH_EDITED,
                f"The row of batch {batch.batch_id} in audit.batches was changed after it was sealed.",
            )
        expected_id, previous_hash = batch.batch_id + 1, batch.hash


def _row_findings(
    connection: Connection, batches: list[Batch], count: _Count, expired_before: datetime | None
) -> Iterator[Finding]:
    """Read each server's rows once, in the order of the chain, and compare them with the batches they belong to."""
    by_server: Mapping[int, list[Batch]] = {
        server: sorted(group, key=lambda batch: batch.from_transaction)
        for server, group in itertools.groupby(
            sorted(batches, key=lambda batch: batch.server_id), key=lambda batch: batch.server_id
        )
    }
    for server_id, group in by_server.items():
        rows = read_rows(connection, server_id, group[0].from_transaction)
        yield from _compare(group, rows, count, expired_before)


def _unsealed_findings(connection: Connection, batches: list[Batch], count: _Count) -> Iterator[Finding]:
    """Count the rows of servers on which nothing was sealed; only the server that runs now may have any."""
    row = connection.execute(
        """
        select
            count(*) filter (where server_id = audit.server_id()),
            count(*) filter (where server_id <> audit.server_id())
        from audit.audit_logs
        where server_id <> all(%s)
        """,
        [sorted({batch.server_id for batch in batches})],
    ).fetchone()
    assert row is not None
    count.unsealed += row[0]
    if row[1]:
        yield Finding(
            None, FindingKind.INSERTED, f"{row[1]:,} rows name a server of which the chain has no batch at all."
        )


def _compare(
    batches: list[Batch], rows: Iterable[Row], count: _Count, expired_before: datetime | None
) -> Iterator[Finding]:
    stream = iter(rows)
    row = next(stream, None)
    end = batches[0].from_transaction
    for batch in batches:
        # Between two batches of one server there is nothing: the next begins where the last has ended.
        outside = 0
        while row is not None and row.transaction_id < batch.from_transaction:
            outside += 1
            row = next(stream, None)
        if outside:
            yield Finding(
                batch.batch_id, FindingKind.INSERTED, f"{outside:,} rows before batch {batch.batch_id} are of no batch."
            )
        found = RowsDigest()
        while row is not None and row.transaction_id < batch.to_transaction:
            found.add(row)
            count.add(row)
            row = next(stream, None)
        end = max(end, batch.to_transaction)
        if found.row_count < batch.row_count and expired_before and batch.first_occurred_at < _month_of(expired_before):
            count.expired += 1
            continue
        finding = _difference(batch, found)
        if finding is not None:
            yield finding
    count.unsealed += (row is not None) + sum(1 for _ in stream)


def _month_of(instant: datetime) -> datetime:
    # Whole months are dropped, and only when their last day has outlived the retention.
    return instant - timedelta(days=instant.day - 1)


def _difference(batch: Batch, found: RowsDigest) -> Finding | None:
    name = f"Batch {batch.batch_id} (audit ids {batch.first_audit_id} to {batch.last_audit_id})"
    if found.row_count < batch.row_count:
        missing = batch.row_count - found.row_count
        return Finding(
            batch.batch_id,
            FindingKind.DELETED,
            f"{name} was sealed with {batch.row_count:,} rows, and {missing:,} of them are gone.",
        )
    if found.row_count > batch.row_count:
        added = found.row_count - batch.row_count
        return Finding(
            batch.batch_id,
            FindingKind.INSERTED,
            f"{name} was sealed with {batch.row_count:,} rows, and {added:,} were added afterwards.",
        )
    if found.rows_hash == batch.rows_hash:
        return None
    if found.contents_hash == batch.contents_hash:
        return Finding(
            batch.batch_id,
            FindingKind.REORDERED,
            f"{name} holds the entries that were sealed, in another order or at other instants.",
        )
    return Finding(batch.batch_id, FindingKind.EDITED, f"{name} holds rows that were changed after they were sealed.")


def _head_findings(
    connection: Connection, batches: list[Batch], heads: list[Head], chain_id: UUID
) -> Iterator[Finding]:
    own = [head for head in heads if head.chain_id == str(chain_id)]
    foreign = {head.chain_id for head in heads} - {str(chain_id)}
    for other in sorted(foreign):
        known = max(head.batch_id for head in heads if head.chain_id == other)
        yield Finding(
            None,
            FindingKind.OTHER_CHAIN,
            f"The heads outside the database know another chain, {other}, with {known:,} batches. Expected those of "
            f"{chain_id} alone: this is another warehouse, or its trail was begun anew.",
        )
    by_id = {batch.batch_id: batch for batch in batches}
    kept: dict[int, set[str]] = {}
    for head in own:
        kept.setdefault(head.batch_id, set()).add(head.hash)
    for batch_id, hashes in kept.items():
        batch = by_id.get(batch_id)
        if len(hashes) > 1:
            yield Finding(
                batch_id,
                FindingKind.RESTORED,
                f"The heads outside know {len(hashes)} different batches {batch_id}: the database was set back to an older "
                "state and went on from there.",
            )
        elif batch is not None and batch.hash.hex() not in hashes:
            yield Finding(
                batch_id,
                FindingKind.REWRITTEN,
                f"Batch {batch_id} has another hash than its head outside the database: it was sealed anew.",
            )
    last = max(by_id, default=0)
    beyond = [head for head in own if head.batch_id > last]
    if beyond:
        newest = max(beyond, key=lambda head: head.batch_id)
        is_older = _is_older(connection, newest)
        yield Finding(
            newest.batch_id,
            FindingKind.RESTORED if is_older else FindingKind.TAIL_CUT,
            f"The heads outside the database end with batch {newest.batch_id}, the database with {last}. "
            + (
                "The server has not yet come as far as it was then: the database was restored from an older state."
                if is_older
                else "The server has come further since: the end of the chain was cut off."
            ),
        )
    unknown = sorted(set(by_id) - set(kept))
    if unknown:
        named = ", ".join(str(batch_id) for batch_id in unknown[:5]) + (", …" if len(unknown) > 5 else "")
        yield Finding(
            unknown[0],
            FindingKind.HEAD_MISSING,
            f"{len(unknown):,} batches have no head outside the database ({named}): the file was cut or replaced, or the last "
            "sealing has just died, which the next one mends.",
        )


def _is_older(connection: Connection, head: Head) -> bool:
    """Say whether the server has not come as far as it was when the head was made: ids and transactions never go back."""
    row = connection.execute(
        """
        select
            case when sequences.is_called then sequences.last_value else 0 end,
            audit.server_id(),
            pg_snapshot_xmax(pg_current_snapshot())::text
        from audit.audit_ids as sequences
        """
    ).fetchone()
    assert row is not None
    last_audit_id, server_id, next_transaction = row[0], row[1], int(row[2])
    return bool(
        last_audit_id < head.last_audit_id or (server_id == head.server_id and next_transaction < head.to_transaction)
    )
