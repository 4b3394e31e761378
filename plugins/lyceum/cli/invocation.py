"""What one call of the command line carries: its settings, its clock, and where results, messages and errors go.

Results go to stdout, all else to stderr, so that `lyceum --json … | jq` always works.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar
from uuid import UUID

import click

from lyceum.errors import LyceumError
from lyceum.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console

    from lyceum.database import ConnectionTarget

_Function = TypeVar("_Function", bound=Callable[..., Any])


class Invocation:
    """One call of the program. Commands receive it through `pass_invocation`."""

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Take the clock: the only one that the command line has."""
        self.is_json = False
        self.clock = clock

    @cached_property
    def settings(self) -> Settings:
        """The settings of this call, read from the environment when first asked for."""
        return Settings.from_environment(os.environ, Path.cwd())

    @cached_property
    def target(self) -> ConnectionTarget:
        """The warehouse, whose server must be running."""
        from lyceum.database import target

        return target(self.settings)

    @cached_property
    def administrator_target(self) -> ConnectionTarget:
        """The warehouse for the account that migrates it; its server must be running."""
        from lyceum.database import administrator_target

        return administrator_target(self.settings)

    @cached_property
    def stdout(self) -> Console:
        """Where results are printed for people."""
        from rich.console import Console

        return Console(width=_width(sys.stdout), highlight=False)

    @cached_property
    def stderr(self) -> Console:
        """Where progress, messages and errors are printed."""
        from rich.console import Console

        return Console(stderr=True, soft_wrap=not sys.stderr.isatty(), highlight=False)

    def result(self, value: object, show: Callable[[Console], None]) -> None:
        """Print a result: as JSON for scripts, else as `show` prints it for people."""
        if self.is_json:
            click.echo(json.dumps(plain(value), ensure_ascii=False))
        else:
            show(self.stdout)

    def message(self, text: str) -> None:
        """Print one line for people about what goes on."""
        if not self.is_json:
            self.stderr.print(text, markup=False)

    def failure(self, error: LyceumError) -> None:
        """Print an error, for scripts on stdout too."""
        if self.is_json:
            click.echo(json.dumps({"error": {"kind": type(error).__name__, "message": str(error)}}, ensure_ascii=False))
        self.stderr.print("[bold red]lyceum:[/] ", end="")
        self.stderr.print(str(error), markup=False)


def _width(stream: TextIO) -> int | None:
    """Return None, the terminal's own width, for a terminal; a file or a pipe has room for a table."""
    return None if stream.isatty() else 160


pass_invocation = click.make_pass_decorator(Invocation, ensure=True)


def plain(value: object) -> object:
    """Return a value made of what JSON has: dataclasses become objects, instants and days ISO 8601, numerics exact text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, (Decimal, Path, UUID)):
        return str(value)
    if isinstance(value, bytes):
        return value.hex()
    return value


def json_option(function: _Function) -> _Function:
    """Add `--json`, which may stand before or after the command's name."""

    def remember(context: click.Context, _: click.Parameter, chosen: bool) -> None:
        if chosen:
            context.ensure_object(Invocation).is_json = True

    return click.option(
        "--json",
        is_flag=True,
        expose_value=False,
        callback=remember,
        help="Print the result as one line of JSON; progress and messages stay on stderr.",
    )(function)
