"""Where archives lie: the one seam to a file system. Names are relative (`learner_day_states/1/2013w05-….parquet`)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from lyceum.errors import RetryableError

_BLOCK = 1 << 20
_STAGED = ".part"


@dataclass(frozen=True, slots=True)
class ArchiveFiles:
    """Archives in a local folder. What `publish` has returned from survives a loss of power."""

    root: Path

    @contextmanager
    def stage(self, name: str) -> Iterator[BinaryIO]:
        """Write a file beside the place where `publish(name, …)` will put it; durable when the block ends.

        A staged file that an interruption left is overwritten. Raises `RetryableError` when the disk refuses.
        """
        path = self._staged(name)
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as sink:
                yield sink
                sink.flush()
                os.fsync(sink.fileno())
        except OSError as error:
            raise RetryableError(
                f"The archive {path} could not be written: {error.strerror}. Expected a writable folder with enough space: "
                "see to it, and seal again. Nothing was sealed or dropped."
            ) from error

    @contextmanager
    def open_staged(self, name: str) -> Iterator[BinaryIO]:
        """Read what was staged."""
        with self._staged(name).open("rb") as source:
            yield source

    def publish(self, staged: str, name: str) -> None:
        """Give the staged file its final name, replacing a file of that name at once."""
        target = self.root / name
        self._staged(staged).replace(target)
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """Read a file. Raises `FileNotFoundError`."""
        with (self.root / name).open("rb") as source:
            yield source

    def remove_others(self, prefix: str, keep: set[str]) -> None:
        """Remove the files whose names begin with `prefix`, staged ones included, except those in `keep`."""
        start = self.root / prefix
        for path in sorted(start.parent.glob(f"{start.name}*")):
            if path.relative_to(self.root).as_posix() not in keep:
                path.unlink(missing_ok=True)

    def _staged(self, name: str) -> Path:
        return self.root / f"{name}{_STAGED}"


def measure(source: BinaryIO) -> tuple[int, str]:
    """Return the number of bytes that follow and their SHA-256 in hex."""
    digest = hashlib.sha256()
    length = 0
    while block := source.read(_BLOCK):
        digest.update(block)
        length += len(block)
    return length, digest.hexdigest()
