"""The command that follows a published number back to the inputs that it came from."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING

import click

from lyceum.cli.invocation import Invocation, json_option, pass_invocation

if TYPE_CHECKING:
    from rich.console import Console

    from lyceum.lineage.models import Passed
    from lyceum.lineage.periods import Period
    from lyceum.lineage.tracing import Lineage

_SHOWN_BATCHES = 20


@click.command(
    epilog="""\b
    Examples:
        lyceum lineage stage_three.aggregated_analytics --organization harbor-college --day 2026-11-12
        lyceum lineage aggregated_analytics --organization harbor-college --day 2026-11-12 --period week
        lyceum lineage api.organization_metrics --organization harbor-college --json"""
)
@click.argument("table")
@click.option("--organization", required=True, help="Whose numbers.")
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="A local day. Default: the last closed one.")
@click.option(
    "--period",
    type=click.Choice(["day", "week", "month", "year"]),
    default="day",
    show_default=True,
    help="The period of the row that holds the day.",
)
@click.option(
    "--back",
    type=click.IntRange(0, 3660),
    default=0,
    show_default=True,
    help="So many days before the period, too, for columns that look back.",
)
@json_option
@pass_invocation
def lineage(
    invocation: Invocation, table: str, organization: str, day: datetime | None, period: Period, back: int
) -> None:
    """Tell which build, models, batches and inputs the rows of a published table came from.

    Names files and their fingerprints, never a learner. Views speak for everything up to their last day.
    """
    from lyceum.analytics.models import parsed_project
    from lyceum.database import connect
    from lyceum.lineage.models import path_to, shown_by
    from lyceum.lineage.tracing import PUBLISHED, published_relation, trace
    from lyceum.organizations import find_organization

    relation = published_relation(table)
    with connect(invocation.target, application_name="lyceum lineage") as connection:
        found = trace(
            connection,
            relation,
            find_organization(connection, organization),
            day.date() if day is not None else None,
            period,
            back,
        )
    manifest = parsed_project(invocation.target, invocation.settings)
    passed, shown = path_to(manifest, found.model, PUBLISHED), shown_by(manifest, found.model)
    value = {
        "table": found.table,
        "organization": found.organization,
        "first_day": found.span.first,
        "last_day": found.span.last,
        "version": found.version,
        "view": found.shown,
        "shown_by": shown,
        "models": passed,
        "builds": found.builds,
        "inputs": [{**asdict(source), "events": events} for source, events in found.inputs],
        "batches": found.batches,
        "rosters": found.rosters,
    }
    invocation.result(value, lambda console: _show(console, found, passed, shown))


def _show(console: Console, found: Lineage, passed: tuple[Passed, ...], shown: tuple[str, ...]) -> None:
    from rich.markup import escape

    span = found.span
    days = (
        f"everything up to {span.last}"
        if span.first is None
        else f"{span.first}"
        if span.first == span.last
        else f"{span.first} to {span.last}"
    )
    console.print(f"[bold]{found.table}[/] of {escape(found.organization)}, {days}")
    build = f" by build {found.version.build_id}" if found.version.build_id is not None else ""
    console.print(
        f"published: version {found.version.data_version}{build}, data as of {_minute(found.version.data_as_of)}"
    )
    if found.shown is not None:
        console.print(
            f"shown: version {found.shown.version} of the view, refresh {found.shown.refresh_id}, from published version "
            f"{found.shown.data_version}"
        )
    if shown:
        console.print(f"used by: {escape(', '.join(shown))}")
    _show_events(console, found)
    _show_models(console, passed)
    if found.rosters:
        console.print("\n[bold]Rosters[/] that decide enrollments of these days")
        for roster in found.rosters:
            console.print(
                f"  {escape(roster.source)}: {escape(roster.name)}  {roster.fingerprint.hex()}", soft_wrap=True
            )
    if found.looks_back_days:
        console.print(
            f"\nweekly and monthly active learners count the {found.looks_back_days} days before, too: --back "
            f"{found.looks_back_days}. Enrollments and risk follow from everything before."
        )


def _show_models(console: Console, passed: tuple[Passed, ...]) -> None:
    """Print what was passed by folder, the folder of the table first."""
    from pathlib import PurePath

    console.print("\n[bold]Models[/], from the table back (--json says which reads which)")
    folders: dict[str, list[str]] = {}
    for one in passed:
        folder = str(PurePath(one.file).parent) if one.file is not None else "read"
        folders.setdefault(folder, []).append(one.name)
    # What was only read comes last.
    for folder, names in sorted(folders.items(), key=lambda item: item[0] == "read"):
        console.print(f"  [dim]{folder}[/]  {', '.join(names)}")


def _show_events(console: Console, found: Lineage) -> None:
    from rich.markup import escape

    if not found.batches:
        console.print("\nNo event of these days is known: there was none, or they were built before lineage was kept.")
        return
    console.print("\n[bold]Builds[/] that told these days last")
    for build in found.builds:
        console.print(
            f"  {build.build_id}  as of {_minute(build.as_of)}  {escape(build.run_id)}  {_counted(build.events)}",
            soft_wrap=True,
        )
    console.print("\n[bold]Inputs[/]")
    for source, events in found.inputs:
        if source.fingerprint is None:
            console.print(f"  {escape(source.source)}: replayed from quarantine  {_counted(events)}")
        else:
            console.print(
                f"  {escape(source.source)}: {escape(str(source.name))}  {_counted(events)}\n    sha256 {source.fingerprint.hex()}, "
                f"{source.byte_length:,} bytes, first seen {_minute(source.first_seen_at)}",
                soft_wrap=True,
            )
    console.print("\n[bold]Batches[/]")
    for batch in found.batches[:_SHOWN_BATCHES]:
        voided = f", {batch.voided_events:,} voided" if batch.voided_events else ""
        console.print(
            f"  {batch.batch_id}  records {batch.first_ordinal:,} to {batch.last_ordinal:,}  {_counted(batch.events)}{voided}  "
            f"collected {_minute(batch.collected_at)} by {escape(batch.run_id)}",
            soft_wrap=True,
        )
    if len(found.batches) > _SHOWN_BATCHES:
        console.print(f"  and {len(found.batches) - _SHOWN_BATCHES:,} more: --json has them all")


def _counted(events: int) -> str:
    return f"{events:,} {'event' if events == 1 else 'events'}"


def _minute(instant: datetime | None) -> str:
    return "never" if instant is None else f"{instant:%Y-%m-%d %H:%M} UTC"
