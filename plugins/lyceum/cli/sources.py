"""Commands for sources: adding, declaring, listing and removing them, and trying and pulling Learning Record Stores."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lyceum.cli.instants import Instant, as_of_option
from lyceum.cli.invocation import Invocation, json_option, pass_invocation

if TYPE_CHECKING:
    from rich.console import Console

    from lyceum.lrs import Change, ConfiguredSource
    from lyceum.organizations import Channel, Format

_SECRETS = """Secrets are never stated here, only the NAME under which they are found when they are needed: in the variable
    LYCEUM_CREDENTIALS_<NAME> as user:secret, in a file that LYCEUM_CREDENTIALS_<NAME>_FILE names, or, in a task, in the Airflow
    connection NAME."""


@click.group()
def source() -> None:
    """Add sources, list them, try and pull Learning Record Stores."""


@source.command(
    help=f"Add a source: files that land, or a Learning Record Store that is pulled.\n\n    {_SECRETS}",
    epilog="""\b
    Examples:
        lyceum source add campus --organization harbor-college --channel lrs \\
            --endpoint https://lrs.harbor.example/xapi --credentials campus_lrs --since 2026-09-01T00:00:00Z
        lyceum source add clicks --organization open-university --format oulad""",
)
@click.argument("name")
@click.option(
    "--organization", required=True, metavar="SLUG", help="Whose events these are. The payload never decides that."
)
@click.option(
    "--channel",
    type=click.Choice(["files", "lrs"]),
    default="files",
    show_default=True,
    help="How it delivers: files that land in its folder, or a store that is pulled.",
)
@click.option(
    "--format", "format_", default="xapi", show_default=True, help="What is delivered; a store delivers xapi."
)
@click.option("--endpoint", metavar="URL", help="The store's address before /statements.")
@click.option("--authentication", type=click.Choice(["basic", "oauth2", "none"]), help="Default: basic.")
@click.option("--credentials", metavar="NAME", help="The name under which the credentials are found.")
@click.option("--token-endpoint", metavar="URL", help="Where OAuth 2 tokens come from (client credentials grant).")
@click.option("--scope", help="The scope to ask a token for.")
@click.option("--since", type=Instant(), metavar="INSTANT", help="Leave out what was stored before. Default: nothing.")
@click.option("--page-size", type=int, help="Statements to ask for at once. Default: 500.")
@click.option("--overlap-seconds", type=int, help="How far behind its cursor a pull begins. Default: 60.")
@click.option(
    "--settle-seconds",
    type=int,
    help="How long a store without Consistent-Through may take to show a statement. Default: 60.",
)
@click.option(
    "--lateness-days",
    type=int,
    help="How far to look back in a store that filters by timestamp, not by stored. Default: 15.",
)
@click.option("--timeout-seconds", type=int, help="How long an answer may take. Default: 60.")
@click.option("--maximum-page-bytes", type=int, help="How large an answer may be. Default: 64 MiB.")
@click.option(
    "--history",
    is_flag=True,
    default=None,
    help="Load what is there when the source is first pulled into old weeks, too.",
)
@click.option(
    "--allow-http", is_flag=True, default=None, help="Send credentials unencrypted, on a network that you trust."
)
@as_of_option()
@json_option
@pass_invocation
def add(
    invocation: Invocation,
    /,
    name: str,
    organization: str,
    channel: Channel,
    format_: Format,
    as_of: datetime | None,
    **store: Any,
) -> None:
    from lyceum import lrs
    from lyceum.audit import Access, audited_transaction
    from lyceum.errors import ConfigurationError
    from lyceum.organizations import find_organization, landing_folder

    stated = {key: value for key, value in store.items() if value is not None}
    declared = lrs.declare(
        organization,
        name,
        channel=channel,
        source_format=format_,
        lrs=stated if channel == "lrs" or stated else None,
    )
    with audited_transaction(invocation.target, Access("source_added", f"source {organization}/{name}")) as audited:
        connection = audited.connection
        tenant = find_organization(connection, organization)
        audited.organization_id = tenant.organization_id
        existing = lrs.configured_sources(connection, tenant)
        if any(entry.source.name == name and entry.source.is_active for entry in existing):
            raise ConfigurationError(
                f"{organization!r} has a source {name!r} already. Choose another name, or change that one by a file and "
                "'lyceum source apply'."
            )
        changes = lrs.plan(existing, [declared])
        lrs.apply(connection, changes, as_of or invocation.clock())
    folder = landing_folder(invocation.settings, organization, name)
    if channel == "files":
        folder.mkdir(parents=True, exist_ok=True)

    def show(console: Console) -> None:
        taken_up = "" if changes[0].action == "add" else " again"
        console.print(f"Added {organization}/{name}{taken_up}.", markup=False)
        if channel == "files":
            console.print(f"Files dropped into {folder} are collected every 15 minutes.", markup=False)
        else:
            console.print("It is pulled every 15 minutes. Try it now:", markup=False)
            console.print(f"    lyceum source test {name} --organization {organization}", markup=False)

    invocation.result(
        {
            "organization": organization,
            "source": name,
            "channel": channel,
            "action": changes[0].action,
            "landing_folder": folder if channel == "files" else None,
        },
        show,
    )


@source.command(
    epilog="""\b
    Example of a file:
        [[source]]
        organization = "harbor-college"
        name = "campus"
        channel = "lrs"
        [source.lrs]
        endpoint = "https://lrs.harbor.example/xapi"
        credentials = "campus_lrs"
        since = 2026-09-01T00:00:00Z"""
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@as_of_option()
@json_option
@pass_invocation
def apply(invocation: Invocation, file: Path, dry_run: bool, as_of: datetime | None) -> None:
    """Make the sources what a TOML file declares; applying it again changes nothing.

    Options that the file does not state are as they are by default; sources that it does not name stay as they are. All is
    applied, or, when anything in it cannot be used, nothing.
    """
    from lyceum import lrs
    from lyceum.audit import Access, audited_transaction
    from lyceum.organizations import find_organization

    declared = lrs.read_declarations(file)
    with audited_transaction(
        invocation.target, Access("sources_applied", "core.sources", detail={"is_dry_run": dry_run})
    ) as audited:
        connection = audited.connection
        for slug in {entry.organization: None for entry in declared}:
            find_organization(connection, slug)
        changes = lrs.plan(lrs.configured_sources(connection), declared)
        if not dry_run:
            lrs.apply(connection, changes, as_of or invocation.clock())
        audited.row_count = sum(change.action != "keep" for change in changes)

    def show(console: Console) -> None:
        for change in changes:
            console.print(
                f"{_told(change, dry_run)} {change.declaration.organization}/{change.declaration.name}", markup=False
            )

    invocation.result(
        [
            {
                "organization": change.declaration.organization,
                "source": change.declaration.name,
                "action": change.action,
            }
            for change in changes
        ],
        show,
    )


@source.command(name="list")
@click.option("--organization", metavar="SLUG", help="Only those of this organization.")
@json_option
@pass_invocation
def list_all(invocation: Invocation, organization: str | None) -> None:
    """List the sources, and how far the Learning Record Stores among them were pulled."""
    from lyceum import lrs
    from lyceum.database import connect
    from lyceum.organizations import find_organization

    with connect(invocation.target) as connection:
        tenant = find_organization(connection, organization) if organization else None
        found = lrs.configured_sources(connection, tenant)
        rows = connection.execute(
            "select organization_id, source_id, pulled_through, filters_by from ops.lrs_cursors"
        ).fetchall()
    cursors = {(row[0], row[1]): (row[2], row[3]) for row in rows}
    listed = [
        _listed(entry, *cursors.get((entry.source.organization_id, entry.source.source_id), (None, None)))
        for entry in found
    ]

    def show(console: Console) -> None:
        from rich.table import Table

        if not listed:
            console.print("There is no source yet. Add one: lyceum source add --help")
            return
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 3, 0, 0))
        for title in ("organization", "source", "channel", "format", "active", "endpoint", "pulled through"):
            table.add_column(title)
        for entry in listed:
            through = entry["pulled_through"]
            table.add_row(
                str(entry["organization"]),
                str(entry["source"]),
                str(entry["channel"]),
                str(entry["format"]),
                "yes" if entry["is_active"] else "no",
                str(entry["endpoint"] or ""),
                f"{through:%Y-%m-%d %H:%M:%S} UTC" if isinstance(through, datetime) else "",
            )
        console.print(table)

    invocation.result(listed, show)


@source.command()
@click.argument("name")
@click.option("--organization", required=True, metavar="SLUG", help="Whose source it is.")
@json_option
@pass_invocation
def remove(invocation: Invocation, name: str, organization: str) -> None:
    """Take a source out of service. What it delivered stays, and so does its name in the books."""
    from lyceum import lrs
    from lyceum.audit import Access, audited_transaction
    from lyceum.organizations import find_organization

    with audited_transaction(invocation.target, Access("source_removed", f"source {organization}/{name}")) as audited:
        audited.organization_id = find_organization(audited.connection, organization).organization_id
        outcome = lrs.remove(audited.connection, invocation.settings, organization, name)
    told = {
        "removed": f"Removed {organization}/{name}, which had delivered nothing.",
        "deactivated": f"{organization}/{name} is no longer active. What it delivered stays; adding it again takes it up again.",
    }
    invocation.result(
        {"organization": organization, "source": name, "outcome": outcome},
        lambda console: console.print(told[outcome], markup=False),
    )


@source.command(name="test")
@click.argument("name")
@click.option("--organization", required=True, metavar="SLUG", help="Whose source it is.")
@as_of_option()
@json_option
@pass_invocation
def try_source(invocation: Invocation, name: str, organization: str, as_of: datetime | None) -> None:
    """Ask a Learning Record Store what it is and for one page. Collects nothing."""
    from lyceum import lrs
    from lyceum.database import connect

    with connect(invocation.target) as connection:
        report = lrs.try_out(
            connection,
            organization=organization,
            source=name,
            as_of=as_of or invocation.clock(),
            find_credentials=lrs.credentials_from(os.environ),
        )

    def show(console: Console) -> None:
        order = {None: "too few to tell their order", True: "oldest first", False: "not oldest first"}[
            report.is_ascending
        ]
        clocks = {
            None: "no statement on this page can tell",
            "stored": "by stored, as it should",
            "timestamp": "by timestamp: every pull looks back for late statements (--lateness-days)",
        }
        through = report.consistent_through
        lines = (
            f"{report.endpoint} answers and lets us in.",
            f"  xAPI                {report.version} (it names {', '.join(report.about) if report.about else 'none: it has no /about'})",
            f"  first page          {report.statements} statements, {order}; {'more follow' if report.has_more else 'no more'}",
            f"  since and until     {clocks[report.filters_by]}",
            f"  consistent through  {through.isoformat() if through else 'not told: --settle-seconds decides'}",
        )
        for line in lines:
            console.print(line, markup=False)

    invocation.result(report, show)


@source.command(
    epilog="\b\nExample, all that a store holds from before it was connected:\n"
    "    lyceum source pull campus --organization harbor-college --history --anew"
)
@click.argument("name")
@click.option("--organization", required=True, metavar="SLUG", help="Whose source it is.")
@click.option("--history", is_flag=True, help="Load old weeks: open those never built, restore sealed ones.")
@click.option("--anew", is_flag=True, help="Ask for everything again, from the beginning; known events are duplicates.")
@as_of_option()
@json_option
@pass_invocation
def pull(
    invocation: Invocation, name: str, organization: str, history: bool, anew: bool, as_of: datetime | None
) -> None:
    """Pull a Learning Record Store now: collect what it has stored since the last pull.

    May be repeated and interrupted at will: it goes on where it stopped, and what comes twice is counted as a duplicate.
    """
    from lyceum import lrs
    from lyceum.cli.progress import progress

    instant = as_of or invocation.clock()
    with progress(invocation, "Pulling") as tell:
        report = lrs.pull(
            invocation.target,
            invocation.settings,
            organization=organization,
            source=name,
            as_of=instant,
            run_id=f"cli {instant.isoformat()}",
            find_credentials=lrs.credentials_from(os.environ),
            is_history=history,
            is_anew=anew,
            progress=tell,
        )
    collected = report.collected

    def show(console: Console) -> None:
        console.print(f"{report.statements:,} statements in {report.pages:,} pages:", markup=False)
        console.print(f"  {collected.events_accepted:>12,} events accepted")
        console.print(
            f"  {report.statements - collected.events_accepted - collected.quarantined.total():>12,} known already"
        )
        for reason, count in collected.quarantined.most_common():
            console.print(f"  {count:>12,} quarantined: {reason}", markup=False)
        if report.pulled_through is not None:
            console.print(f"Complete through {report.pulled_through:%Y-%m-%d %H:%M:%S} UTC.", markup=False)
        if collected.quarantined:
            console.print(f"See why: lyceum quarantine list --organization {organization}", markup=False)

    invocation.result(
        {
            "organization": organization,
            "source": name,
            "as_of": instant,
            "pages": report.pages,
            "statements": report.statements,
            "events_accepted": collected.events_accepted,
            "duplicates": collected.duplicates,
            "events_voided": collected.events_voided,
            "quarantined": dict(collected.quarantined),
            "pulled_through": report.pulled_through,
            "filters_by": report.filters_by,
            "version": report.version,
        },
        show,
    )


def _told(change: Change, dry_run: bool) -> str:
    done = {"add": "added", "change": "changed", "keep": "unchanged"}
    planned = {"add": "would add", "change": "would change", "keep": "unchanged"}
    return (planned if dry_run else done)[change.action]


def _listed(entry: ConfiguredSource, pulled_through: datetime | None, filters_by: str | None) -> dict[str, object]:
    found = entry.source
    return {
        "organization": found.organization,
        "source": found.name,
        "channel": found.channel,
        "format": found.format,
        "is_active": found.is_active,
        "endpoint": entry.lrs.endpoint if entry.lrs else None,
        "credentials": entry.lrs.credentials if entry.lrs else None,
        "pulled_through": pulled_through,
        "filters_by": filters_by,
    }
