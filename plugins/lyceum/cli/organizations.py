"""Commands for organizations: their names, their time zones, and where their files go."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING

import click

from lyceum.cli.instants import as_of_option
from lyceum.cli.invocation import Invocation, json_option, pass_invocation

if TYPE_CHECKING:
    from rich.console import Console


@click.group()
def organization() -> None:
    """Add organizations, list them, change their time zone."""


@organization.command(
    epilog='\b\nExample:\n    lyceum organization add harbor-college --name "Harbor College" --time-zone America/New_York'
)
@click.argument("slug")
@click.option("--name", help="The name that people read. Default: the slug.")
@click.option("--time-zone", default="UTC", show_default=True, help="IANA name; decides which day an event belongs to.")
@as_of_option()
@json_option
@pass_invocation
def add(invocation: Invocation, slug: str, name: str | None, time_zone: str, as_of: datetime | None) -> None:
    """Add an organization, with a source of events and one of rosters, whose landing folders are printed."""
    from lyceum.audit import Access, audited_transaction
    from lyceum.organizations import DEFAULT_ROSTER_SOURCE, DEFAULT_SOURCE, add_organization, landing_folder

    with audited_transaction(invocation.target, Access("organization_added", f"organization {slug}")) as entry:
        added = add_organization(entry.connection, slug, name or slug, time_zone, as_of or invocation.clock())
        entry.organization_id = added.organization_id
    folder, roster_folder = (
        landing_folder(invocation.settings, added.slug, source) for source in (DEFAULT_SOURCE, DEFAULT_ROSTER_SOURCE)
    )
    for made in (folder, roster_folder):
        made.mkdir(parents=True, exist_ok=True)

    def show(console: Console) -> None:
        console.print(f"Added {added.name} ({added.time_zone}).", markup=False)
        console.print(f"xAPI files dropped into {folder} are collected every 15 minutes,", markup=False)
        console.print(f"OneRoster exports dropped into {roster_folder} likewise.", markup=False)

    invocation.result({"organization": added, "landing_folder": folder, "roster_folder": roster_folder}, show)


@organization.command(name="list")
@json_option
@pass_invocation
def list_all(invocation: Invocation) -> None:
    """List the organizations."""
    from lyceum.database import connect
    from lyceum.organizations import list_organizations

    with connect(invocation.target) as connection:
        found = list_organizations(connection)

    def show(console: Console) -> None:
        from rich.table import Table

        if not found:
            console.print("There is no organization yet. Add one: lyceum organization add --help")
            return
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 3, 0, 0))
        for title in ("organization", "name", "time zone"):
            table.add_column(title)
        for item in found:
            table.add_row(item.slug, item.name, item.time_zone)
        console.print(table)

    invocation.result(found, show)


@organization.command(epilog="\b\nExample:\n    lyceum organization unmatched harbor-college")
@click.argument("slug")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Show at most so many people.")
@json_option
@pass_invocation
def unmatched(invocation: Invocation, slug: str, limit: int) -> None:
    """List people with activity whom no roster names, those seen last first, by their pseudonymous ids.

    Many of them say that an identity rule is missing or wrong: see `lyceum roster --help`.
    """
    from lyceum.audit import Access, audited_transaction
    from lyceum.organizations import find_organization
    from lyceum.roster import unmatched_actors

    with audited_transaction(invocation.target, Access("unmatched_read", f"people of {slug}")) as entry:
        entry.organization_id = find_organization(entry.connection, slug).organization_id
        people = unmatched_actors(entry.connection, slug, limit)
        entry.row_count = len(people)

    def show(console: Console) -> None:
        from rich.table import Table

        if not people:
            console.print("Everybody with published activity is in a roster.")
            return
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 3, 0, 0))
        for title in ("user", "courses", "first event", "last event"):
            table.add_column(title, justify="right" if title in ("user", "courses") else "left")
        for person in people:
            table.add_row(
                str(person.user_id), str(person.courses), str(person.first_event_on), str(person.last_event_on)
            )
        console.print(table)

    invocation.result(people, show)


@organization.command(
    name="set-time-zone",
    epilog="\b\nExample:\n    lyceum organization set-time-zone harbor-college America/Chicago --from 2027-01-01",
)
@click.argument("slug")
@click.argument("time_zone")
@click.option(
    "--from",
    "effective_on",
    type=click.DateTime(["%Y-%m-%d"]),
    required=True,
    help="The first local day in the new zone; it must lie ahead, because days that were told stay as they were.",
)
@as_of_option()
@json_option
@pass_invocation
def set_time_zone(
    invocation: Invocation, slug: str, time_zone: str, effective_on: datetime, as_of: datetime | None
) -> None:
    """Let an organization live in another time zone from a future day on."""
    from lyceum.audit import Access, audited_transaction
    from lyceum.organizations import change_time_zone, find_organization

    day: date = effective_on.date()
    access = Access(
        "time_zone_changed", f"organization {slug}", detail={"time_zone": time_zone, "from": day.isoformat()}
    )
    with audited_transaction(invocation.target, access) as entry:
        entry.organization_id = find_organization(entry.connection, slug).organization_id
        effective_from = change_time_zone(entry.connection, slug, time_zone, day, as_of or invocation.clock())
    invocation.result(
        {"organization": slug, "time_zone": time_zone, "effective_from": effective_from},
        lambda console: console.print(f"{slug} lives in {time_zone} from {effective_from:%Y-%m-%d %H:%M} UTC on."),
    )
