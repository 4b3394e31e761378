"""Removing old backups: a plan that says what goes and why, and carrying it out so that whatever is kept stays restorable."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from lyceum.backup.catalogue import REMOVED_SUFFIX, BackupFolder, BaseBackup, sync_folder
from lyceum.backup.wal_archive import segments


@dataclass(frozen=True, slots=True)
class ObsoleteLog:
    """Segments of an archived log that no kept backup needs: those before `needed_from`, or all when that is None."""

    archive: str
    segments: tuple[str, ...]
    needed_from: str | None


@dataclass(frozen=True, slots=True)
class PruningPlan:
    """What goes and what stays."""

    kept: tuple[BaseBackup, ...]
    removed: tuple[BaseBackup, ...]
    logs: tuple[ObsoleteLog, ...]


@dataclass(frozen=True, slots=True)
class PruningReport:
    """What was removed, or would be; `byte_length` is what it takes on the disk."""

    kept: tuple[str, ...]
    removed: tuple[str, ...]
    segments: int
    files: int
    leftovers: int
    byte_length: int


def plan_pruning(
    backups: Sequence[BaseBackup],
    logs: Mapping[str, Sequence[str]],
    keep: int,
    keep_days: int | None,
    now: datetime,
) -> PruningPlan:
    """Decide what is removed: of each server all but the newest `keep` backups, and those of the last `keep_days`, if given.

    `logs` are the segments of each archive. A segment goes once no kept backup needs it: one from which a kept backup begins,
    or that came later, stays, because points in time after that backup are restored through it.
    """
    if keep < 1:
        raise ValueError(f"keep is {keep}, and the last backup of a server is never removed")
    by_server: dict[str, list[BaseBackup]] = defaultdict(list)
    for backup in sorted(backups, key=lambda backup: (backup.ended_at, backup.name)):
        by_server[backup.system_identifier].append(backup)
    kept = [
        backup
        for own in by_server.values()
        for index, backup in enumerate(reversed(own))
        if index < keep or (keep_days is not None and backup.ended_at > now - timedelta(days=keep_days))
    ]
    names = {backup.name for backup in kept}
    return PruningPlan(
        kept=tuple(backup for backup in backups if backup.name in names),
        removed=tuple(backup for backup in backups if backup.name not in names),
        logs=tuple(log for archive, found in logs.items() if (log := _obsolete(archive, found, kept)) is not None),
    )


def prune_backups(
    folder: BackupFolder, keep: int, keep_days: int | None, now: datetime, *, is_dry_run: bool = False
) -> PruningReport:
    """Remove what the plan says, and what interrupted backups left behind; return it. Changes nothing on a dry run.

    An interruption leaves nothing that is neither whole nor gone: the next call goes on. Raises `RetryableError` while a backup is
    made or restored.
    """
    with folder.locked():
        logs = {archive: segments(folder.wal(archive)) for archive in folder.wal_archives()}
        plan = plan_pruning(folder.backups(), logs, keep, keep_days, now)
        needed = {file.sha256 for backup in plan.kept for file in backup.files}
        files = [path for path in sorted(folder.files.rglob("*")) if path.is_file() and path.name not in needed]
        obsolete = [path for log in plan.logs for path in _paths(folder.wal(log.archive), log)]
        leftovers = folder.leftovers()
        going = [folder.base(backup.name) for backup in plan.removed]
        report = PruningReport(
            kept=tuple(backup.name for backup in plan.kept),
            removed=tuple(backup.name for backup in plan.removed),
            segments=sum(len(log.segments) for log in plan.logs),
            files=len(files),
            leftovers=len(leftovers),
            byte_length=sum(_size(path) for path in [*going, *leftovers, *obsolete, *files]),
        )
        if is_dry_run:
            return report
        # A backup goes before the log and the files that it needs: what is listed can be restored at every moment.
        for path in going:
            path.rename(path.with_name(path.name + REMOVED_SUFFIX))
        sync_folder(folder.bases)
        for path in folder.leftovers():
            shutil.rmtree(path)
        for path in [*obsolete, *files]:
            path.unlink(missing_ok=True)
    return report


def _obsolete(archive: str, found: Sequence[str], kept: Sequence[BaseBackup]) -> ObsoleteLog | None:
    needed_from = min((backup.first_segment for backup in kept if backup.wal_archive == archive), default=None)
    gone = tuple(name for name in found if needed_from is None or name < needed_from)
    return ObsoleteLog(archive, gone, needed_from) if gone else None


def _paths(archive: Path, log: ObsoleteLog) -> list[Path]:
    """Return the files of obsolete segments, the server's own notes of backups that began in them, and half-written copies."""
    others = sorted([*archive.glob("*.backup.gz"), *archive.glob(".*.part")])
    gone = set(log.segments)
    return [
        *(archive / f"{name}.gz" for name in log.segments),
        *(path for path in others if path.name.lstrip(".")[:24] in gone),
    ]


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
