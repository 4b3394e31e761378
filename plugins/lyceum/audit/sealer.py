"""The sealer: adds what was committed since the last batch to the chain, and writes the head outside the database.

Ids come from a sequence, so a transaction that commits late leaves rows with low ids behind those that are sealed. A batch is
therefore a range of transactions: below its horizon every transaction of this database has ended, so the rows of the range are
all that it will ever have. The next batch begins where this one ended, and each row belongs to exactly one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from uuid import UUID

from lyceum import faults
from lyceum.alerts import raise_alert
from lyceum.audit.access import ensure_audit_partitions
from lyceum.audit.canonical import BATCH_SELECTION, SELECTION, Batch, Row, RowsDigest, batch_of, genesis
from lyceum.audit.heads import Head, Heads, heads_of_home
from lyceum.database import Connection, ConnectionTarget
from lyceum.settings import Settings

_FETCHED_AT_ONCE = 2_000
_LOCK = "lyceum.audit.seal"

# The first transaction that may still add a row. Ids are the server's, so the snapshot's own lower end waits for every database
# on it; a transaction that is known to be another database's never writes here. One that nobody knows is waited for. What the
# sessions do is asked after the snapshot was taken: an id that it lists stays with its session until it ends.
_HORIZON = """
select
    coalesce(
        (
            select unended.id
            from (
                select running.id
                from pg_snapshot_xip(pg_current_snapshot()) as running (id)
                where
                    not exists (
                        select
                        from pg_stat_activity as sessions
                        where sessions.backend_xid = running.id::xid and sessions.datname <> current_database()
                    )
                    and not exists (
                        select
                        from pg_prepared_xacts as prepared
                        where prepared.transaction = running.id::xid and prepared.database <> current_database()
                    )

                union all

                select pg_current_xact_id_if_assigned()
            ) as unended (id)
            where unended.id is not null
            order by unended.id
            limit 1
        ),
        pg_snapshot_xmax(pg_current_snapshot())
    )::text,
    audit.server_id(),
    clock_timestamp()
"""


@dataclass(frozen=True, slots=True)
class SealReport:
    """What one call did: the batch it added, if there was anything to seal, and the rows that wait for a running transaction."""

    batch: Batch | None
    rows_waiting: int
    heads_missing: int = 0
    """Batches at the end of the chain whose heads were not outside: somebody has cut the file, or replaced it."""


def seal_audit_batches(connection: Connection, heads: Heads) -> SealReport:
    """Seal the rows of all transactions that have ended since the last batch as one batch; keep its head in `heads`.

    `connection` must be in autocommit mode. Callers take turns. A crash between the batch and its head is mended by the next
    call; older heads that are missing are not written again, because only they can show that the chain is still the same.
    """
    with _turns(connection):
        chain_id = read_chain(connection)
        last = _last_batch(connection)
        missing = _mend_head(connection, heads, chain_id, last)
        with connection.transaction():
            batch = _next_batch(connection, chain_id, last)
            if batch is not None:
                _add(connection, batch)
                faults.reach("audit.batch_written")
        if batch is not None:
            faults.reach("audit.batch_committed")
            heads.append(_head(connection, chain_id, batch))
        newest = batch or last
        waiting = _count_waiting(connection, newest) if newest else _count_all(connection)
    return SealReport(batch, waiting, missing)


def seal_and_tell(connection: Connection, target: ConnectionTarget, settings: Settings) -> SealReport:
    """Seal with the heads of the home, and raise an alert when heads are missing there. Otherwise as `seal_audit_batches`.

    Partitions that somebody else has made ahead are closed before.
    """
    ensure_audit_partitions(connection)
    report = seal_audit_batches(connection, heads_of_home(settings))
    if report.heads_missing:
        raise_alert(
            target,
            settings.alerts,
            "audit_heads",
            "audit",
            f"The last {report.heads_missing:,} batches of the audit trail had no head outside the database, expected one each: "
            "the file was cut, replaced or lost. See what holds: lyceum audit verify. Bring the file back from a copy; when you "
            "know why: lyceum audit acknowledge.",
        )
    return report


def read_chain(connection: Connection) -> UUID:
    """Return the name of the database's chain."""
    row = connection.execute("select chain_id from audit.chain").fetchone()
    assert row is not None
    found: UUID = row[0]
    return found


def read_rows(connection: Connection, server_id: int, begin: int, end: int | None = None) -> Iterator[Row]:
    """Yield the rows of a server's transactions from `begin` to before `end`, by transaction and id. Needs a transaction."""
    with connection.cursor("audit_rows") as cursor:
        cursor.itersize = _FETCHED_AT_ONCE
        cursor.execute(
            f"""
            select {SELECTION}
            from audit.audit_logs
            where
                server_id = %(server)s
                and transaction_id >= %(begin)s::xid8
                and (%(end)s::text is null or transaction_id < %(end)s::xid8)
            -- Qualified: the selection has a text of the same name, by which 10 would come before 9.
            order by audit_logs.transaction_id, audit_logs.audit_id
            """.encode(),  # noqa: S608
            {"server": server_id, "begin": str(begin), "end": None if end is None else str(end)},
        )
        for values in cursor:
            yield Row(values)


def _next_batch(connection: Connection, chain_id: UUID, last: Batch | None) -> Batch | None:
    # The horizon first: what ended below it is visible to every later statement.
    row = connection.execute(_HORIZON).fetchone()
    assert row is not None
    horizon, server_id, sealed_at = int(row[0]), row[1], row[2]
    if last is not None and last.server_id != server_id:
        left = _left_on(connection, last)
        if left is not None:
            server_id, horizon = last.server_id, left
    begin = _begin(connection, server_id)
    digest = RowsDigest()
    for found in read_rows(connection, server_id, begin, horizon):
        digest.add(found)
    if digest.first_audit_id is None or digest.last_audit_id is None:
        return None
    assert digest.first_occurred_at is not None
    assert digest.last_occurred_at is not None
    unhashed = Batch(
        batch_id=last.batch_id + 1 if last else 1,
        server_id=server_id,
        from_transaction=begin,
        to_transaction=horizon,
        first_audit_id=digest.first_audit_id,
        last_audit_id=digest.last_audit_id,
        row_count=digest.row_count,
        first_occurred_at=digest.first_occurred_at,
        last_occurred_at=digest.last_occurred_at,
        rows_hash=digest.rows_hash,
        contents_hash=digest.contents_hash,
        sealed_at=sealed_at,
        previous_hash=last.hash if last else genesis(chain_id),
        hash=b"",
    )
    return replace(unhashed, hash=unhashed.true_hash)


def _left_on(connection: Connection, last: Batch) -> int | None:
    """Return the end of what came with the warehouse from another server without having been sealed there, if anything did."""
    row = connection.execute(
        """
        select (max(transaction_id::text::numeric) + 1)::text
        from audit.audit_logs
        where server_id = %s and transaction_id >= %s::text::xid8
        """,
        [last.server_id, str(last.to_transaction)],
    ).fetchone()
    return int(row[0]) if row is not None and row[0] is not None else None


def _begin(connection: Connection, server_id: int) -> int:
    """Return where the next batch of a server begins: where its last one has ended."""
    row = connection.execute(
        """
        select batches.to_transaction::text
        from audit.batches as batches
        where batches.server_id = %s
        order by batches.batch_id desc
        limit 1
        """,
        [server_id],
    ).fetchone()
    return int(row[0]) if row is not None else 0


def _add(connection: Connection, batch: Batch) -> None:
    connection.execute(
        """
        select audit.add_batch(
            row(
                %s::bigint, %s::bigint, %s::text::xid8, %s::text::xid8, %s::bigint, %s::bigint, %s::bigint, %s::timestamptz,
                %s::timestamptz, %s::bytea, %s::bytea, %s::timestamptz, %s::bytea, %s::bytea
            )::audit.batches
        )
        """,
        [
            batch.batch_id,
            batch.server_id,
            str(batch.from_transaction),
            str(batch.to_transaction),
            batch.first_audit_id,
            batch.last_audit_id,
            batch.row_count,
            batch.first_occurred_at,
            batch.last_occurred_at,
            batch.rows_hash,
            batch.contents_hash,
            batch.sealed_at,
            batch.previous_hash,
            batch.hash,
        ],
    )


def _last_batch(connection: Connection) -> Batch | None:
    row = connection.execute(
        f"select {BATCH_SELECTION} from audit.batches order by batch_id desc limit 1".encode()  # noqa: S608
    ).fetchone()
    return batch_of(row) if row is not None else None


def _mend_head(connection: Connection, heads: Heads, chain_id: UUID, last: Batch | None) -> int:
    """Write the head of the last batch if a crash has kept it from being written; return how many are missing otherwise."""
    if last is None:
        return 0
    head = heads.last()
    known = head.batch_id if head is not None and head.chain_id == str(chain_id) else 0
    if known == last.batch_id - 1:
        heads.append(_head(connection, chain_id, last))
        return 0
    return max(0, last.batch_id - known)


def _head(connection: Connection, chain_id: UUID, batch: Batch) -> Head:
    row = connection.execute(
        "select sum(row_count)::bigint from audit.batches where batch_id <= %s", [batch.batch_id]
    ).fetchone()
    assert row is not None
    return Head(
        chain_id=str(chain_id),
        batch_id=batch.batch_id,
        hash=batch.hash.hex(),
        rows=row[0],
        last_audit_id=batch.last_audit_id,
        server_id=batch.server_id,
        to_transaction=batch.to_transaction,
        sealed_at=batch.sealed_at.isoformat(),
    )


def _count_waiting(connection: Connection, newest: Batch) -> int:
    row = connection.execute(
        """
        select count(*)
        from audit.audit_logs
        where server_id = audit.server_id() and transaction_id >= %s::text::xid8
        """,
        [str(newest.to_transaction if newest is not None else 0)],
    ).fetchone()
    assert row is not None
    return int(row[0])


def _count_all(connection: Connection) -> int:
    row = connection.execute("select count(*) from audit.audit_logs").fetchone()
    assert row is not None
    return int(row[0])


@contextmanager
def _turns(connection: Connection) -> Iterator[None]:
    connection.execute("select pg_advisory_lock(hashtextextended(%s, 0))", [_LOCK])
    try:
        yield
    finally:
        connection.execute("select pg_advisory_unlock(hashtextextended(%s, 0))", [_LOCK])
