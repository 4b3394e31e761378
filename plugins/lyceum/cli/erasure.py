"""The command that erases a person, and shows what was erased."""

from __future__ import annotations

import getpass
from datetime import datetime
from typing import TYPE_CHECKING

import click

from lyceum.cli.instants import as_of_option
from lyceum.cli.invocation import Invocation, json_option, pass_invocation

if TYPE_CHECKING:
    from rich.console import Console

    from lyceum.erasure import ErasureEntry, ErasurePlan


@click.command(
    epilog="""\b
    Examples:
        lyceum erase --organization harbor-college --user 4711 --dry-run
        lyceum erase --organization harbor-college --user 4711 --reason "ticket 815"
        lyceum erase --list
        lyceum erase --show 3"""
)
@click.option("--organization", help="Whose person it is; with --list, whose erasures are shown.")
@click.option(
    "--user", "user_id", type=click.IntRange(min=1), help="The person's id, any of them: see lyceum people find."
)
@click.option("--dry-run", "is_dry_run", is_flag=True, help="Only count what would change.")
@click.option("--reason", metavar="TEXT", help="Why, without naming the person; kept with the certificate.")
@click.option("--approved-by", metavar="NAME", help="Who has decided it; by default the account that calls.")
@click.option("--yes", "is_agreed", is_flag=True, help="Do not ask.")
@click.option("--list", "is_list", is_flag=True, help="List erasures, unfinished ones among them.")
@click.option("--show", "erasure_id", type=click.IntRange(min=1), help="Show one erasure.")
@as_of_option()
@json_option
@pass_invocation
def erase(
    invocation: Invocation,
    organization: str | None,
    user_id: int | None,
    is_dry_run: bool,
    reason: str | None,
    approved_by: str | None,
    is_agreed: bool,
    is_list: bool,
    erasure_id: int | None,
    as_of: datetime | None,
) -> None:
    """Erase a person for good: names, keys and identities; their numbers stay, under a fresh id that leads to nobody.

    Tables and archives are re-keyed and no total changes. Calling again goes on with what was interrupted. The certificate is a row
    of the audit trail. Base backups keep the person until they are pruned.
    """
    if is_list or erasure_id is not None:
        if user_id is not None or is_dry_run:
            raise click.UsageError("--list and --show erase nobody: leave --user and --dry-run out.")
        _show_erasures(invocation, organization, erasure_id)
        return
    if organization is None or user_id is None:
        raise click.UsageError("Say who: --organization SLUG and --user ID.")
    from lyceum.erasure import erase_person, plan_erasure

    if is_dry_run or not is_agreed:
        plan = plan_erasure(invocation.target, invocation.settings, organization, user_id)
        if is_dry_run:
            invocation.result(plan, lambda console: _show_plan(console, plan))
            return
        _show_plan(invocation.stderr, plan)
        click.confirm("Erase this person? Nothing brings them back.", abort=True, err=True)
    entry = erase_person(
        invocation.target,
        invocation.settings,
        organization,
        user_id,
        as_of=as_of or invocation.clock(),
        approved_by=approved_by or getpass.getuser(),
        reason=reason,
        tell=lambda what: invocation.message(f"{what[0].upper()}{what[1:]} …"),
    )
    invocation.result(entry, lambda console: _show_entry(console, entry))


def _show_erasures(invocation: Invocation, organization: str | None, erasure_id: int | None) -> None:
    from lyceum.database import connect
    from lyceum.erasure import list_erasures
    from lyceum.errors import ConfigurationError
    from lyceum.organizations import find_organization

    with connect(invocation.target) as connection:
        chosen = None if organization is None else find_organization(connection, organization).organization_id
        entries = list_erasures(connection, chosen, erasure_id)
    if erasure_id is not None and not entries:
        raise ConfigurationError(
            f"There is no erasure {erasure_id}. Expected a number that `lyceum erase --list` shows."
        )

    def show(console: Console) -> None:
        if not entries:
            console.print("Nobody was erased.")
        for entry in entries:
            _show_entry(console, entry)

    invocation.result(entries if erasure_id is None else entries[0], show)


def _show_plan(console: Console, plan: ErasurePlan) -> None:
    for sentence in plan.sentences:
        console.print(sentence, markup=False, soft_wrap=True)


def _show_entry(console: Console, entry: ErasureEntry) -> None:
    if entry.finished_as_of is None:
        state = "has not come to its end: call lyceum erase again with the same user"
    else:
        state = (
            f"finished {entry.finished_as_of:%Y-%m-%d %H:%M} UTC, certificate {entry.certificate_id} of the audit trail"
        )
    lines = [
        f"Erasure {entry.erasure_id} of {entry.organization}, approved by {entry.approved_by}: {state}.",
        *(f"  {table}: {count:,} rows" for table, count in entry.rows.items()),
        *(f"  archives of {table}: {count:,} rows" for table, count in entry.archived_rows.items()),
        f"  {entry.archives_rewritten:,} archives rewritten; version {entry.version_before} → {entry.version_after}",
    ]
    if entry.logins_kept:
        lines.append(
            f"  {entry.logins_kept} logins read nothing any more and are still on the server: drop them as its administrator."
        )
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)
