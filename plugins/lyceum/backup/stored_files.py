"""Files of the home that a backup holds: its archives, and the heads of the audit trail. Never keys or secrets."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from lyceum.backup.catalogue import BackupFolder, StoredFile, sync_folder
from lyceum.errors import ConfigurationError
from lyceum.settings import Settings

_BLOCK = 1 << 20
HEADS = "audit/heads.jsonl"


def store_files(settings: Settings, folder: BackupFolder) -> tuple[StoredFile, ...]:
    """Copy what is new of the home into the folder, durably; return what a backup made now consists of besides the server.

    What is there already, by its content, is not copied again. A file that grows is taken as long as it is now.
    """
    return tuple(_store(folder, path, path.relative_to(settings.home).as_posix()) for path in _wanted(settings))


def restore_files(folder: BackupFolder, files: Sequence[StoredFile], home: Path) -> int:
    """Put files into a home where it has none of that name; return how many. Raises `ConfigurationError` at a damaged one."""
    count = 0
    for file in files:
        target = home / file.path
        if target.exists():
            continue
        check_file(folder, file)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copyfile(folder.file(file.sha256), target)
        target.chmod(0o600)
        count += 1
    return count


def check_file(folder: BackupFolder, file: StoredFile) -> None:
    """Raise `ConfigurationError` unless the content of a file is in the folder, unchanged."""
    path = folder.file(file.sha256)
    try:
        found = digest_of(path)
    except FileNotFoundError:
        found = "nothing"
    if found != file.sha256:
        raise ConfigurationError(
            f"The content of {file.path} in the backup ({path}) is lost or damaged: found {found}. Bring the file back from a "
            "copy of the backup folder, or restore from another backup."
        )


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _wanted(settings: Settings) -> Iterator[Path]:
    # Archives with a place of their own (LYCEUM_ARCHIVES_URL) are no part of the home, and are protected where they lie.
    if settings.archives_url is None and settings.archives.is_dir():
        # What is being written has another suffix, and gets its name when it is whole.
        for path in sorted(settings.archives.rglob("*")):
            if path.is_file() and not path.is_symlink() and path.suffix in (".parquet", ".json"):
                yield path
    heads = settings.home / HEADS
    if heads.is_file():
        yield heads


def _store(folder: BackupFolder, path: Path, name: str) -> StoredFile:
    unfinished = folder.files / f".{os.getpid()}.part"
    digest = hashlib.sha256()
    length = 0
    try:
        with (
            path.open("rb") as source,
            os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as copy,
        ):
            while block := source.read(_BLOCK):
                digest.update(block)
                copy.write(block)
                length += len(block)
            target = folder.file(digest.hexdigest())
            if target.exists() and target.stat().st_size == length:
                return StoredFile(path=name, byte_length=length, sha256=digest.hexdigest())
            copy.flush()
            os.fsync(copy.fileno())
        target.parent.mkdir(mode=0o700, exist_ok=True)
        unfinished.replace(target)
        sync_folder(target.parent)
        sync_folder(folder.files)
    finally:
        unfinished.unlink(missing_ok=True)
    return StoredFile(path=name, byte_length=length, sha256=digest.hexdigest())
