"""What an archive holds, stated beside it as JSON and in `ops.archives`: enough to check every value of the file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date

import msgspec

FORMAT = 1


class ColumnSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the values of one column.

    `type` is PostgreSQL's name of its type. `checksum` is the SHA-256, in hex, of the SHA-256 digests of the segments one
    after the other; a segment's digest is that of its values in PostgreSQL's text form, `\\N` for null, joined by newlines,
    in the archive's order. `minimum` and `maximum` are text, for types with an order that people use.
    """

    name: str
    type: str
    nulls: int
    checksum: str
    minimum: str | None = None
    maximum: str | None = None


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """One week of one organization of one table. The same rows always give the same manifest.

    The file holds the rows in the order of `order_by`, cut into one row group a segment.
    """

    format: int = FORMAT
    table: str
    organization_id: int
    week_start: date
    rows: int
    byte_length: int
    sha256: str
    order_by: tuple[str, ...]
    segments: tuple[int, ...]
    columns: tuple[ColumnSummary, ...]

    def to_json(self) -> bytes:
        """Return the manifest as indented JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    @classmethod
    def from_json(cls, text: bytes) -> Manifest:
        """Read a manifest. Raises `msgspec.DecodeError` or `msgspec.ValidationError` when it is none."""
        return msgspec.json.decode(text, type=cls)


class SegmentColumn(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the values of one column in one segment: `ColumnSummary` before the segments are put together."""

    nulls: int
    digest: bytes
    extremes: tuple[str, str] | None = None


def combined_checksum(digests: Sequence[bytes]) -> str:
    """Return a column's checksum from the digests of its segments."""
    return hashlib.sha256(b"".join(digests)).hexdigest()
