"""Rows of every presentation, parted from one pass over a table and kept on disk until their chunks are read.

A table is unpacked once, however many presentations it holds and however they are mixed. A page holds consecutive rows
of one strand and never crosses a chunk's border, so a chunk is a few whole pages. The file has no name: when the last
input that reads it is gone, or the process dies, its space is free and no student's number stays behind.
"""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lyceum.errors import ConfigurationError, RetryableError
from lyceum.records import MAXIMUM_BATCH_RECORDS

ROW = np.dtype([("student", "<i8"), ("object", "<i8"), ("day", "<i4"), ("value", "<i4"), ("problem", "u1")])
"""One row of a fact table: `day` is days since the start, `value` clicks or score (-1: none), `problem` as in `problems`."""

PLACE = np.dtype([("line", "<i8"), ("byte_length", "<i8")])
"""Where a refused row stands in the delivered file, and its length without the line's end."""


class Spool:
    """An append-only file without a name."""

    def __init__(self, folder: Path | None) -> None:
        """Make the file in `folder`, or in the system's temporary folder."""
        self._folder = folder or Path(tempfile.gettempdir())
        try:
            self._file, name = tempfile.mkstemp(prefix="lyceum-oulad-", dir=self._folder)
        except OSError as error:
            raise ConfigurationError(
                f"No temporary file can be made in {self._folder}: {error.strerror}. Expected a folder "
                "that exists and may be written. Make it, or give it to the account that collects."
            ) from error
        weakref.finalize(self, os.close, self._file)
        Path(name).unlink()
        self._size = 0

    def append(self, data: bytes) -> int:
        """Write all of `data` at the end and return where it begins."""
        begin = self._size
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.pwrite(self._file, rest, self._size + len(data) - len(rest)) :]
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            raise RetryableError(
                f"The temporary file of this delivery cannot grow beyond {begin:,} bytes: {error.strerror}. Expected space "
                f"in {self._folder} for 0.6 times the unpacked studentVle.csv. Free space there and collect again."
            ) from error
        self._size += len(data)
        return begin

    def read(self, begin: int, length: int) -> bytes:
        """Return `length` bytes from `begin`."""
        parts: list[bytes] = []
        while length:
            part = os.pread(self._file, length, begin)
            if not part:
                raise RetryableError("The temporary file of this delivery ends early. Collect the delivery again.")
            parts.append(part)
            begin, length = begin + len(part), length - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)


@dataclass(frozen=True, slots=True)
class _Page:
    begin: int
    rows: int
    refused: int


@dataclass(slots=True, repr=False, eq=False)
class Strand:
    """The rows of one input in file order: counted, hashed and spooled as they pass by."""

    spool: Spool
    records: int = 0
    byte_length: int = 0
    _pages: list[_Page] = field(default_factory=list)
    _row_hash: hashlib._Hash = field(default_factory=hashlib.sha256)
    _raw_hash: hashlib._Hash = field(default_factory=hashlib.sha256)

    def append(
        self, rows: NDArray[np.void], places: NDArray[np.void], raw_digests: Sequence[bytes], byte_length: int
    ) -> None:
        """Take further rows (`ROW`), with a place (`PLACE`) for each row that has a problem, in order.

        `raw_digests` are the SHA-256 of the lines that could not be read as numbers; they stand for these in the fingerprint.
        `byte_length` is what all these rows take in the file.
        """
        self._row_hash.update(rows.tobytes())
        self._raw_hash.update(b"".join(raw_digests))
        self.byte_length += byte_length
        while len(rows):
            taken = min(len(rows), MAXIMUM_BATCH_RECORDS - self.records % MAXIMUM_BATCH_RECORDS)
            refused = int(np.count_nonzero(rows["problem"][:taken]))
            begin = self.spool.append(rows[:taken].tobytes() + places[:refused].tobytes())
            self._pages.append(_Page(begin, taken, refused))
            self.records += taken
            rows, places = rows[taken:], places[refused:]

    def digest(self) -> bytes:
        """Return what identifies the rows: the same for the same rows in the same order, whatever lies between them."""
        return hashlib.sha256(self._row_hash.digest() + self._raw_hash.digest()).digest()

    def chunks(self, next_ordinal: int) -> Iterator[tuple[int, NDArray[np.void], NDArray[np.void]]]:
        """Yield (first ordinal, rows, places of the refused) from an ordinal on, `MAXIMUM_BATCH_RECORDS` rows but the last.

        An ordinal inside a chunk begins with the rest of that chunk.
        """
        first, count = 1, 0
        pages: list[_Page] = []
        for page in self._pages:
            pages.append(page)
            count += page.rows
            if count == MAXIMUM_BATCH_RECORDS or first + count > self.records:
                if first + count > next_ordinal:
                    yield self._chunk(first, pages, max(0, next_ordinal - first))
                first, count, pages = first + count, 0, []

    def _chunk(
        self, first: int, pages: Sequence[_Page], skipped: int
    ) -> tuple[int, NDArray[np.void], NDArray[np.void]]:
        rows: list[NDArray[np.void]] = []
        places: list[NDArray[np.void]] = []
        for page in pages:
            data = self.spool.read(page.begin, page.rows * ROW.itemsize + page.refused * PLACE.itemsize)
            rows.append(np.frombuffer(data, ROW, page.rows))
            places.append(np.frombuffer(data, PLACE, page.refused, page.rows * ROW.itemsize))
        all_rows, all_places = np.concatenate(rows), np.concatenate(places)
        skipped_places = int(np.count_nonzero(all_rows["problem"][:skipped]))
        return first + skipped, all_rows[skipped:], all_places[skipped_places:]
