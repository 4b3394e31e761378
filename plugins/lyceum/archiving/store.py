"""Archives in a store that fsspec knows by a URL: an object store, a file server, memory.

A store may lie about an upload, cut it, or lose it. What was staged is therefore read back by who archives, and what was
published is read once more here before anybody relies on it. Secrets belong into the store's own configuration
(`FSSPEC_S3_KEY`, a profile, an instance's role); a URL that carries them is never printed whole.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from lyceum.archiving.errors import ArchiveError
from lyceum.archiving.files import STAGED, is_of_prefix, measure, without_secrets
from lyceum.errors import ConfigurationError, RetryableError

_BLOCK = 1 << 20


def open_store(url: str) -> StoreFiles:
    """Return the place that the URL names. Nothing is read or written yet.

    Raises `ConfigurationError` when the URL's protocol is unknown, or when the package that speaks it is not installed.
    """
    import fsspec

    try:
        system, root = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise ConfigurationError(
            f"LYCEUM_ARCHIVES_URL names {without_secrets(url)}, and the package for it is not installed: {error}. "
            "Install it, or unset the variable to archive into LYCEUM_HOME."
        ) from None
    except ValueError:
        raise ConfigurationError(
            f"LYCEUM_ARCHIVES_URL names {without_secrets(url)}, which fsspec does not know how to reach. "
            "Expected a URL such as s3://bucket/folder, or a folder."
        ) from None
    return StoreFiles(system, root.rstrip("/"), without_secrets(url).rstrip("/"))


@dataclass(frozen=True, slots=True)
class StoreFiles:
    """Archives below `root` of an fsspec file system; `shown` is its URL without anything secret."""

    system: Any = field(repr=False)
    root: str
    shown: str

    @contextmanager
    def stage(self, name: str) -> Iterator[BinaryIO]:
        """See `ArchiveFiles`."""
        path = self._path(f"{name}{STAGED}")
        with self._telling("written", f"{name}{STAGED}"):
            self.system.makedirs(path.rpartition("/")[0], exist_ok=True)
            with self.system.open(path, "wb") as sink:
                yield sink

    @contextmanager
    def open_staged(self, name: str) -> Iterator[BinaryIO]:
        """See `ArchiveFiles`."""
        with self.open(f"{name}{STAGED}") as source:
            yield source

    def publish(self, staged: str, name: str, byte_length: int, sha256: str) -> None:
        """See `ArchiveFiles`. An object store has no rename, so the file is copied, and read once more."""
        expected = (byte_length, sha256)
        with self._telling("published", name):
            # Names carry a digest of the content: one that is there already, and whole, may be relied upon by others.
            if self._measure(name) != expected:
                self._copy(f"{staged}{STAGED}", name)
                found = self._measure(name)
                if found != expected:
                    self.remove([name])
                    what = f"{found[0]} bytes with SHA-256 {found[1]}" if found is not None else "nothing"
                    raise ArchiveError(
                        f"The store keeps {what} as {self.address(name)}, although it said that it has copied {byte_length} "
                        f"bytes with SHA-256 {sha256}. Nothing was sealed or dropped. Check the store, and try again."
                    )
            self.remove([f"{staged}{STAGED}"])

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """See `ArchiveFiles`."""
        # What the store has now, not what it had when somebody last listed it.
        self.system.invalidate_cache()
        with self.system.open(self._path(name), "rb") as source:
            yield source

    def find(self, prefix: str) -> list[str]:
        """See `ArchiveFiles`."""
        self.system.invalidate_cache()
        with self._telling("listed", prefix):
            try:
                paths = self.system.ls(self._path(prefix).rpartition("/")[0], detail=False)
            except FileNotFoundError:
                return []
        skipped = len(self._path(""))
        return sorted(name for path in paths if is_of_prefix(name := path[skipped:], prefix))

    def remove(self, names: Collection[str]) -> None:
        """See `ArchiveFiles`."""
        for name in names:
            with self._telling("removed", name):
                try:
                    self.system.rm_file(self._path(name))
                except FileNotFoundError:
                    continue

    def address(self, name: str) -> str:
        """See `ArchiveFiles`."""
        return f"{self.shown}/{name}"

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}"

    def _copy(self, staged: str, name: str) -> None:
        try:
            self.system.cp_file(self._path(staged), self._path(name))
        except NotImplementedError:
            # A file server that cannot copy by itself.
            with self.open(staged) as source, self.system.open(self._path(name), "wb") as sink:
                shutil.copyfileobj(source, sink, _BLOCK)

    def _measure(self, name: str) -> tuple[int, str] | None:
        try:
            with self.open(name) as source:
                return measure(source)
        except FileNotFoundError:
            return None

    @contextmanager
    def _telling(self, what: str, name: str) -> Iterator[None]:
        """Say which file of which store could not be dealt with; what the store itself says may quote a secret."""
        try:
            yield
        except OSError as error:
            raise RetryableError(
                f"The file {self.address(name)} could not be {what} ({type(error).__name__}). Expected a store that can be "
                "reached, with the right to read and write there: see to it, and try again. Nothing was sealed or dropped."
            ) from None
