"""The command that collects files by hand."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lyceum.cli.instants import as_of_option
from lyceum.cli.invocation import Invocation, json_option, pass_invocation

if TYPE_CHECKING:
    from rich.console import Console

    from lyceum.collect import CollectReport
    from lyceum.organizations import Format


@click.command(
    epilog="""\b
    Examples:
        lyceum collect statements.ndjson.gz --organization harbor-college --format xapi
        lyceum collect oulad.zip --organization open-university --format oulad --history"""
)
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--organization", required=True, help="Whose events these are. The payload never decides that.")
@click.option("--format", "format_", required=True, type=click.Choice(["xapi", "oulad"]), help="What the files hold.")
@click.option("--source", help="The channel they came through. Default: named after the format.")
@click.option("--history", is_flag=True, help="Load old weeks: open those never built, restore sealed ones.")
@as_of_option()
@json_option
@pass_invocation
def collect(
    invocation: Invocation,
    paths: tuple[Path, ...],
    organization: str,
    format_: Format,
    source: str | None,
    history: bool,
    as_of: datetime | None,
) -> None:
    """Collect files or folders into the warehouse.

    Files that were collected before are skipped, records that were collected before are counted as duplicates, records
    that cannot be accepted go to quarantine with a reason: repeating a collect changes nothing.
    """
    from lyceum.cli.progress import progress
    from lyceum.collect import collect_paths
    from lyceum.errors import InputError

    instant = as_of or invocation.clock()
    with progress(invocation, "Collecting") as tell:
        report = collect_paths(
            invocation.target,
            invocation.settings,
            organization=organization,
            paths=paths,
            format=format_,
            source=source,
            as_of=instant,
            is_history=history,
            run_id=f"cli {instant.isoformat()}",
            progress=tell,
        )
    counts = {
        "organization": report.organization,
        "source": report.source,
        "as_of": report.as_of,
        "inputs": len(report.inputs),
        "inputs_known": report.inputs_known,
        "batches": report.batches,
        "records_read": report.records_read,
        "events_accepted": report.events_accepted,
        "duplicates": report.duplicates,
        "events_voided": report.events_voided,
        "quarantined": dict(report.quarantined),
        "weeks_restored": sorted(report.weeks_restored),
        "failures": [failure.message for failure in report.failures],
    }
    invocation.result(counts, lambda console: _show(console, report))
    if report.failures:
        raise InputError("\n".join(failure.message for failure in report.failures))


def _show(console: Console, report: CollectReport) -> None:
    known = f", {report.inputs_known} of them known already" if report.inputs_known else ""
    console.print(f"{len(report.inputs)} inputs{known}; {report.records_read:,} records read:", markup=False)
    console.print(f"  {report.events_accepted:>12,} events accepted")
    console.print(f"  {report.duplicates:>12,} duplicates")
    for reason, count in report.quarantined.most_common():
        console.print(f"  {count:>12,} quarantined: {reason}", markup=False)
    if report.events_voided:
        console.print(f"  {report.events_voided:>12,} earlier events voided")
    if report.weeks_restored:
        console.print(f"  {len(report.weeks_restored):>12,} sealed weeks restored")
    if report.quarantined:
        console.print(f"See why: lyceum quarantine list --organization {report.organization}", markup=False)
