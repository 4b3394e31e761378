"""Commands that build, audit and seal without Airflow: the same steps as its DAG, in one process."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING

import click

from lyceum.cli.instants import as_of_option
from lyceum.cli.invocation import Invocation, json_option, pass_invocation
from lyceum.errors import RetryableError

if TYPE_CHECKING:
    from rich.console import Console

    from lyceum.sealing import SealReport


@click.command(epilog="\b\nExamples:\n    lyceum build\n    lyceum build --as-of 2026-03-09T06:00:00Z")
@as_of_option()
@json_option
@pass_invocation
def build(invocation: Invocation, as_of: datetime | None) -> None:
    """Build what is pending, audit it, publish it, and seal the weeks that are due.

    Nothing is published when an expectation or a reconciliation fails; the last version stays up (exit code 5). Either way
    the data-quality report tells what was found.
    """
    from lyceum.analytics.build import build as run_build
    from lyceum.cli.narrative import StepTeller

    instant = as_of or invocation.clock()
    try:
        with StepTeller(invocation) as tell:
            report = run_build(invocation.target, invocation.settings, instant, f"cli {instant.isoformat()}", tell)
    except RetryableError:
        # Most likely another build runs, and reports when it ends.
        raise
    except Exception:
        _report_quality(invocation)
        raise
    _report_quality(invocation)

    def show(console: Console) -> None:
        covered = report.scope
        if report.publication is None:
            console.print(f"Build {covered.build_id}: nothing pending and no day closed; nothing to publish.")
        else:
            rows = sum(count for _, count in report.publication.rows)
            console.print(
                f"Build {covered.build_id}: {covered.events:,} events in {covered.batches} batches; {rows:,} rows published "
                f"for {len(report.publication.organizations)} organizations."
            )

    invocation.result(report, show)


@click.command(epilog="\b\nExample:\n    lyceum seal --as-of 2026-03-23T00:00:00Z")
@as_of_option(required=True)
@click.option("--organization", help="Only this organization. Default: all.")
@json_option
@pass_invocation
def seal(invocation: Invocation, as_of: datetime, organization: str | None) -> None:
    """Archive and seal the weeks that are due, and drop the partitions that nobody needs any more."""
    from lyceum.sealing import seal_due_weeks

    report = seal_due_weeks(invocation.target, invocation.settings, as_of, organization=organization)
    invocation.result(report, lambda console: _show_seal(console, report))


@click.command(epilog="\b\nExamples:\n    lyceum validate\n    lyceum validate --build 12 --json")
@as_of_option()
@click.option("--build", "build_id", type=int, help="Show what the audits of this earlier build found instead.")
@json_option
@pass_invocation
def validate(invocation: Invocation, as_of: datetime | None, build_id: int | None) -> None:
    """Audit everything that is pending without publishing it: a rehearsal of `build`.

    Builds the candidates, judges them by the expectations and the reconciliation, and shows what was found. Exits 5 when a
    critical expectation or a reconciliation fails, so that a script can act on it.
    """
    from lyceum.analytics.build import validate as rehearse
    from lyceum.cli.audits import read_audits, show_audits
    from lyceum.cli.narrative import StepTeller
    from lyceum.database import connect
    from lyceum.errors import AuditError

    failure: AuditError | None = None
    if build_id is None:
        instant = as_of or invocation.clock()
        try:
            with StepTeller(invocation) as tell:
                rehearse(invocation.target, invocation.settings, instant, f"validate {instant.isoformat()}", tell)
        except AuditError as error:
            failure = error
    with connect(invocation.target) as connection:
        audits = read_audits(connection, build_id)
    invocation.result(audits, lambda console: show_audits(console, audits))
    # A script has read what failed; an error beside it would be a second document.
    if failure is not None and not invocation.is_json:
        raise failure
    if failure is not None or not audits.is_passed:
        sys.exit(AuditError.exit_code)


@click.command(epilog="\b\nExample:\n    lyceum docs")
@json_option
@pass_invocation
def docs(invocation: Invocation) -> None:
    """Write dbt's documentation of every model and column, with lineage, as one page that works offline."""
    from lyceum.analytics.documentation import publish_documentation

    page = publish_documentation(invocation.target, invocation.settings)
    invocation.result({"page": str(page)}, lambda console: console.print(str(page), markup=False, soft_wrap=True))


def _report_quality(invocation: Invocation) -> None:
    """Write the data-quality report and say where; what keeps it from being written is told and fails no build."""
    from lyceum.reporting.quality import write_quality_report

    try:
        written = write_quality_report(invocation.target, invocation.settings)
    except Exception as error:
        invocation.message(
            f"The data-quality report was not written ({type(error).__name__}). Try 'lyceum report quality'."
        )
        return
    invocation.message(f"Data quality: {written.page}")


def _show_seal(console: Console, report: SealReport) -> None:
    for week in report.sealed:
        console.print(
            f"Sealed {week.organization}, week of {week.week_start}: {week.rows:,} rows archived.", markup=False
        )
    for held in report.held:
        console.print(f"Held {held.organization}, week of {held.week_start}: {held.reason}", markup=False)
    if report.dropped_partitions:
        console.print(f"Dropped {len(report.dropped_partitions)} partitions that nobody needs any more.")
    for partition in report.held_partitions:
        console.print(f"Kept {partition}", markup=False)
    if not (report.sealed or report.held or report.dropped_partitions):
        console.print("No week is due.")
