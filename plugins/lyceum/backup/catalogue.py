"""What lies in the backup folder: base backups, the archived log, the files that belong to them, and who may change it.

    lock                     whoever makes or removes backups holds it alone, whoever restores shares it
    erasures.jsonl           people who were erased, see `lyceum.backup.erasures`
    base/<name>/             one base backup: base.tar.zst, pg_wal.tar, backup_manifest, backup.json
    files/<ab>/<sha256>      files of the home (archives of sealed weeks, heads of the audit trail), once, whatever backups name them
    wal/<id>/                the log of one home's server from its first backup on, a compressed file a segment

A base backup appears whole under its name or not at all: until then it ends in `.part`.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec

from lyceum.errors import ConfigurationError, RetryableError
from lyceum.settings import Settings

FORMAT = 1
RECORD = "backup.json"
MANIFEST = "backup_manifest"
PART_SUFFIX = ".part"
REMOVED_SUFFIX = ".removed"

_NAME = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{4}")
# Under root the server's account passes through to its own folder; it cannot list, and what it passes is closed.
_PASSABLE = 0o711

Compression = Literal["zstd", "gzip"]


class StoredPart(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a base backup beside its record; `sha256` in hex."""

    name: str
    byte_length: int
    sha256: str


class StoredFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the home, by its path there, whose content lies in `files`."""

    path: str
    byte_length: int
    sha256: str


class BaseBackup(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one base backup. Instants are the server's clock; positions in the log are PostgreSQL's `X/Y`.

    The server is consistent from `end_position` on, so nothing before `ended_at` can be restored from it. `wal_archive` is
    None where the log is not archived, or not by us: such a backup restores its own end and nothing later.
    """

    format: int = FORMAT
    name: str
    server_version: int
    system_identifier: str
    warehouse_database: str
    airflow_database: str
    warehouse_id: str | None
    wal_archive: str | None
    segment_bytes: int
    timeline: int
    start_position: str
    end_position: str
    begun_at: datetime
    ended_at: datetime
    data_bytes: int
    compression: Compression
    parts: tuple[StoredPart, ...]
    files: tuple[StoredFile, ...]

    @property
    def byte_length(self) -> int:
        """Bytes of the base backup on the disk, without the files that it may share with others."""
        return sum(part.byte_length for part in self.parts)

    @property
    def first_segment(self) -> str:
        """The first file of the log that restoring needs; the backup has it, too."""
        return segment_name(self.timeline, position(self.start_position), self.segment_bytes)

    @property
    def last_segment(self) -> str:
        """The last file of the log that the backup itself has, up to its end."""
        return segment_name(self.timeline, position(self.end_position), self.segment_bytes)


class BackupFolder:
    """The backup folder. Making one touches nothing."""

    def __init__(self, root: Path) -> None:
        """Take the folder's path."""
        self.root = root

    def create(self) -> None:
        """Make the folder and what is in it, where absent. Raises `ConfigurationError` where that cannot be."""
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in (self.root, self.bases, self.root / "wal", self.files):
                folder.mkdir(mode=0o700, exist_ok=True)
            if os.geteuid() == 0:
                for folder in (self.root, self.root / "wal"):
                    folder.chmod(_PASSABLE)
        except OSError as error:
            raise ConfigurationError(
                f"The backup folder {self.root} cannot be made: {error.strerror}. Expected a place that this account may write "
                "to: see to that, or name another in LYCEUM_BACKUP_FOLDER."
            ) from None

    @property
    def bases(self) -> Path:
        """Base backups, a folder each."""
        return self.root / "base"

    @property
    def files(self) -> Path:
        """Contents of files of the home, by their SHA-256."""
        return self.root / "files"

    def file(self, sha256: str) -> Path:
        """Return where the content of a file lies."""
        return self.files / sha256[:2] / sha256

    def base(self, name: str) -> Path:
        """Return the folder of a base backup."""
        return self.bases / name

    def wal(self, archive: str) -> Path:
        """Return the folder of an archived log."""
        return self.root / "wal" / archive

    def wal_archives(self) -> list[str]:
        """Return the archived logs that there are."""
        try:
            return sorted(path.name for path in (self.root / "wal").iterdir() if path.is_dir())
        except FileNotFoundError:
            return []

    @contextmanager
    def locked(self, *, is_shared: bool = False) -> Iterator[None]:
        """Hold the folder: alone to change it, shared to read what must stay. Raises `RetryableError` when somebody else does."""
        try:
            lock = (self.root / "lock").open("r" if is_shared else "a")
        except FileNotFoundError:
            raise ConfigurationError(
                f"There is no backup in {self.root}. Expected the folder of LYCEUM_BACKUP_FOLDER: name it, or make a backup: "
                "lyceum backup create"
            ) from None
        with lock:
            try:
                fcntl.flock(lock, (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RetryableError(
                    f"Another backup, restore or pruning works in {self.root}. Wait until it has ended, then try again."
                ) from None
            yield

    def backups(self) -> list[BaseBackup]:
        """Return the base backups, the oldest first. Raises `ConfigurationError` when a record cannot be read."""
        if not self.bases.is_dir():
            return []
        names = sorted(path.name for path in self.bases.iterdir() if _NAME.fullmatch(path.name))
        return sorted((self._read(name) for name in names), key=lambda backup: (backup.ended_at, backup.name))

    def backup(self, name: str) -> BaseBackup:
        """Return one base backup. Raises `ConfigurationError` when there is none of this name."""
        if not _NAME.fullmatch(name) or not self.base(name).is_dir():
            raise ConfigurationError(f"There is no backup {name!r} in {self.root}. See: lyceum backup list")
        return self._read(name)

    def leftovers(self) -> list[Path]:
        """Return what interrupted backups and removals left behind. Nobody works in the folder: the caller holds it."""
        return [path for path in self.bases.iterdir() if path.name.endswith((PART_SUFFIX, REMOVED_SUFFIX))]

    def _read(self, name: str) -> BaseBackup:
        path = self.base(name) / RECORD
        try:
            record = msgspec.json.decode(path.read_bytes(), type=BaseBackup)
        except (OSError, msgspec.DecodeError) as error:
            raise ConfigurationError(
                f"{path} is no record of a backup: {error}. Bring it back from a copy, or remove {self.base(name)}, which "
                "cannot be restored without it."
            ) from None
        if record.format != FORMAT:
            raise ConfigurationError(
                f"{path} has format {record.format}. Expected {FORMAT}: restore it with the version of Lyceum that made it."
            )
        return record


def backup_folder(settings: Settings) -> BackupFolder:
    """Return the backup folder that the settings name. Makes nothing."""
    return BackupFolder(settings.backups)


def new_name(at: datetime) -> str:
    """Return a name for a backup that begins now; names sort by time."""
    return f"{at:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


def position(text: str) -> int:
    """Return a position in the log as a number of bytes."""
    high, _, low = text.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def segment_name(timeline: int, at: int, segment_bytes: int) -> str:
    """Return the name of the file of the log that holds a position. One at a file's beginning counts to the file before it."""
    number = (at - 1) // segment_bytes if at % segment_bytes == 0 else at // segment_bytes
    per_id = (1 << 32) // segment_bytes
    return f"{timeline:08X}{number // per_id:08X}{number % per_id:08X}"


def following(segment: str, segment_bytes: int) -> str:
    """Return the name of the file of the log after this one, on the same timeline."""
    per_id = (1 << 32) // segment_bytes
    number = int(segment[8:16], 16) * per_id + int(segment[16:24], 16) + 1
    return f"{segment[:8]}{number // per_id:08X}{number % per_id:08X}"


def choose(backups: Sequence[BaseBackup], folder: Path, at: datetime | None, system: str | None) -> BaseBackup:
    """Return the newest backup from which the state of `at`, or the latest, can be restored.

    `system` is the server whose backups count, if it is known. Raises `ConfigurationError` when there is none, or when the
    folder holds backups of several servers and none is known.
    """
    own = [backup for backup in backups if system is None or backup.system_identifier == system]
    if not own:
        raise ConfigurationError(f"There is no backup in {folder}. Make one: lyceum backup create")
    if len({backup.system_identifier for backup in own}) > 1:
        raise ConfigurationError(
            f"{folder} holds backups of several servers. Name the one to restore from with --backup; see: lyceum backup list"
        )
    fitting = [backup for backup in own if at is None or backup.ended_at <= at]
    if not fitting:
        raise ConfigurationError(
            f"The oldest backup in {folder} ended at {own[0].ended_at.isoformat()}, and the state asked for is that of "
            f"{at.isoformat() if at else 'now'}. Expected an instant after a backup's end: see lyceum backup list"
        )
    return fitting[-1]


def sync_folder(folder: Path) -> None:
    """Return once what was made, renamed or removed in a folder will survive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
