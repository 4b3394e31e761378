"""Verification: whether a backup is what was made, down to every file of the server, and can be restored."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from lyceum.backup.catalogue import BackupFolder, BaseBackup
from lyceum.backup.manifest import Manifest, compression_by_name, open_part, read_manifest
from lyceum.backup.stored_files import check_file, digest_of
from lyceum.backup.wal_archive import Gap, archived_at, check_segments, gap_of, segments
from lyceum.errors import ConfigurationError

_BLOCK = 1 << 20
# Written while the server is copied, so the manifest does not list it; its parts have checksums of their own.
_LOG = "pg_wal/"


@dataclass(frozen=True, slots=True)
class BackupVerification:
    """What was read of one backup and its log. `restorable_until` is when the last usable segment was archived; None without
    a log of its own: then it restores its own end.
    """

    name: str
    server_files: int
    stored_files: int
    segments: int
    restorable_until: datetime | None
    gap: Gap | None


class DamagedBackupError(ConfigurationError):
    """A backup is not what was made."""


def verify_backup(
    folder: BackupFolder, backup: BaseBackup, tell: Callable[[str], None] = lambda _: None
) -> BackupVerification:
    """Read everything of a backup and compare it with its record, its manifest and the checksums in its log.

    Raises `DamagedBackupError`, or `ConfigurationError` for what is shared, at the first thing that is lost or changed. A gap in
    the log is told, not raised: what comes before it can be restored.
    """
    tell("the parts")
    check_parts(folder, backup)
    manifest = read_manifest(folder.base(backup.name))
    tell("the server's files")
    server_files = _check_server(folder, backup, manifest)
    tell("the home's files")
    for file in backup.files:
        check_file(folder, file)
    if backup.wal_archive is None:
        return BackupVerification(backup.name, server_files, len(backup.files), 0, None, None)
    tell("the archived log")
    archive = folder.wal(backup.wal_archive)
    gap = gap_of(archive, backup)
    count = check_segments(archive, backup)
    usable = [name for name in segments(archive) if gap is None or name < gap.missing]
    until = archived_at(archive, usable[-1]) if usable else None
    return BackupVerification(backup.name, server_files, len(backup.files), count, until, gap)


def check_parts(folder: BackupFolder, backup: BaseBackup) -> None:
    """Compare the files of a base backup with its record. Raises `DamagedBackupError`."""
    for part in backup.parts:
        path = folder.base(backup.name) / part.name
        try:
            found = f"{path.stat().st_size} bytes"
            is_whole = path.stat().st_size == part.byte_length and digest_of(path) == part.sha256
        except OSError as error:
            found, is_whole = str(error.strerror), False
        if not is_whole:
            raise DamagedBackupError(
                f"{path} is lost or damaged: found {found}. Expected {part.byte_length} bytes with the SHA-256 of the record. "
                "Bring it back from a copy of the backup folder, or use another backup: lyceum backup list"
            )


def open_server(folder: BackupFolder, backup: BaseBackup) -> Iterator[tuple[str, tarfile.TarFile]]:
    """Yield the base backup's tar files, opened for one pass, with where their content belongs below the data directory."""
    for part in backup.parts:
        if ".tar" not in part.name:
            continue
        path = folder.base(backup.name) / part.name
        with (
            open_part(path, compression_by_name(part.name)) as stream,
            tarfile.open(fileobj=stream, mode="r|") as tar,
        ):
            yield ("pg_wal" if part.name.startswith("pg_wal") else ""), tar


def _check_server(folder: BackupFolder, backup: BaseBackup, manifest: Manifest) -> int:
    expected = {file.name: file for file in manifest.files}
    seen = set()
    for below, tar in open_server(folder, backup):
        if below:
            continue
        for member in tar:
            name = member.name.removeprefix("./")
            if not member.isfile() or name.startswith(_LOG):
                continue
            known = expected.get(name)
            content = tar.extractfile(member)
            assert content is not None
            if known is None or known.size != member.size or known.checksum != _digest(content):
                raise DamagedBackupError(
                    f"The backup {backup.name} holds {name}, which is not the file that its manifest names. Use another backup: "
                    "lyceum backup list"
                )
            seen.add(name)
    missing = sorted(expected.keys() - seen)
    if missing:
        raise DamagedBackupError(
            f"The backup {backup.name} lacks {len(missing)} files that its manifest names, such as {missing[0]}. Use another "
            "backup: lyceum backup list"
        )
    return len(seen)


def _digest(content: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while block := content.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest()


def describe_gap(gap: Gap, archive: Path) -> str:
    """Return a sentence about a gap in the log, and what it means."""
    until = f" until {gap.until.isoformat()}" if gap.until is not None else ""
    return (
        f"The archived log has a gap: {archive / gap.missing}.gz is missing, and {gap.next_found} is there. Only what happened "
        f"before it can be restored{until}. Bring the file back from a copy; where there is none, make a new base backup: "
        "lyceum backup create"
    )
