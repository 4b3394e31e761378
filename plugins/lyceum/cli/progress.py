"""Progress of long work: a bar with rate, share and time left on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

from lyceum.cli.invocation import Invocation

if TYPE_CHECKING:
    from rich.console import Console

_SECONDS_BETWEEN_LINES = 5.0


class Report(Protocol):
    """Takes how much of how much is done; the total may grow while more is found."""

    def __call__(self, done: int, total: int, unit: str) -> None:
        """Take what is done of the total, in `unit`."""
        ...


@contextlib.contextmanager
def progress(invocation: Invocation, description: str) -> Iterator[Report]:
    """Give a function to report progress with, and show what it reports until the block ends."""
    console = invocation.stderr
    if invocation.is_json or not console.is_terminal:
        yield _Lines(console, description, is_silent=invocation.is_json)
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=28),
        TaskProgressColumn(),
        TextColumn("{task.fields[amount]}"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task(description, total=None, amount="", rate="")
        started = time.monotonic()

        def report(done: int, total: int, unit: str) -> None:
            seconds = time.monotonic() - started
            rate = f"{quantity(round(done / seconds), unit)}/s" if seconds > 0.5 and done else ""
            bars.update(task, completed=done, total=total or None, amount=quantity(done, unit), rate=rate)

        yield report


class _Lines:
    def __init__(
        self, console: Console, description: str, *, is_silent: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console = console
        self._description = description
        self._is_silent = is_silent
        self._clock = clock
        self._started = self._last = clock()

    def __call__(self, done: int, total: int, unit: str) -> None:
        now = self._clock()
        if self._is_silent or now - self._last < _SECONDS_BETWEEN_LINES:
            return
        self._last = now
        rate = done / (now - self._started)
        share = f" ({done / total:.0%})" if total else ""
        left = f", {duration((total - done) / rate)} left" if total and rate else ""
        self._console.print(
            f"{self._description}: {quantity(done, unit)}{share}, {quantity(round(rate), unit)}/s{left}", markup=False
        )


def quantity(number: int, unit: str) -> str:
    """Return a number with its unit as people read it: `1.4 MB`, `12,300 records`."""
    if unit != "bytes":
        return f"{number:,} {unit}"
    size = float(number)
    for name in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {name}" if name == "B" else f"{size:.1f} {name}"
        size /= 1000
    return f"{size:.1f} GB"


def duration(seconds: float) -> str:
    """Return a length of time as people read it: `0.4 s`, `12 s`, `3 min 5 s`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
