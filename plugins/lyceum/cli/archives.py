"""Commands for archives: list them, read them whole, bring a partition back."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import click

from lyceum.cli.instants import as_of_option
from lyceum.cli.invocation import Invocation, json_option, pass_invocation

if TYPE_CHECKING:
    from rich.console import Console

    from lyceum.archiving.listing import ArchiveEntry, VerificationReport
    from lyceum.archiving.partitions import RestoredPartition


@click.group()
def archive() -> None:
    """List archives, check that they are whole, bring back what has left the database."""


@archive.command(
    name="list",
    epilog="""\b
    Examples:
        lyceum archive list
        lyceum archive list --table audit_logs
        lyceum archive list --organization harbor-college --json""",
)
@click.option("--table", help="Only archives of this table, with or without its schema.")
@click.option("--organization", help="Only the sealed weeks of this organization.")
@json_option
@pass_invocation
def list_command(invocation: Invocation, table: str | None, organization: str | None) -> None:
    """List what is archived, by table and time: sealed weeks by organization, years and months whole."""
    from lyceum.archiving.listing import list_archives
    from lyceum.database import connect

    with connect(invocation.target) as connection:
        entries = list_archives(connection, table=table, organization=organization)
    invocation.result(entries, lambda console: _show_entries(console, entries))


@archive.command(
    epilog="""\b
    Examples:
        lyceum archive verify --all
        lyceum archive verify --sample 20
        lyceum archive verify aggregated_analytics_p2013"""
)
@click.argument("name", required=False)
@click.option("--all", "is_all", is_flag=True, help="Every archive.")
@click.option("--sample", type=click.IntRange(1), help="So many, those first that were not looked at for longest.")
@click.option("--organization", help="Only the sealed weeks of this organization.")
@as_of_option()
@json_option
@pass_invocation
def verify(
    invocation: Invocation,
    name: str | None,
    is_all: bool,
    sample: int | None,
    organization: str | None,
    as_of: datetime | None,
) -> None:
    """Read archives whole and compare each with its manifest and with what the database has on record.

    Exits 6 when one is missing or damaged, so that a script can act on it.
    """
    from lyceum.archiving import ArchiveError
    from lyceum.archiving.listing import verify_archives
    from lyceum.cli.progress import progress
    from lyceum.database import connect

    if sum((name is not None, is_all, sample is not None)) != 1:
        raise click.UsageError("Say which archives: a NAME, --sample N or --all.")
    with connect(invocation.target, autocommit=True) as connection, progress(invocation, "Reading archives") as tell:
        report = verify_archives(
            connection,
            invocation.settings,
            as_of or invocation.clock(),
            name=name,
            organization=organization,
            sample=sample,
            progress=lambda done, total: tell(done, total, "bytes"),
        )
    invocation.result(report, lambda console: _show_report(console, report))
    if report.damaged:
        sys.exit(ArchiveError.exit_code)


@archive.command(
    epilog="""\b
    Examples:
        lyceum archive restore aggregated_analytics_p2013
        lyceum archive restore audit_logs_p2013m02 --keep-days 90"""
)
@click.argument("name")
@click.option(
    "--keep-days",
    type=click.IntRange(1, 3650),
    default=30,
    show_default=True,
    help="For so many days from --as-of no clean-up drops it.",
)
@as_of_option()
@json_option
@pass_invocation
def restore(invocation: Invocation, name: str, keep_days: int, as_of: datetime | None) -> None:
    """Bring a partition back from its archive, with exactly its rows, for whoever may read the table.

    The archive is proven before, the rows after. Rows that are there are never replaced. The trail records it.
    """
    from lyceum.archiving import restore_partition
    from lyceum.archiving.listing import find_archive
    from lyceum.database import connect

    with connect(invocation.target, autocommit=True) as connection:
        entry = find_archive(connection, name)
        restored = restore_partition(
            connection,
            invocation.settings,
            entry.table,
            entry.name,
            as_of or invocation.clock(),
            timedelta(days=keep_days),
        )
    invocation.result(restored, lambda console: _show_restored(console, restored))


@archive.command(epilog="\b\nExample:\n    lyceum archive rewrite audit_logs_p2025m02")
@click.argument("name")
@as_of_option()
@json_option
@pass_invocation
def rewrite(invocation: Invocation, name: str, as_of: datetime | None) -> None:
    """Write a damaged archive again from its partition, as long as that is there.

    An archive that is whole, and holds what the partition holds, is left alone.
    """
    from lyceum.archiving import archive_partition
    from lyceum.archiving.listing import find_archive, list_archives
    from lyceum.database import connect

    with connect(invocation.target, autocommit=True) as connection:
        entry = find_archive(connection, name)
        archive_partition(connection, invocation.settings, entry.table, entry.name, as_of or invocation.clock())
        entries = list_archives(connection, name=name)
    invocation.result(entries, lambda console: _show_entries(console, entries))


@archive.command(epilog="\b\nExample:\n    lyceum archive expire --dry-run")
@as_of_option()
@click.option("--dry-run", "is_dry_run", is_flag=True, help="Only say which.")
@json_option
@pass_invocation
def expire(invocation: Invocation, as_of: datetime | None, is_dry_run: bool) -> None:
    """Remove the archives whose retention in ops.archive_policies is over and that nothing can ask for any more.

    Without a retention an archive stays for good. That of a sealed week stays as long as a late event may ask for the week.
    """
    from lyceum.archiving.retention import expired_archives, remove_expired_archives
    from lyceum.database import connect

    instant = as_of or invocation.clock()
    with connect(invocation.target, autocommit=True) as connection:
        entries = (
            expired_archives(connection, instant)
            if is_dry_run
            else remove_expired_archives(connection, invocation.settings, instant)
        )
    verb = "would be removed" if is_dry_run else "removed"

    def show(console: Console) -> None:
        for entry in entries:
            console.print(f"{entry.name}, {entry.organization or 'all organizations'}: {verb}", markup=False)
        console.print(f"{len(entries):,} archives {verb}.")

    invocation.result(entries, show)


def _show_entries(console: Console, entries: list[ArchiveEntry]) -> None:
    from rich.table import Table

    from lyceum.cli.progress import quantity

    if not entries:
        console.print("Nothing is archived. Weeks are archived when they are sealed, months and years by the clean-up.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 3, 0, 0))
    for title in (
        "name",
        "organization",
        "from",
        "to before",
        "rows",
        "size",
        "archived",
        "verified",
        "restored until",
    ):
        table.add_column(title, justify="right" if title in ("rows", "size") else "left", no_wrap=title == "name")
    for entry in entries:
        table.add_row(
            entry.name,
            entry.organization or "all",
            entry.period_start.isoformat(),
            entry.period_end.isoformat(),
            f"{entry.rows:,}",
            quantity(entry.byte_length, "bytes"),
            f"{entry.archived_at:%Y-%m-%d %H:%M}",
            f"{entry.verified_at:%Y-%m-%d %H:%M}",
            f"{entry.restored_until:%Y-%m-%d}" if entry.restored_until else "",
        )
    console.print(table)
    console.print()
    rows, size = sum(entry.rows for entry in entries), sum(entry.byte_length for entry in entries)
    console.print(f"{len(entries):,} archives: {rows:,} rows in {quantity(size, 'bytes')}.")


def _show_report(console: Console, report: VerificationReport) -> None:
    from lyceum.cli.progress import quantity

    mark = "[red]✗[/]" if report.damaged else "[green]✓[/]"
    verb = "is" if len(report.damaged) == 1 else "are"
    ending = f"{len(report.damaged):,} {verb} not whole." if report.damaged else "all are whole."
    console.print(f"{mark} {report.archives:,} archives read, {quantity(report.byte_length, 'bytes')}: {ending}")
    for found in report.damaged:
        console.print(f"  {found.entry.name}: {found.problem}", markup=False)


def _show_restored(console: Console, restored: RestoredPartition) -> None:
    what = "was there already" if restored.was_there else "is back"
    console.print(
        f"{restored.name} {what} with its {restored.rows:,} rows, in {restored.parent_table}. "
        f"No clean-up drops it before {restored.restored_until:%Y-%m-%d %H:%M} UTC.",
        markup=False,
    )
