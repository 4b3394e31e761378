"""Commands for tokens: development tokens, what a token says, and the keys of the tokens between services and database."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import TYPE_CHECKING, cast

import click

from lyceum.cli.invocation import Invocation, json_option, pass_invocation
from lyceum.errors import ConfigurationError

if TYPE_CHECKING:
    from rich.console import Console

# Spelled out, so that `lyceum --help` imports nothing of the library; a test holds it to `ROLES`.
ROLE_NAMES = ("learner", "trainer", "org_admin", "service", "analyst", "auditor")


@click.group()
def token() -> None:
    """Mint tokens for development, look into tokens, keep the keys of the services' tokens.

    Services accept the tokens of the issuer that LYCEUM_JWT_ISSUER, LYCEUM_JWT_AUDIENCE and LYCEUM_JWKS name; where none is
    configured, those of `lyceum token mint`.
    """


@token.command(
    epilog="\b\nExample:\n    lyceum token mint --organization harbor-college --role org_admin | lyceum token verify"
)
@click.option("--organization", "slug", required=True, help="The organization's slug.")
@click.option("--role", type=click.Choice(ROLE_NAMES), required=True, help="Who the token speaks for.")
@click.option("--user", "user_id", type=click.IntRange(1), help="The user's id; a learner and a trainer need one.")
@click.option("--scope", "scopes", multiple=True, help="What a service may do; may be repeated.")
@click.option(
    "--lifetime", type=click.IntRange(1, 3600), default=3600, show_default=True, help="Valid for so many seconds."
)
@click.option(
    "--despite-issuer", is_flag=True, help="Mint although an issuer is configured, whose tokens alone are accepted."
)
@json_option
@pass_invocation
def mint(
    invocation: Invocation,
    slug: str,
    role: str,
    user_id: int | None,
    scopes: tuple[str, ...],
    lifetime: int,
    despite_issuer: bool,
) -> None:
    """Print a token FOR DEVELOPMENT, signed by a key of this home.

    Whoever can read the home can mint any token: never accept its keys where others' data are at stake.
    """
    from lyceum.audit import Access, audited_transaction
    from lyceum.security.tokens.claims import Role
    from lyceum.security.tokens.development import development_issuer
    from lyceum.security.tokens.issuer_keys import IssuerKeys
    from lyceum.security.tokens.resolution import resolve
    from lyceum.security.tokens.verification import verify

    if invocation.settings.token_issuer is not None and not despite_issuer:
        raise ConfigurationError(
            "LYCEUM_JWT_ISSUER names an issuer, so services accept no development token. Ask that issuer for one; for a token "
            "all the same: --despite-issuer"
        )
    issuer = development_issuer(invocation.settings)
    minted = issuer.mint(
        cast("Role", role),
        slug,
        invocation.clock(),
        user_id=user_id,
        scopes=scopes,
        lifetime=timedelta(seconds=lifetime),
    )
    # As a service would: a slug that is mistyped is told here rather than there.
    access = verify(minted, issuer.settings, IssuerKeys.of(issuer.settings.jwks), invocation.clock)
    minting = Access(
        "token_minted",
        f"token of {slug}",
        detail={"role": role, "user_id": user_id, "token_id": access.token_id, "lifetime_seconds": lifetime},
    )
    with audited_transaction(invocation.administrator_target, minting, application_name="lyceum token") as entry:
        entry.organization_id = resolve(entry.connection, access).organization_id
    invocation.message(f"For development alone. Valid until {access.expires_at:%Y-%m-%d %H:%M:%S} UTC.")
    invocation.result(
        {
            "token": minted,
            "expires_at": access.expires_at,
            "issuer": issuer.settings.issuer,
            "is_for_development": True,
        },
        lambda _: click.echo(minted),
    )


@token.command(epilog="\b\nExample:\n    lyceum token verify < token.txt")
@json_option
@pass_invocation
def verify(invocation: Invocation) -> None:
    """Read a token from standard input and say what it says, or why services refuse it.

    There is no argument for it: arguments stay in the shell's history and stand in the list of processes.
    """
    from lyceum.security.tokens.development import accepted_issuer
    from lyceum.security.tokens.issuer_keys import IssuerKeys
    from lyceum.security.tokens.verification import MAXIMUM_CHARACTERS
    from lyceum.security.tokens.verification import verify as verify_token

    text = sys.stdin.buffer.read(MAXIMUM_CHARACTERS + 2).decode("ascii", "replace").strip(" \t\r\n")
    issuer = accepted_issuer(invocation.settings)
    access = verify_token(text, issuer, IssuerKeys.of(issuer.jwks), invocation.clock)

    def show(console: Console) -> None:
        console.print(f"Good until {access.expires_at:%Y-%m-%d %H:%M:%S} UTC, from {issuer.issuer}.", markup=False)
        organization = access.slug if access.slug is not None else f"id {access.organization_id}"
        rows = (
            ("role", access.role),
            ("organization", organization),
            ("user", access.user_id if access.user_id is not None else "–"),
            ("scopes", " ".join(access.scopes) or "–"),
            ("token id", access.token_id),
        )
        for name, told in rows:
            console.print(f"{name:<14}{told}", markup=False)

    invocation.result({"issuer": issuer.issuer, "claims": access}, show)


@token.command(epilog="\b\nExample:\n    lyceum token jwks > jwks.json")
@pass_invocation
def jwks(invocation: Invocation) -> None:
    """Print the key set that verifies this home's development tokens."""
    from lyceum.security.tokens.development import development_issuer, key_set_text

    click.echo(key_set_text(development_issuer(invocation.settings).key_file), nl=False)


@token.group()
def keys() -> None:
    """Keys of the tokens by which services tell the database who is asking."""


@keys.command(name="status")
@json_option
@pass_invocation
def key_status(invocation: Invocation) -> None:
    """List the keys that the warehouse knows."""
    from lyceum.database import connect
    from lyceum.security.tokens.signing_keys import key_states

    with connect(invocation.administrator_target) as connection:
        states = key_states(connection, invocation.settings)
    now = invocation.clock()

    def show(console: Console) -> None:
        from rich.table import Table

        if not any(state.is_ours and state.retired_at is None for state in states):
            console.print("The warehouse accepts no key of this home. Make one: lyceum token keys rotate")
        if not states:
            return
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 3, 0, 0))
        for title in ("key", "made", "state"):
            table.add_column(title)
        for state in states:
            if state.retired_at is None:
                told = "signs" if state.is_ours else "counts, of another home"
            elif state.retired_at > now:
                told = f"counts until {state.retired_at:%Y-%m-%d %H:%M:%S}"
            else:
                told = "retired"
            table.add_row(state.key_id, f"{state.created_at:%Y-%m-%d %H:%M:%S}", told)
        console.print(table)

    invocation.result(states, show)


@keys.command(name="rotate", epilog="\b\nExample:\n    lyceum token keys rotate --at-once")
@click.option("--at-once", is_flag=True, help="The old key was seen by somebody: what it signed counts no longer.")
@json_option
@pass_invocation
def rotate_key(invocation: Invocation, at_once: bool) -> None:
    """Make a new key. Services notice by themselves; what the old one signed counts until it has expired."""
    from lyceum.audit import Access, failures_recorded
    from lyceum.database import connect
    from lyceum.security.tokens.signing_keys import RESOURCE, ROTATED, rotate

    where = invocation.administrator_target
    with (
        failures_recorded(where, Access(ROTATED, RESOURCE), application_name="lyceum token"),
        connect(where, autocommit=True, application_name="lyceum token") as connection,
    ):
        rotation = rotate(connection, invocation.settings, invocation.clock(), at_once=at_once)

    def show(console: Console) -> None:
        console.print(f"The key {rotation.key_id} signs from now on.", markup=False)
        if rotation.retired_at is not None:
            console.print(
                f"The key {rotation.retired_key_id} counts until {rotation.retired_at:%Y-%m-%d %H:%M:%S} UTC.",
                markup=False,
            )

    invocation.result(rotation, show)
