"""Commands for the keys to people's names: status, rotate, retire."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from lyceum.cli.invocation import Invocation, json_option, pass_invocation

if TYPE_CHECKING:
    from rich.console import Console


@click.group()
def keys() -> None:
    """The keys to people's names, addresses and identifiers.

    Everybody has a data key of their own, which lies in the key database, wrapped by a key of the provider
    (LYCEUM_KEY_PROVIDER: file, environment or transit) that lies in no database. The login of the pipeline may do all of this,
    once `lyceum migrate` has made the key database.
    """


@keys.command(epilog="\b\nExamples:\n    lyceum keys status\n    lyceum --json keys status | jq .old")
@json_option
@pass_invocation
def status(invocation: Invocation) -> None:
    """Count the people whose keys each version wraps, and say what is old."""
    from lyceum.database import connect
    from lyceum.vault import open_person_keys, profiles_without_key

    with connect(invocation.target) as connection, open_person_keys(invocation.settings, connection) as person_keys:
        found = person_keys.status()
        unreadable = profiles_without_key(connection, person_keys)

    def show(console: Console) -> None:
        from rich.table import Table

        table = Table(box=None, pad_edge=False)
        for name in ("provider", "version", "people", ""):
            table.add_column(name, justify="right" if name in ("version", "people") else "left")
        for one in found.versions:
            state = (
                "[green]current[/]" if one.is_current else "[yellow]old[/]" if one.people else "[dim]wraps nothing[/]"
            )
            table.add_row(one.provider, str(one.version), f"{one.people:,}", state)
        console.print(table if found.versions else f"No key yet: the provider is {found.provider}.")
        if found.destroyed:
            console.print(f"Destroyed for good: the keys of {found.destroyed:,} people.")
        if unreadable:
            console.print(f"[red]Profiles without a key: {unreadable:,}.[/] Nobody can read them.")
        if found.old:
            console.print(f"Keys under an old version or another provider: {found.old:,}. Run: lyceum keys rotate")

    invocation.result({**asdict(found), "profiles_without_key": unreadable}, show)


@keys.command(epilog="\b\nExamples:\n    lyceum keys rotate")
@json_option
@pass_invocation
def rotate(invocation: Invocation) -> None:
    """Make a new version of the provider's key and wrap everybody's data key under it.

    Profiles stay as they are and can be read all the while. A rotation that was interrupted is gone on with by the next call;
    after a change of LYCEUM_KEY_PROVIDER this moves all keys to the new provider.
    """
    from lyceum.audit import Access, announced
    from lyceum.cli.progress import progress
    from lyceum.database import connect
    from lyceum.vault import open_person_keys

    access = Access("keys_rotated", "keys of people")
    with (
        announced(invocation.target, access, begun="keys_rotation_begun", application_name="lyceum keys") as outcome,
        connect(invocation.target) as connection,
        open_person_keys(invocation.settings, connection) as person_keys,
        progress(invocation, "Wrapping keys") as advance,
    ):
        report = person_keys.rotate(lambda done, total: advance(done, total, "keys"))
        outcome.row_count = report.rewrapped
        outcome.detail |= {"provider": report.provider, "version": report.version}

    def show(console: Console) -> None:
        made = "new version" if report.is_new_version else "version"
        console.print(
            f"Wrapped {report.rewrapped:,} keys under {made} {report.version} of the provider {report.provider}."
        )
        if report.is_new_version and report.version > 1:
            console.print(f"Once no backup needs it, destroy the old one: lyceum keys retire {report.version - 1}")

    invocation.result(report, show)


@keys.command(epilog="\b\nExamples:\n    lyceum keys retire 1")
@click.argument("version", type=click.IntRange(min=1))
@json_option
@pass_invocation
def retire(invocation: Invocation, version: int) -> None:
    """Destroy a version of the provider's key that wraps nothing any more.

    Old copies of the key database become useless, and with them the keys of people that have been destroyed since.
    """
    from lyceum.audit import Access, announced
    from lyceum.database import connect
    from lyceum.reporting.people.removal import require_not_wrapping
    from lyceum.vault import open_person_keys

    access = Access("key_version_retired", f"keys of people, version {version}", detail={"version": version})
    with (
        announced(invocation.target, access, begun="key_retirement_begun", application_name="lyceum keys"),
        connect(invocation.target) as connection,
        open_person_keys(invocation.settings, connection) as person_keys,
    ):
        require_not_wrapping(connection, person_keys.status().provider, version)
        person_keys.retire(version)
    invocation.result({"retired": version}, lambda console: console.print(f"Version {version} is destroyed."))
