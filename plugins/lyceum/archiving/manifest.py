"""What an archive holds, stated beside it as JSON and in the database: enough to check every value of the file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date, timedelta

import msgspec

from lyceum.archiving.scope import ArchiveScope
from lyceum.partitions import Granularity, period_of

FORMAT = 2
_WEEK = timedelta(days=7)


class ColumnSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the values of one column.

    `type` is PostgreSQL's name of its type. `checksum` is the SHA-256, in hex, of the SHA-256 digests of the segments one
    after the other; a segment's digest is that of its values in PostgreSQL's text form, `\\N` for null, joined by newlines,
    in the archive's order. In types of free text a backslash is doubled and a newline is written `\\n` before.
    `minimum` and `maximum` are text, for types with an order that people use.
    """

    name: str
    type: str
    nulls: int
    checksum: str
    minimum: str | None = None
    maximum: str | None = None


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of one table from `period_start` to before `period_end`, of one organization or, where that is null, of all.

    The same rows always give the same manifest. The file holds the rows in the order of `order_by`, cut into one row group a
    segment; `segment_ends` are the values of `order_by` in the last row of each, as text. Format 1 knew weeks of one
    organization only, and no ends.
    """

    format: int = FORMAT
    table: str
    organization_id: int | None
    granularity: Granularity
    period_start: date
    period_end: date
    rows: int
    byte_length: int
    sha256: str
    order_by: tuple[str, ...]
    segments: tuple[int, ...]
    segment_ends: tuple[tuple[str | None, ...], ...]
    columns: tuple[ColumnSummary, ...]

    @property
    def scope(self) -> ArchiveScope:
        """What the archive is about."""
        return ArchiveScope(self.table, period_of(self.granularity, self.period_start), self.organization_id)

    def to_json(self) -> bytes:
        """Return the manifest as indented JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    @classmethod
    def from_json(cls, text: bytes) -> Manifest:
        """Read a manifest of any format up to ours. Raises `msgspec.DecodeError` when it is none."""
        number = msgspec.json.decode(text, type=_Format).format
        if number == 1:
            return msgspec.json.decode(text, type=_WeekManifest).as_manifest()
        if number != FORMAT:
            raise msgspec.DecodeError(f"the format is {number}, and this program knows those up to {FORMAT}")
        return msgspec.json.decode(text, type=cls)


class SegmentColumn(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the values of one column in one segment: `ColumnSummary` before the segments are put together."""

    nulls: int
    digest: bytes
    extremes: tuple[str, str] | None = None


class SegmentSummary(msgspec.Struct, frozen=True):
    """What is known of one segment."""

    rows: int
    columns: tuple[SegmentColumn, ...]


def combined_checksum(digests: Sequence[bytes]) -> str:
    """Return a column's checksum from the digests of its segments."""
    return hashlib.sha256(b"".join(digests)).hexdigest()


class _Format(msgspec.Struct):
    format: int


class _WeekManifest(msgspec.Struct, frozen=True, kw_only=True):
    """Format 1."""

    table: str
    organization_id: int
    week_start: date
    rows: int
    byte_length: int
    sha256: str
    order_by: tuple[str, ...]
    segments: tuple[int, ...]
    columns: tuple[ColumnSummary, ...]

    def as_manifest(self) -> Manifest:
        return Manifest(
            format=1,
            table=self.table,
            organization_id=self.organization_id,
            granularity="week",
            period_start=self.week_start,
            period_end=self.week_start + _WEEK,
            rows=self.rows,
            byte_length=self.byte_length,
            sha256=self.sha256,
            order_by=self.order_by,
            segments=self.segments,
            segment_ends=(),
            columns=self.columns,
        )
