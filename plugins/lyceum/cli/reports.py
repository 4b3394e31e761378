"""`lyceum report`: pages that tell people how the warehouse does, and how learning goes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from lyceum.cli.instants import as_of_option
from lyceum.cli.invocation import Invocation, json_option, pass_invocation

if TYPE_CHECKING:
    from rich.console import Console

    from lyceum.reporting.people.contents import Kind
    from lyceum.reporting.people.periods import PeriodType
    from lyceum.reporting.people.sealed import Format

# Spelled out, so that `lyceum --help` imports nothing of the library; a test holds them to the library's.
KIND_NAMES = ("learner", "trainer", "organization")
FORMAT_NAMES = ("html", "pdf", "csv", "parquet")
PERIOD_NAMES = ("week", "month")


@click.group()
def report() -> None:
    """Write reports: one self-contained page each, readable offline.

    `quality` tells operators how the warehouse does. `generate`, `list` and `download` are about reports for learners, trainers and
    organizations, which are encrypted where they lie and gone after 7 days.
    """


@report.command(
    epilog="\b\nExamples:\n    lyceum report quality\n    lyceum report quality --build 12 --output /tmp/build-12.html"
)
@click.option("--build", "build_id", type=click.IntRange(min=1), help="Tell of this build. Default: the latest.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the page here and nowhere else. Default: the folder of the reports, where it is kept for 90 days.",
)
@as_of_option()
@json_option
@pass_invocation
def quality(invocation: Invocation, build_id: int | None, output: Path | None, as_of: datetime | None) -> None:
    """Write the data-quality report: expectations, reconciliation, freshness, volumes, quarantine, and what blocked a build.

    Every build writes it at its end; this writes it again. With --as-of it tells what waits at a later clock than the build's:
    then a build's own page stays as it was.
    """
    from lyceum.audit import Access, audited_transaction
    from lyceum.reporting.quality import write_quality_report

    # The page names people by their ids, so that it is made is told before it is.
    asked = Access("quality_report_read", "quality report", detail={"build_id": build_id})
    with audited_transaction(invocation.target, asked, application_name="lyceum report"):
        pass
    written = write_quality_report(invocation.target, invocation.settings, build_id, as_of=as_of, output=output)

    def show(console: Console) -> None:
        console.print(str(written.page), markup=False, soft_wrap=True)
        console.print(f"Build {written.build_id}: {written.headline}", markup=False)

    invocation.result(written, show)


@report.command(
    epilog="""\b
    Examples:
        lyceum report generate --organization harbor-college
        lyceum report generate --organization harbor-college --kind learner --user 4711 --period month --start 2026-11-01"""
)
@click.option("--organization", "slug", required=True, help="Whose report, or whose person's.")
@click.option(
    "--kind", type=click.Choice(KIND_NAMES), default="organization", show_default=True, help="For whom it is written."
)
@click.option(
    "--user", "user_id", type=click.IntRange(min=1), help="The learner or trainer; without one every one of them."
)
@click.option(
    "--period",
    "period_type",
    type=click.Choice(PERIOD_NAMES),
    default="week",
    show_default=True,
    help="What it tells of.",
)
@click.option(
    "--start", type=click.DateTime(["%Y-%m-%d"]), help="First day of the period. Default: the last closed one."
)
@click.option(
    "--format", "formats", type=click.Choice(FORMAT_NAMES), multiple=True, help="May be repeated. Default: all of them."
)
@click.option("--anew", is_flag=True, help="Write it although it is there, told from the published version.")
@as_of_option()
@json_option
@pass_invocation
def generate(
    invocation: Invocation,
    slug: str,
    kind: str,
    user_id: int | None,
    period_type: str,
    start: datetime | None,
    formats: tuple[str, ...],
    anew: bool,
    as_of: datetime | None,
) -> None:
    """Write reports of one kind about one period, read with the rights of their owners.

    A report that is there already, told from the version that is published now, stays as it is. One that fails costs itself alone.
    """
    from lyceum.audit import Access, audited_transaction
    from lyceum.organizations import find_organization
    from lyceum.reporting.people.asking import reader_target
    from lyceum.reporting.people.generation import Wanted, open_report_writer
    from lyceum.reporting.people.periods import Period
    from lyceum.reporting.people.recipients import find_period, find_recipients, write_all

    asked = Access("reports_requested", f"{kind} reports of {slug}", detail={"user_id": user_id, "period": period_type})
    with audited_transaction(invocation.target, asked, application_name="lyceum report") as entry:
        organization_id = find_organization(entry.connection, slug).organization_id
        entry.organization_id = organization_id
        period = (
            find_period(entry.connection, organization_id, cast("PeriodType", period_type))
            if start is None
            else Period(cast("PeriodType", period_type), start.date())
        )
        found = (
            (user_id,)
            if user_id is not None
            else find_recipients(entry.connection, organization_id, cast("Kind", kind), period)
        )
        wanted = [Wanted(organization_id, cast("Kind", kind), one, period) for one in found]
        entry.row_count = len(wanted)
    with open_report_writer(
        invocation.target,
        reader_target(invocation.settings),
        invocation.settings,
        as_of=as_of or invocation.clock(),
        requested_by="lyceum report generate",
    ) as writer:
        outcome = write_all(writer, wanted, cast("tuple[Format, ...]", formats or FORMAT_NAMES), is_anew=anew)

    def show(console: Console) -> None:
        for one in outcome.written:
            whose = "" if one.owner_user_id is None else f" of user {one.owner_user_id}"
            state = "written" if one.is_new else "is there already"
            console.print(
                f"Report {one.report_id}: {one.kind}{whose}, {one.period_type} {one.period_start}, {state}; "
                f"{', '.join(one.formats)}; until {one.expires_at:%Y-%m-%d %H:%M} UTC",
                markup=False,
                soft_wrap=True,
            )
        if not wanted:
            console.print("Nobody to write to: nobody of this kind was there in that period.")

    invocation.result(outcome, show)
    outcome.require_whole()


@report.command(name="list", epilog="\b\nExample:\n    lyceum report list --organization harbor-college")
@click.option("--organization", "slug", required=True, help="Whose reports are listed.")
@json_option
@pass_invocation
def list_command(invocation: Invocation, slug: str) -> None:
    """List the reports of an organization and its people, the newest first."""
    from lyceum.audit import Access, audited_transaction
    from lyceum.organizations import find_organization
    from lyceum.reporting.people.downloads import list_reports

    listing = Access("reports_listed", f"reports of {slug}")
    with audited_transaction(invocation.target, listing, application_name="lyceum report") as entry:
        entry.organization_id = find_organization(entry.connection, slug).organization_id
        found = list_reports(entry.connection, entry.organization_id)
        entry.row_count = len(found)

    def show(console: Console) -> None:
        from rich.table import Table

        if not found:
            console.print("There is none. Write some: lyceum report generate")
            return
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 3, 0, 0))
        for title in ("report", "kind", "user", "period", "state", "formats", "until"):
            table.add_column(title)
        for one in found:
            table.add_row(
                str(one.report_id),
                one.kind,
                str(one.owner_user_id or ""),
                f"{one.period_type} {one.period_start}",
                one.status,
                " ".join(one.formats),
                "" if one.expires_at is None else f"{one.expires_at:%Y-%m-%d %H:%M}",
            )
        console.print(table)

    invocation.result(found, show)


@report.command(
    epilog="\b\nExample:\n    lyceum report download 12 --organization harbor-college --format pdf --output week.pdf"
)
@click.argument("report_id", type=click.IntRange(min=1))
@click.option("--organization", "slug", required=True, help="Whose report it is.")
@click.option(
    "--format", "wanted", type=click.Choice(FORMAT_NAMES), default="html", show_default=True, help="What it is read as."
)
@click.option(
    "-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="Where the file is written."
)
@as_of_option()
@json_option
@pass_invocation
def download(
    invocation: Invocation, report_id: int, slug: str, wanted: str, output: Path, as_of: datetime | None
) -> None:
    """Decrypt one format of a report into a file. The audit trail says so before a byte is written."""
    from lyceum.audit import Access, failures_recorded
    from lyceum.database import connect
    from lyceum.organizations import find_organization
    from lyceum.reporting.people.downloads import download_for_operator
    from lyceum.reporting.shelf import place

    looking = Access("report_downloaded", f"report {report_id} of {slug}", detail={"format": wanted})
    with (
        failures_recorded(invocation.target, looking, application_name="lyceum report"),
        connect(invocation.target, application_name="lyceum report") as connection,
    ):
        organization_id = find_organization(connection, slug).organization_id
    found = download_for_operator(
        invocation.target,
        invocation.settings,
        organization_id,
        report_id,
        cast("Format", wanted),
        as_of=(as_of or invocation.clock()).astimezone(UTC),
    )
    place(output, found.content, mode=0o600)
    invocation.result(
        {"report_id": report_id, "output": output, "format": wanted, "byte_length": len(found.content)},
        lambda console: console.print(str(output), markup=False, soft_wrap=True),
    )
