"""The command that drops what has expired without Airflow: the same clean-ups as its DAGs."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal

import click

from lyceum.cli.instants import as_of_option
from lyceum.cli.invocation import Invocation, json_option, pass_invocation
from lyceum.errors import ConfigurationError

if TYPE_CHECKING:
    from rich.console import Console

    from lyceum.lifecycle import CleanupReport


@click.command(
    epilog="""\b
    Examples:
        lyceum cleanup daily --dry-run
        lyceum cleanup weekly --as-of 2026-11-24T00:50:00Z
        lyceum cleanup daily --force --reason "The source will never be built; ticket 4711" """
)
@click.argument("schedule", type=click.Choice(["daily", "weekly", "monthly", "yearly"]))
@as_of_option()
@click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing.")
@click.option(
    "--force",
    is_flag=True,
    help="Also drop what is on hold for unbuilt data or a restore. Such data is lost; what is not expired, open or proven stays.",
)
@click.option("--reason", metavar="TEXT", help="Why it is forced; the audit trail keeps it.")
@json_option
@pass_invocation
def cleanup(
    invocation: Invocation,
    schedule: Literal["daily", "weekly", "monthly", "yearly"],
    as_of: datetime | None,
    dry_run: bool,
    force: bool,
    reason: str | None,
) -> None:
    """Make partitions ahead, and archive and drop what has expired.

    daily: raw days, old reports. weekly: stage two, quarantine, old results. monthly: archives of the audit trail. yearly: years of
    stage three, old months of the audit trail. What somebody still needs is on hold, and the output says for whom.
    """
    from lyceum.lifecycle import run_cleanup

    if force and reason is None:
        raise ConfigurationError(
            "--force drops what somebody waits for. Expected the reason, which is audited: give --reason TEXT."
        )
    if reason is not None and not force:
        raise ConfigurationError("--reason is the reason of a force. Expected --force beside it, or neither.")
    report = run_cleanup(
        invocation.target,
        invocation.settings,
        schedule,
        as_of or invocation.clock(),
        is_dry_run=dry_run,
        force_reason=reason,
    )
    value = {
        "schedule": report.schedule,
        "as_of": report.as_of,
        "is_dry_run": report.is_dry_run,
        "made": report.made,
        "planned": report.planned,
        "done": report.done,
        "holds": report.holds,
        "partitions_dropped": report.partitions_dropped,
        "bytes_freed": report.bytes_freed,
        "overdue": report.overdue,
    }
    invocation.result(value, lambda console: _show(console, report))


def _show(console: Console, report: CleanupReport) -> None:
    lines = [*report.made, *(report.planned if report.is_dry_run else report.done)]
    lines += [hold.sentence for hold in report.holds]
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)
    if not lines:
        console.print(f"Nothing has expired for the {report.schedule} clean-up.")
    elif report.is_dry_run:
        console.print("Nothing was changed: this is what a clean-up would do now.")
    elif report.partitions_dropped:
        console.print(f"{report.partitions_dropped} partitions dropped, {report.bytes_freed / 1e6:,.1f} MB freed.")
