"""The canonical form of rows and batches, over which the chain is hashed. It must never change for what is sealed.

A row is one line of JSON with its columns in a fixed order, instants in UTC with microseconds, no spaces, ASCII. `detail` is
the text of the jsonb value, which PostgreSQL writes in one way only. An export holds the same lines, so anybody with SHA-256
can recompute the chain.

    row        = SHA-256(line)
    rows_hash  = SHA-256(row 1 || row 2 || …), in the order of transaction and id
    batch hash = SHA-256(previous hash || line of the batch's header)
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

COLUMNS = (
    "audit_id",
    "server_id",
    "transaction_id",
    "nonce",
    "occurred_at",
    "recorded_at",
    "organization_id",
    "actor_login",
    "actor_user_id",
    "actor_role",
    "action",
    "resource",
    "row_count",
    "decision",
    "request_id",
    "source",
    "session_id",
    "line_number",
    "detail",
)
"""The columns of a row in their canonical order."""

SELECTION = ", ".join(f"{name}::text" if name in ("transaction_id", "detail") else name for name in COLUMNS)
"""The columns as a query has to select them."""

# What an entry says, without where and when it stands in the trail.
_CONTENT = COLUMNS[6:]
_AUDIT_ID, _TRANSACTION, _OCCURRED_AT, _ORGANIZATION = 0, 2, 4, 6


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the trail, with the values of `COLUMNS` as a query of `SELECTION` returns them."""

    values: tuple[Any, ...]

    @property
    def audit_id(self) -> int:
        """The row's id."""
        return int(self.values[_AUDIT_ID])

    @property
    def transaction_id(self) -> int:
        """The transaction that wrote it, 64 bits."""
        return int(self.values[_TRANSACTION])

    @property
    def occurred_at(self) -> datetime:
        """When it occurred, aware."""
        found: datetime = self.values[_OCCURRED_AT]
        return found

    @property
    def organization_id(self) -> int | None:
        """The organization it is about, if any."""
        found: int | None = self.values[_ORGANIZATION]
        return found

    @property
    def line(self) -> str:
        """The canonical line, without line feed."""
        return line_of(dict(zip(COLUMNS, self.values, strict=True)))

    @property
    def content(self) -> str:
        """What the entry says, as a line: equal for entries that differ only in ids and instants."""
        return line_of(dict(zip(_CONTENT, self.values[6:], strict=True)))


class RowsDigest:
    """Hashes the rows of one batch as they come."""

    def __init__(self) -> None:
        """Begin with no row."""
        self.row_count = 0
        self.first_audit_id: int | None = None
        self.last_audit_id: int | None = None
        self.first_occurred_at: datetime | None = None
        self.last_occurred_at: datetime | None = None
        self._rows = hashlib.sha256()
        self._contents: list[bytes] = []

    def add(self, row: Row) -> None:
        """Take the next row in the order of transaction and id."""
        self.row_count += 1
        self._rows.update(digest(row.line))
        self._contents.append(digest(row.content))
        self.first_audit_id = row.audit_id if self.first_audit_id is None else min(self.first_audit_id, row.audit_id)
        self.last_audit_id = row.audit_id if self.last_audit_id is None else max(self.last_audit_id, row.audit_id)
        occurred_at = row.occurred_at
        self.first_occurred_at = min(self.first_occurred_at or occurred_at, occurred_at)
        self.last_occurred_at = max(self.last_occurred_at or occurred_at, occurred_at)

    @property
    def rows_hash(self) -> bytes:
        """The hash over the rows so far."""
        return self._rows.digest()

    @property
    def contents_hash(self) -> bytes:
        """The hash over what the rows say, whatever their order, ids and instants."""
        return hashlib.sha256(b"".join(sorted(self._contents))).digest()


@dataclass(frozen=True, slots=True)
class Batch:
    """One link of the chain: a row of `audit.batches`. `to_transaction` is exclusive."""

    batch_id: int
    server_id: int
    from_transaction: int
    to_transaction: int
    first_audit_id: int
    last_audit_id: int
    row_count: int
    first_occurred_at: datetime
    last_occurred_at: datetime
    rows_hash: bytes
    contents_hash: bytes
    sealed_at: datetime
    previous_hash: bytes
    hash: bytes

    @property
    def header(self) -> dict[str, object]:
        """What is hashed of the batch, but for the previous hash."""
        return {
            "batch_id": self.batch_id,
            "server_id": self.server_id,
            "from_transaction": str(self.from_transaction),
            "to_transaction": str(self.to_transaction),
            "first_audit_id": self.first_audit_id,
            "last_audit_id": self.last_audit_id,
            "row_count": self.row_count,
            "first_occurred_at": self.first_occurred_at,
            "last_occurred_at": self.last_occurred_at,
            "rows_hash": self.rows_hash,
            "contents_hash": self.contents_hash,
            "sealed_at": self.sealed_at,
        }

    @property
    def true_hash(self) -> bytes:
        """The hash that the batch must have by its header and the hash before it."""
        return hashlib.sha256(self.previous_hash + line_of(self.header).encode("ascii")).digest()


BATCH_SELECTION = """
batch_id, server_id, from_transaction::text, to_transaction::text, first_audit_id, last_audit_id, row_count, first_occurred_at,
last_occurred_at, rows_hash, contents_hash, sealed_at, previous_hash, hash
"""


def batch_of(values: tuple[Any, ...]) -> Batch:
    """Return the batch of a row that a query of `BATCH_SELECTION` returned."""
    batch_id, server_id, from_transaction, to_transaction, *rest = values
    return Batch(batch_id, server_id, int(from_transaction), int(to_transaction), *rest)


def genesis(chain_id: UUID) -> bytes:
    """Return the hash that stands before a chain's first batch."""
    return hashlib.sha256(b"lyceum audit chain " + chain_id.bytes).digest()


def digest(line: str) -> bytes:
    """Return the SHA-256 of a canonical line."""
    return hashlib.sha256(line.encode("ascii")).digest()


def line_of(values: dict[str, Any]) -> str:
    """Return values as a canonical line of JSON."""
    return json.dumps({name: _plain(value) for name, value in values.items()}, ensure_ascii=True, separators=(",", ":"))


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, UUID):
        return str(value)
    return value
