"""Commands for the audit trail: look at it, verify it, export it, collect and seal now."""

from __future__ import annotations

import os
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO

import click

from lyceum.cli.instants import Instant
from lyceum.cli.invocation import Invocation, json_option, pass_invocation
from lyceum.errors import ConfigurationError

if TYPE_CHECKING:
    from rich.console import Console

    from lyceum.audit import LoggedAccess, Verification
    from lyceum.database import Connection


@click.group()
def audit() -> None:
    """Look at the audit trail, verify its chain, export it with its proof."""


@audit.command(
    name="list",
    epilog="""\b
    Examples:
        lyceum audit list --organization harbor-college
        lyceum audit list --decision denied --since 2026-11-01T00:00:00Z --json""",
)
@click.option("--organization", metavar="SLUG", help="Only what is about this organization.")
@click.option("--action", help="Only this action, such as log_in or gap.")
@click.option("--decision", type=click.Choice(["allowed", "denied", "failed"]), help="Only what ended so.")
@click.option("--since", type=Instant(), metavar="INSTANT", help="Only what occurred from then on.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Show at most so many rows.")
@json_option
@pass_invocation
def list_rows(
    invocation: Invocation,
    organization: str | None,
    action: str | None,
    decision: str | None,
    since: datetime | None,
    limit: int,
) -> None:
    """List audited accesses and changes, the newest first. Listing is recorded, too."""
    from lyceum.audit import Access, audited_transaction, list_accesses

    access = Access("audit_listed", "audit.audit_logs")
    with audited_transaction(invocation.target, access, application_name="lyceum audit") as entry:
        entry.organization_id = _organization_id(entry.connection, organization)
        found = list_accesses(
            entry.connection,
            organization_id=entry.organization_id,
            action=action,
            decision=decision,
            since=since,
            limit=limit,
        )
        entry.row_count = len(found)
    invocation.result(found, lambda console: _show_rows(console, found))


@audit.command()
@click.option("--organization", metavar="SLUG", help="Also count the rows about this organization.")
@click.option("--since-batch", type=click.IntRange(1), default=1, help="Begin with this batch. Default: the first.")
@json_option
@pass_invocation
@click.pass_context
def verify(context: click.Context, invocation: Invocation, organization: str | None, since_batch: int) -> None:
    """Recompute the chain and compare it with the heads outside the database; exit 1 when anything is wrong.

    A finding names the batch and what became of it: rows edited, deleted, inserted or reordered, a batch edited or deleted, the
    tail cut off, the database restored from an older state, heads missing.
    """
    from lyceum.audit import heads_of_home, verify_trail
    from lyceum.database import connect

    with connect(invocation.target, autocommit=True, application_name="lyceum audit") as connection:
        found = verify_trail(
            connection,
            heads_of_home(invocation.settings),
            organization_id=_organization_id(connection, organization),
            since_batch=since_batch,
        )
    invocation.result(
        {
            "is_whole": found.is_whole,
            "batches": found.batches,
            "rows": found.rows,
            "rows_of_organization": found.rows_of_organization,
            "rows_unsealed": found.rows_unsealed,
            "batches_expired": found.batches_expired,
            "findings": found.findings,
        },
        lambda console: _show_verification(console, found),
    )
    if not found.is_whole:
        context.exit(1)


@audit.command(
    epilog="""\b
    Example:
        lyceum audit export --from 2026-10-01T00:00:00Z --to 2026-11-01T00:00:00Z --output october.ndjson"""
)
@click.option("--from", "begin", type=Instant(), required=True, metavar="INSTANT", help="From this instant on.")
@click.option("--to", "end", type=Instant(), required=True, metavar="INSTANT", help="To before this instant.")
@click.option("--organization", metavar="SLUG", help="Only this organization's rows; of all others their hashes alone.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["ndjson", "csv"]),
    default="ndjson",
    show_default=True,
    help="csv is for reading; only ndjson holds the lines that were hashed.",
)
@click.option("--output", type=click.Path(path_type=Path), help="Write to this file. Default: standard output.")
@pass_invocation
def export(
    invocation: Invocation,
    begin: datetime,
    end: datetime,
    organization: str | None,
    format_: Literal["ndjson", "csv"],
    output: Path | None,
) -> None:
    """Export rows with the chain's proof: anybody with SHA-256 can recompute the batches from an export in ndjson.

    The export itself is recorded before its first line is written.
    """
    from lyceum.audit import Access, audited_transaction, export_trail, seal_and_tell
    from lyceum.database import connect

    access = Access(
        "audit_exported",
        "audit.audit_logs",
        detail={"from": begin.isoformat(), "to": end.isoformat(), "format": format_},
    )
    with audited_transaction(invocation.target, access, application_name="lyceum audit") as entry:
        entry.organization_id = organization_id = _organization_id(entry.connection, organization)
    with connect(invocation.target, autocommit=True, application_name="lyceum audit") as connection:
        seal_and_tell(connection, invocation.target, invocation.settings)
        lines = export_trail(connection, begin, end, organization_id=organization_id, format_=format_)
        if output is None:
            sys.stdout.writelines(lines)
            return
        with _create(output) as file:
            file.writelines(lines)
    invocation.message(f"Wrote {output}.")


@audit.command()
@json_option
@pass_invocation
def collect(invocation: Invocation) -> None:
    """Collect the server's log and changes of rights now, and seal. The schedule collects every 5 minutes and seals every minute."""
    from lyceum.audit import take_up

    taken = take_up(invocation.target, invocation.settings)
    report, changes, gaps = taken.log, taken.changes_of_rights, taken.unacknowledged_gaps
    rows_sealed = taken.sealed.batch.row_count if taken.sealed.batch else 0

    def show(console: Console) -> None:
        if report is None:
            console.print("LYCEUM_SERVER_LOG_FOLDER is not set: the log of your server is not collected.")
        else:
            console.print(f"{report.lines:,} lines of the server's log, {report.rows:,} of them rows of the trail.")
        console.print(f"{changes:,} rows about rights.")
        console.print(f"{rows_sealed:,} rows sealed, {taken.sealed.rows_waiting:,} wait.")
        if gaps:
            console.print(f"{gaps:,} gaps that nobody has acknowledged: lyceum audit list --action gap")

    invocation.result(
        {
            "lines": report.lines if report is not None else None,
            "rows": report.rows if report is not None else None,
            "changes_of_rights": changes,
            "rows_sealed": rows_sealed,
            "rows_waiting": taken.sealed.rows_waiting,
            "unacknowledged_gaps": gaps,
        },
        show,
    )


@audit.command()
@click.option("--reason", required=True, help="Why parts of the log or heads were gone; it is written into the trail.")
@json_option
@pass_invocation
def acknowledge(invocation: Invocation, reason: str) -> None:
    """Say that you know of all gaps so far: their alert is resolved, the gaps stay in the trail."""
    from lyceum.audit import acknowledge_gaps
    from lyceum.database import connect

    with connect(invocation.target, autocommit=True, application_name="lyceum audit") as connection:
        count = acknowledge_gaps(connection, invocation.target, invocation.settings.alerts, reason)
    invocation.result({"gaps": count}, lambda console: console.print(f"Acknowledged; the trail holds {count:,} gaps."))


def _create(path: Path) -> TextIO:
    """Make a new file for its owner alone: an export names people by their ids."""
    try:
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"The export cannot be written to {path}: {error.strerror}. Name a file that does not exist yet."
        ) from None


def _organization_id(connection: Connection, slug: str | None) -> int | None:
    from lyceum.organizations import find_organization

    return find_organization(connection, slug).organization_id if slug is not None else None


def _show_rows(console: Console, rows: list[LoggedAccess]) -> None:
    from rich.markup import escape
    from rich.table import Table

    if not rows:
        console.print("Nothing fits.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for title in ("occurred", "organization", "who", "action", "resource", "rows", "decision", "batch"):
        table.add_column(title, justify="right" if title in ("rows", "batch") else "left")
    for row in rows:
        person = f" user {row.actor_user_id}" if row.actor_user_id is not None else ""
        role = f" ({row.actor_role})" if row.actor_role else ""
        table.add_row(
            f"{row.occurred_at:%Y-%m-%d %H:%M:%S}",
            row.organization or "",
            escape(f"{row.actor_login or '–'}{person}{role}"),
            row.action,
            escape(row.resource),
            "" if row.row_count is None else f"{row.row_count:,}",
            row.decision,
            "" if row.batch_id is None else str(row.batch_id),
        )
    console.print(table)


def _show_verification(console: Console, found: Verification) -> None:
    for finding in found.findings:
        console.print(f"[red]{finding.kind.value}[/] ", end="")
        console.print(finding.message, markup=False)
    verdict = "[green]The trail is whole[/]" if found.is_whole else "[red]The trail is not what was sealed[/]"
    console.print(f"{verdict}: {found.batches:,} batches, {found.rows:,} rows; {found.rows_unsealed:,} not yet sealed.")
    if found.rows_of_organization is not None:
        console.print(f"{found.rows_of_organization:,} of the rows are about the organization.")
    if found.batches_expired:
        console.print(
            f"{found.batches_expired:,} batches have outlived their retention: their rows are gone as they should."
        )
