"""The command that applies a roster by hand."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lyceum.cli.instants import as_of_option
from lyceum.cli.invocation import Invocation, json_option, pass_invocation

if TYPE_CHECKING:
    from rich.console import Console

    from lyceum.roster import RosterReport


@click.command(
    epilog="""\b
    Examples:
        lyceum roster sis-export.zip --organization harbor-college
        lyceum roster sis/ --organization harbor-college \\
            --identity mbox --identity account:https://lms.example=username \\
            --activity 'https://lms.example/courses/{sourced_id}'"""
)
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--organization", required=True, help="Whose roster this is.")
@click.option("--source", default="roster", show_default=True, help="The channel it came through.")
@click.option(
    "--identity",
    "identities",
    multiple=True,
    metavar="RULE",
    help="Whose activity is whose: 'mbox' (the e-mail address), or 'account:HOME_PAGE=FIELD' with sourced_id, username, "
    "email or user_id:TYPE. Kept with the source. Default: mbox.",
)
@click.option(
    "--activity",
    "activities",
    multiple=True,
    metavar="TEMPLATE",
    help="The activity IRI of a class, with {sourced_id}, {class_code} or {course_sourced_id} in it. Kept with the source.",
)
@as_of_option()
@json_option
@pass_invocation
def roster(
    invocation: Invocation,
    path: Path,
    organization: str,
    source: str,
    identities: tuple[str, ...],
    activities: tuple[str, ...],
    as_of: datetime | None,
) -> None:
    """Apply a OneRoster 1.1 or 1.2 export, a zip or a folder of CSV files.

    It decides who is enrolled and who teaches on the days of weeks that still take events; days that are over stay as they
    were told. The next build tells everybody anew whom it changes. A bad row is refused with its reason, the rest applies.
    Applying the same export twice changes nothing.
    """
    from lyceum.audit import Access, audited_transaction, failures_recorded
    from lyceum.organizations import ROSTER_FORMAT, ensure_source, find_organization
    from lyceum.roster import apply_roster, configure_source
    from lyceum.roster.application import APPLIED

    instant = as_of or invocation.clock()
    if identities or activities:
        options: dict[str, Any] = {}
        if identities:
            options["identity_rules"] = [identity_rule(text) for text in identities]
        if activities:
            options["activity_templates"] = list(activities)
        configuring = Access("source_configured", f"source {organization}/{source}")
        with audited_transaction(invocation.target, configuring, application_name="lyceum roster") as entry:
            tenant = find_organization(entry.connection, organization)
            entry.organization_id = tenant.organization_id
            configure_source(
                entry.connection,
                ensure_source(entry.connection, tenant, source, ROSTER_FORMAT, instant),
                options,
            )
    attempt = Access(APPLIED, f"roster {organization}/{source}")
    with failures_recorded(invocation.target, attempt, application_name="lyceum roster"):
        report = apply_roster(
            invocation.target, invocation.settings, organization, path, source, instant, f"cli {instant.isoformat()}"
        )
    invocation.result(report, lambda console: _show(console, report))


def identity_rule(text: str) -> dict[str, str]:
    """Return the options' form of a rule as it is typed. Raises `click.UsageError` for what is no rule."""
    kind, _, rest = text.partition(":")
    if kind == "mbox" and not rest:
        return {"kind": "mbox"}
    home_page, _, name = rest.rpartition("=")
    if kind == "account" and home_page and name:
        return {"kind": "account", "home_page": home_page, "name": name}
    raise click.UsageError(
        f"The identity rule is {text!r}. Expected 'mbox', or 'account:HOME_PAGE=FIELD' such as "
        "account:https://lms.example=username."
    )


def _show(console: Console, report: RosterReport) -> None:
    if report.is_known:
        console.print(f"{report.name}: nothing new, it is the roster that was applied last.")
        return
    console.print(
        f"{report.name} (OneRoster {report.version}). Rows: {report.rows_read:,} read, {report.rows_accepted:,} accepted, "
        f"{report.rows_quarantined:,} refused, {report.rows_ignored:,} of no use."
    )
    for reason, count in report.quarantined:
        console.print(f"  refused as {reason}: {count:,}")
    console.print(
        f"People: {report.users_created:,} new, {report.users_claimed:,} known by their activity before, "
        f"{report.users_merged:,} merged. Classes: {report.classes:,}. Enrollments changed: {report.enrollments_changed:,}."
    )
    if report.profiles_written:
        console.print(f"Profiles encrypted: {report.profiles_written:,}.")
    if report.identities_ambiguous:
        console.print(f"Identities shared by several people, given to nobody: {report.identities_ambiguous:,}.")
    if report.actors_unmatched:
        console.print(
            f"People with activity whom no roster names: {report.actors_unmatched:,}. Check the identity rules."
        )
    if report.people_to_tell:
        console.print(f"People whom the next build tells anew: {report.people_to_tell:,}. Run: lyceum build")
