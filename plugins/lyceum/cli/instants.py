"""Instants on the command line: ISO 8601 with a zone, because a clock without one means another instant elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import click

_Function = TypeVar("_Function", bound=Callable[..., Any])


class Instant(click.ParamType[datetime]):
    """An aware instant, in UTC."""

    name = "instant"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the instant that the text names, in UTC."""
        if isinstance(value, datetime):
            return value
        try:
            instant = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no instant. Expected ISO 8601 such as 2026-03-09T06:00:00Z.", param, ctx)
        if instant.utcoffset() is None:
            self.fail(
                f"{value!r} has no time zone. Expected one, such as {instant.isoformat()}Z or {instant.isoformat()}+01:00.",
                param,
                ctx,
            )
        return instant.astimezone(UTC)


def as_of_option(*, required: bool = False) -> Callable[[_Function], _Function]:
    """Add `--as-of`, the clock that the work is given. Where it is not required the command falls back on now."""
    fallback = "" if required else " Default: now."
    return click.option(
        "--as-of",
        type=Instant(),
        required=required,
        metavar="INSTANT",
        help=f"The clock of this run, ISO 8601 with a zone, e.g. 2026-03-09T06:00:00Z.{fallback}",
    )
