"""Commands for backups: `lyceum backup create|list|verify|prune`, and `lyceum restore`."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lyceum.cli.instants import Instant
from lyceum.cli.invocation import Invocation, json_option, pass_invocation
from lyceum.errors import ConfigurationError

if TYPE_CHECKING:
    from rich.console import Console

    from lyceum.backup import RestoreReport


@click.group()
def backup() -> None:
    """Copies of the server and of its log, from which `lyceum restore` brings back any instant since.

    They lie in LYCEUM_BACKUP_FOLDER (default: backups in the home, which protects against mistakes and not against the loss of the
    disk: put it on another one). They never hold the home's keys and passwords: copy LYCEUM_HOME/keys elsewhere, apart from them.
    """


@backup.command(
    epilog="\b\nExamples:\n    lyceum backup create\n    LYCEUM_BACKUP_FOLDER=/mnt/other-disk/lyceum lyceum backup create"
)
@json_option
@pass_invocation
def create(invocation: Invocation) -> None:
    """Make a base backup, and archive the server's log from the first one on.

    Everybody goes on working meanwhile. Exits 1 when the backup is made and the log after it is not archived.
    """
    from lyceum.backup import back_up

    report = back_up(invocation.settings, lambda step: invocation.message(f"  {step}"))

    def show(console: Console) -> None:
        made = report.backup
        console.print(
            f"{made.name}: {_bytes(made.byte_length)} of {_bytes(made.data_bytes)} in {report.seconds:.1f} seconds, and "
            f"{len(made.files):,} files of the home.",
            markup=False,
        )
        if made.wal_archive is None:
            console.print("The log is not archived by Lyceum: this backup restores its own end, and no later instant.")
        console.print(
            "The keys are not in it. Copy them apart: " + str(invocation.settings.keys), markup=False, soft_wrap=True
        )
        if report.wal_problem is not None:
            console.print("[bold red]The log is not archived:[/] ", end="")
            console.print(report.wal_problem, markup=False, soft_wrap=True)

    value = {
        "backup": {
            "name": report.backup.name,
            "byte_length": report.backup.byte_length,
            "data_bytes": report.backup.data_bytes,
            "files": len(report.backup.files),
            "wal_archive": report.backup.wal_archive,
            "ended_at": report.backup.ended_at,
        },
        "seconds": report.seconds,
        "erasures": report.erasures,
        "wal_problem": report.wal_problem,
    }
    invocation.result(value, show)
    if report.wal_problem is not None:
        sys.exit(1)


@backup.command(name="list")
@json_option
@pass_invocation
def list_all(invocation: Invocation) -> None:
    """List the backups and until when each can be restored. Exits 1 while the running server fails to archive its log."""
    from lyceum.backup import backup_folder
    from lyceum.backup.wal_archive import archived_at, failing_archiver, gap_of, segments
    from lyceum.database import EmbeddedServer

    folder = backup_folder(invocation.settings)
    found: list[dict[str, Any]] = []
    for one in folder.backups():
        until, gap = one.ended_at, None
        if one.wal_archive is not None:
            archive = folder.wal(one.wal_archive)
            gap = gap_of(archive, one)
            usable = [name for name in segments(archive) if gap is None or name < gap.missing]
            until = max(until, (archived_at(archive, usable[-1]) if usable else None) or until)
        found.append(
            {
                "name": one.name,
                "server_version": one.server_version,
                "byte_length": one.byte_length,
                "data_bytes": one.data_bytes,
                "files": len(one.files),
                "ended_at": one.ended_at,
                "restorable_until": until,
                "missing_segment": gap.missing if gap is not None else None,
            }
        )

    def show(console: Console) -> None:
        from rich.table import Table

        if not found:
            console.print(
                f"There is no backup in {folder.root}. Make one: lyceum backup create", markup=False, soft_wrap=True
            )
            return
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 3, 0, 0))
        for title in ("backup", "server", "size", "of", "restores from", "to", ""):
            table.add_column(title, justify="right" if title in ("size", "of") else "left")
        for one in found:
            table.add_row(
                one["name"],
                f"{one['server_version'] // 10_000}.{one['server_version'] % 10_000}",
                _bytes(one["byte_length"]),
                _bytes(one["data_bytes"]),
                _instant(one["ended_at"]),
                _instant(one["restorable_until"]),
                f"[red]gap at {one['missing_segment']}[/]" if one["missing_segment"] else "",
            )
        console.print(table)

    invocation.result(found, show)
    server = EmbeddedServer(invocation.settings)
    if invocation.settings.database_url is None and server.wal_archive is not None and server.status().is_running:
        problem = failing_archiver(server.target())
        if problem is not None:
            invocation.stderr.print(problem, markup=False)
            sys.exit(1)


@backup.command(
    epilog="\b\nExamples:\n    lyceum backup verify                         the newest\n    lyceum backup verify --all"
)
@click.argument("name", required=False)
@click.option("--all", "is_all", is_flag=True, help="Verify every backup.")
@json_option
@pass_invocation
def verify(invocation: Invocation, name: str | None, is_all: bool) -> None:
    """Read a backup, its log and its files, and compare every checksum. Exits 1 at a gap in the log, 2 at damage.

    Only `lyceum restore --drill` proves that a backup can be restored.
    """
    from lyceum.backup import backup_folder, describe_gap, verify_backup

    if name is not None and is_all:
        raise click.UsageError("Give a name or --all, not both.")
    folder = backup_folder(invocation.settings)
    with folder.locked(is_shared=True):
        backups = [folder.backup(name)] if name is not None else folder.backups()
        if not backups:
            raise ConfigurationError(f"There is no backup in {folder.root}. Make one: lyceum backup create")
        chosen = backups if is_all else backups[-1:]
        found = [(one, verify_backup(folder, one)) for one in chosen]

    def show(console: Console) -> None:
        for one, said in found:
            console.print(
                f"{one.name}: whole. {said.server_files:,} files of the server, {said.stored_files:,} of the home, "
                f"{said.segments:,} segments of the log.",
                markup=False,
            )
            if said.gap is not None and one.wal_archive is not None:
                console.print(describe_gap(said.gap, folder.wal(one.wal_archive)), markup=False, soft_wrap=True)

    invocation.result([said for _, said in found], show)
    if any(said.gap is not None for _, said in found):
        sys.exit(1)


@backup.command(
    epilog="\b\nExamples:\n    lyceum backup prune --keep 7 --dry-run\n    lyceum backup prune --keep 3 --days 30"
)
@click.option(
    "--keep", type=click.IntRange(1), help="Keep this many of the newest. Default: LYCEUM_BACKUPS_KEPT, else 7."
)
@click.option("--days", type=click.IntRange(0), help="Keep those of the last days, too.")
@click.option("--dry-run", "is_dry_run", is_flag=True, help="Say what would go, and remove nothing.")
@json_option
@pass_invocation
def prune(invocation: Invocation, keep: int | None, days: int | None, is_dry_run: bool) -> None:
    """Remove old backups, and of the log and the files what no kept backup needs.

    What is kept stays restorable to every instant after it. The last backup of a server is never removed.
    """
    from lyceum.backup import prune as remove

    kept = keep or invocation.settings.backups_kept
    report = remove(invocation.settings, kept, days, invocation.clock(), is_dry_run=is_dry_run)

    def show(console: Console) -> None:
        for name in report.removed:
            console.print(f"  {name}", markup=False)
        verb = "Would remove" if is_dry_run else "Removed"
        console.print(
            f"{verb} {len(report.removed)} backups, {report.segments:,} segments of the log, {report.files:,} files and "
            f"{report.leftovers} leftovers: {_bytes(report.byte_length)}. {len(report.kept)} backups stay."
        )

    invocation.result(report, show)


@click.command(
    epilog="\b\nExamples:\n    lyceum restore --latest --into /srv/lyceum-restored\n"
    "    lyceum restore --at 2026-11-22T14:05:00Z --into /srv/lyceum-restored\n    lyceum restore --drill"
)
@click.option("--at", type=Instant(), help="The instant to restore, ISO 8601 with a zone.")
@click.option("--latest", "is_latest", is_flag=True, help="Restore the latest state that there is.")
@click.option("--into", type=click.Path(path_type=Path, file_okay=False), help="The new home; it does not exist yet.")
@click.option("--backup", "name", help="The base backup to begin from. Default: the newest that fits.")
@click.option(
    "--keys",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A folder with the keys, from where they are kept apart. Default: those of LYCEUM_HOME.",
)
@click.option("--drill", "is_drill", is_flag=True, help="Restore the latest state, check it, and throw it away.")
@json_option
@pass_invocation
def restore(
    invocation: Invocation,
    at: datetime | None,
    is_latest: bool,
    into: Path | None,
    name: str | None,
    keys: Path | None,
    is_drill: bool,
) -> None:
    """Restore a backup into a new home, check it, and say how to switch over. What runs is not touched.

    The server comes back as of the instant, with passwords of its own; archives, the heads of the audit trail and the keys come
    with it, and whoever was erased since is erased again. Exits 1 when something in it is not as it should be.
    """
    from lyceum import backup as backups

    def tell(step: str) -> None:
        invocation.message(f"  {step}")

    if is_drill:
        if at is not None or is_latest or into is not None or keys is not None:
            raise click.UsageError("--drill restores the latest state and throws it away: only --backup goes with it.")
        report = backups.drill(invocation.settings, name=name, tell=tell)
    else:
        if into is None or is_latest == (at is not None):
            raise click.UsageError("Give --into, and either --at or --latest; or --drill alone.")
        report = backups.restore_warehouse(invocation.settings, into.absolute(), at=at, name=name, keys=keys, tell=tell)
    invocation.result(report, lambda console: _show_restore(console, report, is_drill=is_drill))
    if not report.is_sound:
        sys.exit(1)


def _show_restore(console: Console, report: RestoreReport, *, is_drill: bool) -> None:
    reached = _instant(report.reached) if report.reached is not None else "the end of the backup"
    console.print(f"Restored {report.backup}; the last transaction in it: {reached}.", markup=False)
    for table, count in report.rows.items():
        console.print(f"  {table:<36}{count:>14,} rows", markup=False)
    console.print(f"{report.archives:,} archives are whole; {report.files:,} files of the home were put back.")
    if report.erased_again:
        console.print(f"People who were erased since, and are erased again: {report.erased_again:,}.")
    for note in report.notes:
        console.print(f"Note: {note}", markup=False, soft_wrap=True)
    for problem in report.problems:
        console.print("[bold red]Problem:[/] ", end="")
        console.print(problem, markup=False, soft_wrap=True)
    if is_drill:
        console.print("[green]The drill is done[/]: the copy is thrown away.")
        return
    console.print(
        f"\nTo switch over: lyceum down, then with LYCEUM_HOME={report.home}: lyceum up, lyceum status, lyceum audit verify, and "
        "lyceum backup create, because the restored server archives its log only from its first backup on. Keep the old home until "
        "that is done.",
        markup=False,
        soft_wrap=True,
    )


def _bytes(count: int) -> str:
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _instant(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}Z"
