"""The command that refreshes the materialized views without Airflow."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal

import click

from lyceum.cli.instants import as_of_option
from lyceum.cli.invocation import Invocation, json_option, pass_invocation

if TYPE_CHECKING:
    from rich.console import Console


@click.command(
    epilog="\b\nExamples:\n    lyceum refresh learner\n    lyceum refresh organization --as-of 2026-03-09T06:00:00Z"
)
@click.argument("view", type=click.Choice(["learner", "organization"]))
@as_of_option()
@json_option
@pass_invocation
def refresh(invocation: Invocation, view: Literal["learner", "organization"], as_of: datetime | None) -> None:
    """Bring a materialized view up to what is published: the learner summary, or the organization metrics.

    Only organizations that have changed are told anew. Readers go on meanwhile. When an expectation or a reconciliation
    fails, the view shows what it showed before (exit code 5).
    """
    from lyceum.cli.narrative import StepTeller
    from lyceum.views import VIEWS
    from lyceum.views import refresh as run_refresh

    instant = as_of or invocation.clock()
    chosen = VIEWS[view]
    with StepTeller(invocation) as tell:
        report = run_refresh(
            invocation.target, invocation.settings, chosen, instant, f"cli {instant.isoformat()}", tell
        )

    def show(console: Console) -> None:
        if not report.organizations:
            console.print(f"stage_three.{report.view} is up to date.", markup=False)
            return
        console.print(
            f"stage_three.{report.view}: {report.organizations:,} organizations told anew; "
            f"{report.rows_removed:,} rows removed, {report.rows_added:,} added.",
            markup=False,
        )

    invocation.result(report, show)
