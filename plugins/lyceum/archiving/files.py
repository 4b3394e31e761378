"""Where archives lie: the one seam to a file system. Names are relative (`learner_day_states/1/2013w05-….parquet`)."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from lyceum.errors import RetryableError
from lyceum.settings import Settings
from lyceum.store_urls import path_of

_BLOCK = 1 << 20
STAGED = ".part"
_USER = re.compile(r"://[^/@]*@")


class ArchiveFiles(Protocol):
    """A place for archives. A file is staged, looked at, and published under its final name, all of it or nothing."""

    def stage(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Write a file beside the place where `publish(name, …)` will put it.

        A staged file that an interruption left is overwritten. Raises `RetryableError` when it cannot be written.
        """
        ...

    def open_staged(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Read what was staged."""
        ...

    def publish(self, staged: str, name: str, byte_length: int, sha256: str) -> None:
        """Give the staged file its final name, replacing a file of that name at once; it lasts when this returns.

        `byte_length` and `sha256` are what was staged. Raises `ArchiveError` when what is published then is something else,
        `RetryableError` when it cannot be published.
        """
        ...

    def open(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Read a file. Raises `FileNotFoundError`, or another `OSError`."""
        ...

    def find(self, prefix: str) -> list[str]:
        """Return the names that begin with `prefix` followed by '-' or '.', staged files included, sorted."""
        ...

    def remove(self, names: Collection[str]) -> None:
        """Remove these files where they are. Raises `RetryableError` when one cannot be removed."""
        ...

    def address(self, name: str) -> str:
        """Return where the file is, for people. Nothing secret is in it."""
        ...


def archive_files(settings: Settings) -> ArchiveFiles:
    """Return the place of the archives: the folder `settings.archives` unless LYCEUM_ARCHIVES_URL names another store.

    Raises `ConfigurationError` when nothing here knows how to reach the store.
    """
    if settings.archives_url is None or path_of(settings.archives_url) is not None:
        return LocalFiles(settings.archives)
    from lyceum.archiving.store import open_store

    return open_store(settings.archives_url)


def remove_others(files: ArchiveFiles, prefix: str, keep: Collection[str]) -> None:
    """Remove the files of this prefix, staged ones included, except those in `keep`."""
    files.remove([name for name in files.find(prefix) if name not in keep])


def without_secrets(url: str) -> str:
    """Return a URL without user, password and query."""
    return _USER.sub("://", url.partition("?")[0])


def is_of_prefix(name: str, prefix: str) -> bool:
    """Whether the file is one of this prefix and not of a longer one: `2013` is no beginning of `2013w05`."""
    return name.startswith((f"{prefix}-", f"{prefix}."))


def measure(source: BinaryIO) -> tuple[int, str]:
    """Return the number of bytes that follow and their SHA-256 in hex."""
    digest = hashlib.sha256()
    length = 0
    while block := source.read(_BLOCK):
        digest.update(block)
        length += len(block)
    return length, digest.hexdigest()


@dataclass(frozen=True, slots=True)
class LocalFiles:
    """Archives in a local folder. What was staged and what `publish` has returned from survives a loss of power."""

    root: Path

    @contextmanager
    def stage(self, name: str) -> Iterator[BinaryIO]:
        """See `ArchiveFiles`."""
        path = self._staged(name)
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._make_folder(path.parent)
            with path.open("wb") as sink:
                yield sink
                sink.flush()
                os.fsync(sink.fileno())
        except OSError as error:
            raise RetryableError(_not_written(str(path), error)) from error

    @contextmanager
    def open_staged(self, name: str) -> Iterator[BinaryIO]:
        """See `ArchiveFiles`."""
        with self._staged(name).open("rb") as source:
            yield source

    def publish(self, staged: str, name: str, byte_length: int, sha256: str) -> None:
        """See `ArchiveFiles`. What was staged is the file itself, so it needs no second look."""
        target = self.root / name
        try:
            self._staged(staged).replace(target)
            _sync_folder(target.parent)
        except OSError as error:
            raise RetryableError(_not_written(str(target), error)) from error

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """See `ArchiveFiles`."""
        with (self.root / name).open("rb") as source:
            yield source

    def find(self, prefix: str) -> list[str]:
        """See `ArchiveFiles`."""
        folder = (self.root / prefix).parent
        names = sorted(path.relative_to(self.root).as_posix() for path in folder.glob("*"))
        return [name for name in names if is_of_prefix(name, prefix)]

    def remove(self, names: Collection[str]) -> None:
        """See `ArchiveFiles`."""
        for name in names:
            try:
                (self.root / name).unlink(missing_ok=True)
            except OSError as error:
                raise RetryableError(_not_removed(self.address(name), error)) from error

    def address(self, name: str) -> str:
        """See `ArchiveFiles`."""
        return str(self.root / name)

    def _make_folder(self, folder: Path) -> None:
        """Make a folder below the root, and let each that is new survive a loss of power, too."""
        if folder.is_dir():
            return
        if folder != self.root:
            self._make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync_folder(folder.parent)

    def _staged(self, name: str) -> Path:
        return self.root / f"{name}{STAGED}"


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _not_written(where: str, error: OSError) -> str:
    return (
        f"The archive {where} could not be written: {error.strerror or type(error).__name__}. Expected a place that can be "
        "written to, with enough room: see to it, and try again. Nothing was sealed or dropped."
    )


def _not_removed(where: str, error: OSError) -> str:
    return (
        f"The file {where} could not be removed: {error.strerror or type(error).__name__}. Expected a place that can be "
        "written to: see to it, and try again."
    )
