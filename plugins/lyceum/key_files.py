"""Keys as files of the home: 32 bytes, made once, closed to everybody but their owner."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from lyceum.errors import ConfigurationError

KEY_BYTES = 32


def make_key(path: Path) -> None:
    """Write a new random key unless the file exists: then that one stays. Concurrent callers agree on one key.

    The file is complete and on the disk before it has its name.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            # A link, unlike a rename, never replaces a key that another process has just made.
            os.link(unfinished, path)
        except FileExistsError:
            return
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        unfinished.unlink()


def read_key(path: Path) -> bytes:
    """Return the key in a file. Raises `ConfigurationError` when it has another length or others may read it."""
    mode = path.stat().st_mode & 0o077
    if mode:
        raise ConfigurationError(
            f"{path} can be read by others (mode {mode:03o} beyond the owner's). Expected 0600: chmod 600 {path}"
        )
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise ConfigurationError(f"{path} has {len(key)} bytes. Expected {KEY_BYTES}: restore it from a backup.")
    return key
