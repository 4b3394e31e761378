"""The heads of the chain, kept outside the database: who changes the database cannot change them with the same right.

A sink is anything with `append` and `read`; the one here is a file of the home to which lines are only ever added. Copy it to
another machine, or send each line to a log service, to be safe from who owns the home, too.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from lyceum.errors import ConfigurationError
from lyceum.settings import Settings

# A head has about 250 bytes.
_TAIL_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a chain when a batch was sealed: hash in hexadecimal, `rows` of the whole chain so far, instants as text."""

    chain_id: str
    batch_id: int
    hash: str
    rows: int
    last_audit_id: int
    server_id: int
    to_transaction: int
    sealed_at: str


class Heads(Protocol):
    """Where heads are kept. `append` returns once the head will survive a crash; `read` yields all, the oldest first."""

    def append(self, head: Head) -> None:
        """Keep a head for good."""

    def read(self) -> Iterator[Head]:
        """Yield every head that was kept."""

    def last(self) -> Head | None:
        """Return the head that was kept last, if any was."""


class FileHeads:
    """Heads as lines of JSON in a file that belongs to the home's owner alone."""

    def __init__(self, path: Path) -> None:
        """Take the file's path; the file is made with the first head."""
        self._path = path

    def append(self, head: Head) -> None:
        """Add a line and wait until it is on the disk. Raises `ConfigurationError` where the file cannot be written."""
        line = json.dumps(asdict(head), separators=(",", ":")) + "\n"
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            is_new = not self._path.exists()
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "r+b", buffering=0) as file:
                size = file.seek(0, os.SEEK_END)
                # A line that a crash cut is left as it is; it is no head, and the next one must not continue it.
                torn = size > 0 and os.pread(file.fileno(), 1, size - 1) != b"\n"
                file.write((b"\n" if torn else b"") + line.encode("ascii"))
                os.fsync(file.fileno())
            if is_new:
                self._sync_folder()
        except OSError as error:
            raise ConfigurationError(
                f"The head of the audit trail cannot be written to {self._path}: {error.strerror}. Expected a folder that this "
                "account may write to, with room on its disk. Mend that; the next sealing adds what is missing."
            ) from None

    def read(self) -> Iterator[Head]:
        """Yield the heads in the order of the file; lines that are no head are left out, and so are missed by `verify`."""
        try:
            lines = self._path.read_text("utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return
        for line in lines:
            head = _head_of(line)
            if head is not None:
                yield head

    def last(self) -> Head | None:
        """Return the last head of the file, without reading all of it."""
        try:
            with self._path.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
                tail = file.read().decode("utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return None
        return next((head for line in reversed(tail) if (head := _head_of(line)) is not None), None)

    def _sync_folder(self) -> None:
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _head_of(line: str) -> Head | None:
    try:
        return Head(**json.loads(line))
    except (ValueError, TypeError):
        return None


def heads_of_home(settings: Settings) -> FileHeads:
    """Return the heads that lie in the home: `audit/heads.jsonl`."""
    return FileHeads(settings.home / "audit" / "heads.jsonl")
