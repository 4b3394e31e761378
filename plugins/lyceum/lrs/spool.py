"""Statements on their way: pages are written to private files below the home, collected from there, and removed.

A file that was finished and not yet collected when its process died is collected by the next pull; one that was not finished
is thrown away, because the cursor has not moved past what it holds.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import msgspec

ENOUGH_RECORDS = 10_000
ENOUGH_BYTES = 24 * 1024 * 1024
_PRIVATE = 0o700
_UNFINISHED = ".part"


@dataclass(frozen=True, slots=True)
class Spool:
    """The folder of one source. `open_spool` makes it."""

    folder: Path

    def waiting(self) -> list[Path]:
        """Return the finished files, the oldest first, and remove what is unfinished."""
        for path in self.folder.glob(f"*{_UNFINISHED}"):
            path.unlink()
        return sorted(self.folder.glob("*.ndjson"))

    def begin(self, name: str) -> SpoolFile:
        """Begin a file; the name tells nothing about anybody."""
        return SpoolFile(self.folder / f"{name}.ndjson")

    def close(self) -> None:
        """Remove the folder if nothing waits in it."""
        if not any(self.folder.iterdir()):
            self.folder.rmdir()


class SpoolFile:
    """One file that is being written, a statement a line. Use it as a context; unless `finish` was called it leaves nothing."""

    def __init__(self, path: Path) -> None:
        self.records = 0
        self.bytes = 0
        self._path = path
        self._unfinished = path.with_name(path.name + _UNFINISHED)
        self._stream: BinaryIO = os.fdopen(
            os.open(self._unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb"
        )

    def __enter__(self) -> SpoolFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stream.close()
        self._unfinished.unlink(missing_ok=True)

    @property
    def is_full(self) -> bool:
        """Whether it is time to collect it."""
        return self.records >= ENOUGH_RECORDS or self.bytes >= ENOUGH_BYTES

    def write(self, statements: Iterable[msgspec.Raw]) -> None:
        """Add statements. Line breaks of a well-formed statement stand between its tokens only, so blanks may replace them."""
        for statement in statements:
            line = bytes(statement).replace(b"\n", b" ").replace(b"\r", b" ") + b"\n"
            self._stream.write(line)
            self.records += 1
            self.bytes += len(line)

    def finish(self) -> Path:
        """Close the file under its name and return it."""
        self._stream.close()
        self._unfinished.rename(self._path)
        return self._path


def open_spool(root: Path, organization: str, source: str) -> Spool:
    """Return the spool of a source, its folder made where absent; nobody else may look into it."""
    root.parent.mkdir(parents=True, exist_ok=True)
    folder = root / organization / source
    for path in (root, folder.parent, folder):
        path.mkdir(mode=_PRIVATE, exist_ok=True)
    return Spool(folder)


def remove_spool(root: Path, organization: str, source: str) -> None:
    """Remove whatever waits in the spool of a source."""
    shutil.rmtree(root / organization / source, ignore_errors=True)
