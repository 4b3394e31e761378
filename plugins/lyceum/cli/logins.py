"""Commands for people who connect to the database themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import click

from lyceum.cli.invocation import Invocation, json_option, pass_invocation
from lyceum.cli.tokens import ROLE_NAMES

if TYPE_CHECKING:
    from rich.console import Console


@click.group()
def login() -> None:
    """Say which login of the database is whose: people who connect themselves, with psql or a notebook."""


@login.command(
    epilog="\b\nExamples:\n    lyceum login add ada --role analyst --organization harbor-college\n"
    "    lyceum psql -c '\\password ada'"
)
@click.argument("name")
@click.option("--role", type=click.Choice(ROLE_NAMES), required=True, help="What the login may read as.")
@click.option(
    "--organization", "slug", help="The organization's slug. An auditor of the operator has none, and reads all."
)
@click.option("--user", "user_id", type=click.IntRange(1), help="The user's id; a learner and a trainer need one.")
@json_option
@pass_invocation
def add(invocation: Invocation, name: str, role: str, slug: str | None, user_id: int | None) -> None:
    """Let a login read what a role may read of an organization; a login that is absent is made, without a password."""
    from lyceum.audit import Access, failures_recorded
    from lyceum.database import connect
    from lyceum.security.direct_logins import ALLOWED, allow_login
    from lyceum.security.tokens.claims import Role

    where = invocation.administrator_target
    attempt = Access(ALLOWED, f"login {name}", detail={"role": role, "user_id": user_id})
    with (
        failures_recorded(where, attempt, application_name="lyceum login"),
        connect(where, application_name="lyceum login") as connection,
    ):
        allowed = allow_login(connection, name, cast("Role", role), slug, user_id)

    def show(console: Console) -> None:
        whose = f"of {allowed.organization}" if allowed.organization is not None else "of every organization"
        console.print(f"{allowed.name} reads as {allowed.role} {whose}.", markup=False)
        console.print(f"Its password, if it has none yet: lyceum psql -c '\\password {allowed.name}'", markup=False)

    invocation.result(allowed, show)


@login.command(name="list")
@json_option
@pass_invocation
def list_all(invocation: Invocation) -> None:
    """List the logins of this warehouse."""
    from lyceum.database import connect
    from lyceum.security.direct_logins import list_logins

    with connect(invocation.administrator_target) as connection:
        found = list_logins(connection)

    def show(console: Console) -> None:
        from rich.table import Table

        if not found:
            console.print("Nobody connects directly. Let somebody: lyceum login add --help")
            return
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 3, 0, 0))
        for title in ("login", "role", "organization", "user", "state"):
            table.add_column(title)
        for one in found:
            table.add_row(
                one.name,
                one.role,
                one.organization or "every one",
                str(one.user_id or "–"),
                "may log in" if one.may_log_in else "the server has no such login",
            )
        console.print(table)

    invocation.result(found, show)


@login.command(epilog="\b\nExample:\n    lyceum login remove ada")
@click.argument("name")
@json_option
@pass_invocation
def remove(invocation: Invocation, name: str) -> None:
    """Let a login read nothing of this warehouse any more, at once. The server keeps the login itself."""
    from lyceum.audit import Access, failures_recorded
    from lyceum.database import connect
    from lyceum.security.direct_logins import FORGOTTEN, forget_login

    where = invocation.administrator_target
    with (
        failures_recorded(where, Access(FORGOTTEN, f"login {name}"), application_name="lyceum login"),
        connect(where, application_name="lyceum login") as connection,
    ):
        forget_login(connection, name)
    invocation.result(
        {"name": name, "is_removed": True},
        lambda console: console.print(f"{name} reads nothing of this warehouse any more.", markup=False),
    )
