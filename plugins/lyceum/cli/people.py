"""Commands that look a person up: the only ones that print who somebody is."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from lyceum.cli.invocation import Invocation, json_option, pass_invocation

if TYPE_CHECKING:
    from rich.console import Console

    from lyceum.vault import IndexedColumn, Profile


@click.group()
def people() -> None:
    """People by what names them: decrypts profiles, one person at a time.

    Who looked at whom is a row of the audit trail, by ids, written before anything is printed.
    """


@people.command(
    epilog="""\b
    Examples:
        lyceum people find --organization harbor-college --email ada@school.example
        lyceum people find --organization harbor-college --email - < address.txt"""
)
@click.option("--organization", required=True, help="Whose people are searched.")
@click.option("--email", help="The e-mail address; - reads it from stdin, so that no history keeps it.")
@click.option("--username", help="The user name, - as above.")
@click.option("--sourced-id", help="The sourcedId of the roster, - as above.")
@json_option
@pass_invocation
def find(
    invocation: Invocation, organization: str, email: str | None, username: str | None, sourced_id: str | None
) -> None:
    """Find people by an exact value of their profile, by the blind index; letter case of addresses and user names is ignored."""
    from lyceum.audit import IDS_AT_MOST, Access, audited_transaction
    from lyceum.organizations import find_organization
    from lyceum.vault import find_people, open_person_keys, read_profiles

    column, text = _wanted(email, username, sourced_id)
    access = Access("people_searched", f"people of {organization}", detail={"searched_by": column})
    with audited_transaction(invocation.target, access, application_name="lyceum people") as entry:
        connection = entry.connection
        tenant = find_organization(connection, organization)
        entry.organization_id = tenant.organization_id
        user_ids = find_people(connection, invocation.settings, tenant.organization_id, column, text)
        profiles: dict[int, Profile] = {}
        if user_ids:
            with open_person_keys(invocation.settings, connection) as keys:
                profiles = read_profiles(connection, keys, tenant.organization_id, user_ids)
        entry.row_count = len(profiles)
        entry.detail["user_ids"] = sorted(profiles)[:IDS_AT_MOST]
    _print(invocation, profiles, user_ids)


@people.command(epilog="\b\nExamples:\n    lyceum people show 4711 --organization harbor-college")
@click.argument("user_id", type=click.IntRange(min=1))
@click.option("--organization", required=True, help="Whose person it is.")
@json_option
@pass_invocation
def show(invocation: Invocation, user_id: int, organization: str) -> None:
    """Show who a user is."""
    from lyceum.audit import Access, audited_transaction
    from lyceum.organizations import find_organization
    from lyceum.vault import open_person_keys, read_profiles

    access = Access("person_read", f"user {user_id} of {organization}", detail={"user_ids": [user_id]})
    with audited_transaction(invocation.target, access, application_name="lyceum people") as entry:
        connection = entry.connection
        tenant = find_organization(connection, organization)
        entry.organization_id = tenant.organization_id
        with open_person_keys(invocation.settings, connection) as keys:
            profiles = read_profiles(connection, keys, tenant.organization_id, [user_id])
        entry.row_count = len(profiles)
    _print(invocation, profiles, list(profiles))


def _wanted(email: str | None, username: str | None, sourced_id: str | None) -> tuple[IndexedColumn, str]:
    stated: list[tuple[IndexedColumn, str]] = []
    if email is not None:
        stated.append(("email", email))
    if username is not None:
        stated.append(("username", username))
    if sourced_id is not None:
        stated.append(("sourced_id", sourced_id))
    if len(stated) != 1:
        raise click.UsageError(
            f"Found {len(stated)} values to look for. Expected one of --email, --username, --sourced-id."
        )
    column, text = stated[0]
    return column, sys.stdin.readline().strip() if text == "-" else text


def _print(invocation: Invocation, profiles: dict[int, Profile], user_ids: list[int]) -> None:
    """Print what was found. A user id without a profile belongs to somebody whose key was destroyed."""

    def show_people(console: Console) -> None:
        if not user_ids:
            console.print("Nobody found.")
        for user_id in user_ids:
            console.print(f"User {user_id}", style="bold")
            if user_id not in profiles:
                console.print("  The key was destroyed: nobody can read who this was.")
                continue
            for name, value in asdict(profiles[user_id]).items():
                if value:
                    shown = ", ".join(f"{kind}: {one}" for kind, one in value) if name == "user_ids" else value
                    console.print(f"  {name.replace('_', ' ')}: {shown}", markup=False)

    found = [
        {"user_id": user_id, "profile": asdict(profiles[user_id]) if user_id in profiles else None}
        for user_id in user_ids
    ]
    invocation.result(found, show_people)
