"""The page that is shown where a page cannot be told: what is the matter in one sentence, and what to do."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

from lyceum.errors import ConfigurationError, LyceumError
from lyceum.reporting.rendering import CONTENT_SECURITY_POLICY, environment

CANNOT_BE_READ = (LyceumError, psycopg.Error)
"""What reading a page may raise, and `explain` understands."""

_NOT_MIGRATED = (
    psycopg.errors.UndefinedFunction,
    psycopg.errors.UndefinedTable,
    psycopg.errors.InvalidSchemaName,
    psycopg.errors.InsufficientPrivilege,
)


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Why a page cannot be told. It names no address and no account: whoever may see the page need not know them."""

    headline: str
    sentence: str
    remedies: tuple[str, ...]


BUSY = Unavailable(
    "Others are looking just now",
    "Pages are read a few at a time, so that looking costs the warehouse little.",
    ("Look again in a moment.",),
)


def explain(error: Exception) -> Unavailable:
    """Return what to say of an error that reading a page has raised."""
    if isinstance(error, psycopg.errors.QueryCanceled):
        return Unavailable(
            "The warehouse is too busy to answer",
            "A question of this page took longer than ten seconds and was given up. Nothing was changed, and work goes on.",
            (
                "Look again in a moment.",
                "If it stays like this, see who waits for whom: docs/operations.md, `server_busy`.",
            ),
        )
    if isinstance(error, _NOT_MIGRATED):
        return Unavailable(
            "The warehouse is of another version than this page",
            "It does not know what this page asks, or does not let the login of monitoring ask it.",
            (
                "Run `lyceum migrate`, then look again.",
                "Run `lyceum security check`: it names every right that is missing, and the statement that mends it.",
            ),
        )
    if isinstance(error, ConfigurationError):
        return Unavailable(
            "The warehouse cannot be asked",
            "Its server is not running, or refuses the login of monitoring. Tasks that need it fail, too, and tell so.",
            (
                "Run `lyceum status`: it says what runs; `lyceum up` starts what does not.",
                "On a server of your own check LYCEUM_MONITOR_DATABASE_URL, the account and its password.",
                "The log of the API server says which of these it is.",
            ),
        )
    return Unavailable(
        "The warehouse does not answer",
        "Its server cannot be reached, or ended the connection. What was published stays as it is until it comes back.",
        (
            "Run `lyceum status`: it says what runs; `lyceum up` starts what does not.",
            "If the server runs, look into its log and at the disk: a full disk ends it.",
            "The log of the API server says what was tried.",
        ),
    )


def render_unavailable(page: str, why: Unavailable, again: str) -> str:
    """Return the page in place of the one named `page`; `again` is the address to look again."""
    return (
        environment()
        .get_template("unavailable.html.j2")
        .render(page=page, why=why, again=again, policy=CONTENT_SECURITY_POLICY)
    )
