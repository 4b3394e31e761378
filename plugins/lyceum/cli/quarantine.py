"""Commands for refused events: look at them, try them again, give them up."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click

from lyceum.cli.instants import as_of_option
from lyceum.cli.invocation import Invocation, json_option, pass_invocation

if TYPE_CHECKING:
    from rich.console import Console

    from lyceum.collect.quarantine import QuarantineCount, QuarantineEntry
    from lyceum.collect.reports import ReplayReport
    from lyceum.records import Reason

_Function = TypeVar("_Function", bound=Callable[..., Any])

_organization_option = click.option("--organization", required=True, help="Whose refused events.")


class _Reason(click.ParamType[str]):
    """A reason of refusal; the list of them is imported when one is given."""

    name = "reason"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from lyceum.records import Reason

        if value not in get_args(Reason):
            self.fail(f"{value!r} is no reason. Expected one of {', '.join(get_args(Reason))}.", param, ctx)
        return str(value)


def _selection(function: _Function) -> _Function:
    function = click.option("--reason", type=_Reason(), help="All rows refused for this reason, e.g. too_late.")(
        function
    )
    return click.argument("ids", nargs=-1, type=int)(function)


@click.group()
def quarantine() -> None:
    """List refused events, show one, replay or discard them."""


@quarantine.command(
    name="list",
    epilog="""\b
    Examples:
        lyceum quarantine list --organization harbor-college
        lyceum quarantine list --organization harbor-college --reason too_late --limit 1000 --json""",
)
@_organization_option
@click.option("--reason", type=_Reason(), help="Only rows refused for this reason.")
@click.option("--resolved", is_flag=True, help="Also rows that were replayed or discarded.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Show at most so many rows.")
@json_option
@pass_invocation
def list_rows(invocation: Invocation, organization: str, reason: Reason | None, resolved: bool, limit: int) -> None:
    """List refused events, the newest first, after their number by reason."""
    from lyceum.collect import count_quarantine, list_quarantine
    from lyceum.database import connect

    with connect(invocation.target) as connection:
        counts = count_quarantine(connection, organization)
        rows = list_quarantine(connection, organization, reason=reason, include_resolved=resolved, limit=limit)
    invocation.result({"counts": counts, "rows": rows}, lambda console: _show_rows(console, counts, rows))


@quarantine.command(epilog="\b\nExample:\n    lyceum quarantine show 4711 --organization harbor-college")
@click.argument("quarantine_id", metavar="ID", type=int)
@_organization_option
@json_option
@pass_invocation
def show(invocation: Invocation, quarantine_id: int, organization: str) -> None:
    """Show one refused event with its payload, in which every identity is a pseudonym."""
    from lyceum.audit import Access, audited_transaction
    from lyceum.collect import show_quarantine
    from lyceum.organizations import find_organization

    access = Access("quarantine_read", f"stage_one.quarantine {quarantine_id}")
    with audited_transaction(invocation.target, access) as entry:
        entry.organization_id = find_organization(entry.connection, organization).organization_id
        row, payload = show_quarantine(entry.connection, organization, quarantine_id)
        entry.row_count = 1

    def show_row(console: Console) -> None:
        import json

        where = f"{row.input_name}, record {row.ordinal}" if row.input_name else f"a replay, record {row.ordinal}"
        console.print(f"{row.reason}: {row.detail}", markup=False)
        console.print(
            f"From {where} of source {row.source}, refused {row.quarantined_at:%Y-%m-%d %H:%M} UTC", markup=False
        )
        if row.resolution:
            console.print(f"{row.resolution} {row.resolved_at:%Y-%m-%d %H:%M} UTC")
        if payload is None:
            console.print("No payload is kept: the record could not be read well enough to replace its identities.")
        else:
            console.print_json(json.dumps(payload))

    invocation.result({"row": row, "payload": payload}, show_row)


@quarantine.command(
    epilog="""\b
    Examples:
        lyceum quarantine replay 4711 4712 --organization harbor-college
        lyceum quarantine replay --reason too_late --organization harbor-college"""
)
@_selection
@_organization_option
@as_of_option()
@json_option
@pass_invocation
def replay(
    invocation: Invocation, ids: tuple[int, ...], reason: Reason | None, organization: str, as_of: datetime | None
) -> None:
    """Try refused events again, with the rules for history: a sealed week is restored and takes them.

    Choose rows by id or by reason. What is refused once more stays. The next build tells the difference.
    """
    from lyceum.cli.progress import progress
    from lyceum.collect import replay as collect_again

    instant = as_of or invocation.clock()
    with progress(invocation, "Replaying") as tell:
        report = collect_again(
            invocation.target,
            invocation.settings,
            organization=organization,
            quarantine_ids=list(ids) or None,
            reason=reason,
            as_of=instant,
            run_id=f"cli {instant.isoformat()}",
            progress=tell,
        )
    invocation.result(report, lambda console: _show_replay(console, report))


@quarantine.command(
    epilog="\b\nExample:\n    lyceum quarantine discard --reason malformed --organization harbor-college"
)
@_selection
@_organization_option
@as_of_option()
@json_option
@pass_invocation
def discard(
    invocation: Invocation, ids: tuple[int, ...], reason: Reason | None, organization: str, as_of: datetime | None
) -> None:
    """Give refused events up. They stay to be seen until their retention ends, and are never replayed."""
    from lyceum.audit import Access, failures_recorded
    from lyceum.collect import discard as give_up
    from lyceum.collect.quarantine import DISCARDED
    from lyceum.database import connect

    attempt = Access(DISCARDED, f"quarantine of {organization}")
    with failures_recorded(invocation.target, attempt), connect(invocation.target) as connection:
        count = give_up(
            connection,
            organization,
            quarantine_ids=list(ids) or None,
            reason=reason,
            as_of=as_of or invocation.clock(),
        )
    invocation.result({"discarded": count}, lambda console: console.print(f"{count:,} rows discarded."))


def _show_rows(console: Console, counts: list[QuarantineCount], rows: list[QuarantineEntry]) -> None:
    from rich.table import Table

    if not counts and not rows:
        console.print("Nothing is in quarantine.")
        return
    summary = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 3, 0, 0))
    for title in ("source", "reason", "rows", "replayable", "since"):
        summary.add_column(title, justify="right" if title in ("rows", "replayable") else "left")
    for count in counts:
        summary.add_row(
            count.source, count.reason, f"{count.rows:,}", f"{count.replayable:,}", f"{count.first_at:%Y-%m-%d %H:%M}"
        )
    console.print(summary)
    console.print()
    listing = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 3, 0, 0))
    for title in ("id", "refused", "reason", "input", "record", "detail"):
        listing.add_column(title, justify="right" if title in ("id", "record") else "left", overflow="fold")
    for row in rows:
        reason = f"{row.reason} ({row.resolution})" if row.resolution else row.reason
        listing.add_row(
            str(row.quarantine_id),
            f"{row.quarantined_at:%Y-%m-%d %H:%M}",
            reason,
            row.input_name or "replay",
            str(row.ordinal),
            row.detail,
        )
    console.print(listing)


def _show_replay(console: Console, report: ReplayReport) -> None:
    console.print(f"{report.rows_considered:,} rows tried again:")
    console.print(f"  {report.events_accepted:>12,} events accepted")
    console.print(f"  {report.duplicates:>12,} duplicates")
    for reason, count in report.refused_again.items():
        console.print(f"  {count:>12,} refused again: {reason}", markup=False)
    if report.without_payload:
        console.print(
            f"  {report.without_payload:>12,} without payload: collect their input again, with lyceum collect --history"
        )
    if report.weeks_restored:
        console.print(f"  {len(report.weeks_restored):>12,} sealed weeks restored")
