"""PostgreSQL's manifest of a base backup: every file with its SHA-256, and the range of the log that it needs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from lyceum.backup.catalogue import MANIFEST, Compression
from lyceum.errors import ConfigurationError


class ManifestFile(msgspec.Struct, frozen=True, rename="pascal"):
    """One file of the data directory."""

    size: int
    path: str | None = None
    encoded_path: str | None = msgspec.field(default=None, name="Encoded-Path")
    checksum_algorithm: str | None = msgspec.field(default=None, name="Checksum-Algorithm")
    checksum: str | None = None

    @property
    def name(self) -> str:
        """The file's path below the data directory."""
        if self.path is not None:
            return self.path
        return bytes.fromhex(self.encoded_path or "").decode("utf-8", errors="surrogateescape")


class LogRange(msgspec.Struct, frozen=True):
    """A part of the log that restoring needs."""

    timeline: int = msgspec.field(name="Timeline")
    start: str = msgspec.field(name="Start-LSN")
    end: str = msgspec.field(name="End-LSN")


class Manifest(msgspec.Struct, frozen=True):
    """A manifest whose own checksum is right."""

    files: tuple[ManifestFile, ...] = msgspec.field(name="Files")
    log: tuple[LogRange, ...] = msgspec.field(name="WAL-Ranges")


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a base backup. Raises `ConfigurationError` when it is damaged, or not of the kind that we ask for."""
    path = folder / MANIFEST
    try:
        text = path.read_bytes()
        checked, _, rest = text.rpartition(b'"Manifest-Checksum"')
        said = msgspec.json.decode(b'{"Manifest-Checksum"' + rest)
        manifest = msgspec.json.decode(text, type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigurationError(f"{path} is no manifest of a base backup: {error}. {_USE_ANOTHER}") from None
    if hashlib.sha256(checked).hexdigest() != said["Manifest-Checksum"]:
        raise ConfigurationError(f"{path} was changed: its checksum is not its own. {_USE_ANOTHER}")
    if len(manifest.log) != 1:
        raise ConfigurationError(f"{path} names {len(manifest.log)} ranges of the log. Expected one. {_USE_ANOTHER}")
    return manifest


@contextmanager
def open_part(path: Path, compression: Compression | None) -> Iterator[Any]:
    """Lend the content of a part of a base backup, decompressed: anything with `read`."""
    if compression == "zstd":
        import pyarrow

        with pyarrow.input_stream(str(path), compression="zstd") as stream:
            yield stream
        return
    if compression == "gzip":
        import gzip

        with gzip.open(path, "rb") as unpacked:
            yield unpacked
        return
    with path.open("rb") as plain:
        yield plain


def compression_by_name(name: str) -> Compression | None:
    """Return how a part is compressed, by its name."""
    if name.endswith(".zst"):
        return "zstd"
    return "gzip" if name.endswith(".gz") else None


_USE_ANOTHER = "Bring it back from a copy of the backup folder, or use another backup: lyceum backup list"
