"""Exports of the trail with the proof that they are what was sealed.

The records are, batch by batch: the batch's header with its hash and the one before it, then its rows in their order. A row that
was not asked for is there as its hash alone, so that whoever gets the export can recompute every batch: SHA-256 over the hashes of
the rows is `rows_hash`, SHA-256 over the previous hash and the header's line is `hash` (`canonical.py`). The nonce in each row
keeps a hash from telling what it is of. Rows that are not yet sealed come last.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from lyceum.audit.canonical import BATCH_SELECTION, COLUMNS, Batch, Row, batch_of, digest, line_of
from lyceum.audit.sealer import read_chain, read_rows
from lyceum.database import Connection

Format: TypeAlias = Literal["ndjson", "csv"]

_CSV_COLUMNS = ("record", "batch_id", "row_hash", *COLUMNS, "header", "previous_hash", "hash")


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows: those that occurred from `begin` to before `end`, of one organization or of all."""

    begin: datetime
    end: datetime
    organization_id: int | None = None

    def holds(self, row: Row) -> bool:
        """Say whether the row was asked for."""
        is_in_time = self.begin <= row.occurred_at < self.end
        return is_in_time and (self.organization_id is None or row.organization_id == self.organization_id)


def export_trail(
    connection: Connection,
    begin: datetime,
    end: datetime,
    *,
    organization_id: int | None = None,
    format_: Format = "ndjson",
) -> Iterator[str]:
    """Yield the export's lines, each with its line feed, in one snapshot. Record it with `record_access` before.

    Batches none of whose rows may have occurred in the time are left out; `batch_id` and `previous_hash` tell where.
    """
    chosen = Selection(begin, end, organization_id)
    write = _ndjson if format_ == "ndjson" else _csv
    if format_ == "csv":
        yield _csv_line(_CSV_COLUMNS)
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read, read only")
        if format_ == "ndjson":
            yield json.dumps({"record": "chain", "chain_id": str(read_chain(connection))}, separators=(",", ":")) + "\n"
        for batch in _batches(connection, chosen):
            yield write("batch", batch, None)
            for row in read_rows(connection, batch.server_id, batch.from_transaction, batch.to_transaction):
                yield write("row" if chosen.holds(row) else "withheld", batch, row)
        for row in _unsealed(connection):
            if chosen.holds(row):
                yield write("unsealed", None, row)


def _batches(connection: Connection, chosen: Selection) -> list[Batch]:
    rows = connection.execute(
        f"""
        select {BATCH_SELECTION}
        from audit.batches
        where last_occurred_at >= %s and first_occurred_at < %s
        order by batch_id
        """.encode(),  # noqa: S608
        [chosen.begin, chosen.end],
    ).fetchall()
    return [batch_of(row) for row in rows]


def _unsealed(connection: Connection) -> Iterator[Row]:
    row = connection.execute(
        """
        select
            audit.server_id(),
            coalesce(
                (
                    select batches.to_transaction::text
                    from audit.batches as batches
                    where batches.server_id = audit.server_id()
                    order by batches.batch_id desc
                    limit 1
                ),
                '0'
            )
        """
    ).fetchone()
    assert row is not None
    yield from read_rows(connection, row[0], int(row[1]))


def _ndjson(record: str, batch: Batch | None, row: Row | None) -> str:
    if row is None:
        assert batch is not None
        proof = {"previous_hash": batch.previous_hash.hex(), "hash": batch.hash.hex()}
        return json.dumps({"record": record, "header": line_of(batch.header), **proof}, separators=(",", ":")) + "\n"
    if record == "withheld":
        return json.dumps({"record": record, "row_hash": digest(row.line).hex()}, separators=(",", ":")) + "\n"
    # The row's own line stays as it was hashed.
    return f'{{"record":"{record}","row":{row.line}}}\n'


def _csv(record: str, batch: Batch | None, row: Row | None) -> str:
    cells: dict[str, object] = {"record": record, "batch_id": batch.batch_id if batch else ""}
    if row is None:
        assert batch is not None
        cells |= {
            "header": line_of(batch.header),
            "previous_hash": batch.previous_hash.hex(),
            "hash": batch.hash.hex(),
        }
    else:
        cells["row_hash"] = digest(row.line).hex()
        if record != "withheld":
            cells |= json.loads(row.line)
    return _csv_line(tuple(cells.get(name, "") for name in _CSV_COLUMNS))


def _csv_line(cells: tuple[object, ...]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow([_safe(cell) for cell in cells])
    return buffer.getvalue()


def _safe(cell: object) -> object:
    """Keep a spreadsheet from taking a cell for a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t") else cell
