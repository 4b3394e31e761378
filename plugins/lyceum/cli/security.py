"""`lyceum security`: whether the database grants what the description of rights says."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from lyceum.cli.invocation import Invocation, json_option, pass_invocation

if TYPE_CHECKING:
    from rich.console import Console


@click.group()
def security() -> None:
    """Who may read what: compare the database with the description, and make the SQL that follows from it."""


@security.command(epilog="\b\nExamples:\n    lyceum security check\n    lyceum --json security check | jq '.[].mend'")
@json_option
@pass_invocation
def check(invocation: Invocation) -> None:
    """Look for rights that are not described: row security, policies, grants, views, functions, roles, keys.

    Reads the catalogue only, and may run at any time. Exits 1 when there are findings; each says what was found, what was
    expected and what mends it.
    """
    from lyceum.database import connect
    from lyceum.security.gate import check_security

    with connect(invocation.administrator_target, application_name="lyceum security check") as connection:
        findings = check_security(connection, invocation.settings)
        connection.rollback()

    def show(console: Console) -> None:
        for finding in findings:
            console.print(f"[bold red]{finding.kind}[/]: ", end="")
            console.print(finding.name, markup=False, soft_wrap=True)
            for word, text in (("found", finding.found), ("expected", finding.expected), ("mend", finding.mend)):
                console.print(f"  {word:<9} " + text.replace("\n", "\n" + " " * 12), markup=False, soft_wrap=True)
        console.print(
            f"{len(findings)} findings." if findings else "Every right in this database is as described.", markup=False
        )

    invocation.result(findings, show)
    if findings:
        sys.exit(1)


@security.command(epilog="\b\nExamples:\n    lyceum security generate && lyceum migrate")
@json_option
@pass_invocation
def generate(invocation: Invocation) -> None:
    """Write sql/repeatable/rights anew from plugins/lyceum/security/rights.py; `lyceum migrate` then applies it."""
    from lyceum.security.generation import write_rights

    changed = write_rights(invocation.settings.repeatable)

    def show(console: Console) -> None:
        for name in changed:
            console.print(f"  {name}", markup=False)
        console.print(f"{len(changed)} files changed." if changed else "Every file is as described.", markup=False)

    invocation.result({"changed": changed}, show)
