"""What people and the schedule run: backups, pruning, restores and drills, each with its rows in the audit trail and in `ops`."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal
from uuid import uuid4

from psycopg.types.json import Jsonb

from lyceum.audit import Access, Outcome, announced
from lyceum.backup.catalogue import backup_folder
from lyceum.backup.creation import BackupReport, create_backup
from lyceum.backup.pruning import PruningReport, prune_backups
from lyceum.backup.restoring import RestoreReport, restore
from lyceum.database import Connection, ConnectionTarget, connect, target
from lyceum.errors import LyceumError
from lyceum.settings import Settings

_NAME = "lyceum backup"


@dataclass(slots=True)
class _Run:
    """A row of `ops.backup_runs` while the work goes on."""

    run_id: str
    backup: str | None = None
    byte_length: int | None = None
    is_success: bool = False
    detail: dict[str, object] = field(default_factory=dict)


class UnsoundRestoreError(LyceumError):
    """A drill restored a backup, and what it restored is not as it should be."""


def back_up(settings: Settings, tell: Callable[[str], None] = lambda _: None) -> BackupReport:
    """Make a backup, see `create_backup`, and tell of it."""
    where = target(settings)
    access = Access("backup_created", "the server")
    with (
        announced(where, access, begun="backup_begun", application_name=_NAME) as outcome,
        _run(where, "backup") as run,
    ):
        report = create_backup(settings, tell)
        outcome.detail |= {"backup": report.backup.name, "byte_length": report.backup.byte_length}
        run.backup, run.byte_length = report.backup.name, report.backup.byte_length
        run.detail = {"seconds": report.seconds, "wal_problem": report.wal_problem}
        run.is_success = report.wal_problem is None
    return report


def prune(
    settings: Settings, keep: int, keep_days: int | None, now: datetime, *, is_dry_run: bool = False
) -> PruningReport:
    """Remove old backups, see `prune_backups`, and tell of it. A dry run tells nobody."""
    folder = backup_folder(settings)
    if is_dry_run:
        return prune_backups(folder, keep, keep_days, now, is_dry_run=True)
    where = target(settings)
    access = Access("backups_pruned", "backups", detail={"keep": keep, "keep_days": keep_days})
    with (
        announced(where, access, begun="backup_pruning_begun", application_name=_NAME) as outcome,
        _run(where, "prune") as run,
    ):
        report = prune_backups(folder, keep, keep_days, now)
        outcome.row_count = len(report.removed)
        outcome.detail |= {"removed": list(report.removed), "segments": report.segments}
        run.byte_length, run.is_success = report.byte_length, True
        run.detail = {"removed": list(report.removed), "segments": report.segments, "files": report.files}
    return report


def restore_warehouse(
    settings: Settings,
    into: Path,
    *,
    at: datetime | None,
    name: str | None = None,
    keys: Path | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> RestoreReport:
    """Restore into a new home, see `restore`. The trail of the warehouse tells of it where that runs; the restored one always does."""
    where = _reachable(settings)
    detail = {"at": at.isoformat() if at is not None else "latest"}
    access = Access("backup_restored", "a new home", detail=detail)
    telling = (
        announced(where, access, begun="backup_restore_begun", application_name=_NAME)
        if where is not None
        else nullcontext(Outcome())
    )
    with telling as outcome:
        report = restore(settings, into, at=at, name=name, keys=keys, tell=tell)
        outcome.detail |= {"backup": report.backup, "problems": len(report.problems)}
    return report


def drill(
    settings: Settings, *, name: str | None = None, tell: Callable[[str], None] = lambda _: None
) -> RestoreReport:
    """Restore the latest state into a folder that is thrown away, and see that it holds what was written when this began.

    Raises `UnsoundRestoreError` with everything that was found, and what `restore` raises.
    """
    where = target(settings)
    access = Access("backup_drill_ended", "a restored copy")
    place = settings.home / "drills" / uuid4().hex[:12]
    place.parent.mkdir(mode=0o711, exist_ok=True)
    with (
        announced(where, access, begun="backup_drill_begun", application_name=_NAME) as outcome,
        _run(where, "drill") as run,
    ):

        def holds_this_drill(restored: Connection) -> list[str]:
            found = restored.execute("select from ops.backup_runs where run_id = %s", [run.run_id]).fetchone()
            return [] if found is not None else ["The restored server lacks what was written when the drill began."]

        try:
            report = restore(settings, place / "home", at=None, name=name, tell=tell, examine=holds_this_drill)
        finally:
            shutil.rmtree(place, ignore_errors=True)
        outcome.detail |= {"backup": report.backup, "problems": len(report.problems)}
        run.backup = report.backup
        run.detail = {"problems": list(report.problems), "rows": report.rows, "archives": report.archives}
        run.is_success = report.is_sound
    if not report.is_sound:
        raise UnsoundRestoreError(
            f"The drill restored the backup {report.backup}, and it is not sound: {' '.join(report.problems)} See to that before "
            "the backup is needed, then make a new one: lyceum backup create"
        )
    return report


@contextmanager
def _run(where: ConnectionTarget, kind: Literal["backup", "prune", "drill"]) -> Iterator[_Run]:
    """Keep a row about a piece of work: it is there before the work begins, and says in the end what became of it."""
    run = _Run(str(uuid4()))
    with connect(where, application_name=_NAME) as connection:
        connection.execute("insert into ops.backup_runs (run_id, kind) values (%s, %s)", [run.run_id, kind])
    try:
        yield run
    except BaseException as error:
        run.is_success = False
        run.detail |= {"error": type(error).__name__}
        raise
    finally:
        with connect(where, application_name=_NAME) as connection:
            connection.execute(
                """
                update ops.backup_runs
                set ended_at = clock_timestamp(), is_success = %s, backup = %s, byte_length = %s, detail = %s
                where run_id = %s
                """,
                [run.is_success, run.backup, run.byte_length, Jsonb(run.detail), run.run_id],
            )


def _reachable(settings: Settings) -> ConnectionTarget | None:
    try:
        where = target(settings)
        connect(where, application_name=_NAME).close()
    except LyceumError:
        return None
    return where
