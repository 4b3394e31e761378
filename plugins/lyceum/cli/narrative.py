"""How a start is told: a spinner that becomes a tick on a terminal, one plain line a step elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Self

from lyceum.cli.invocation import Invocation
from lyceum.cli.progress import duration

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

_WIDTH = 22
_MARKS = {"success": "[green]✓[/]", "failed": "[red]✗[/]", "skipped": "[dim]–[/]"}
_WORDS = {"success": "", "failed": "failed", "skipped": "skipped"}


class Narrative:
    """Tells on stderr, so that stdout keeps the result."""

    def __init__(self, invocation: Invocation) -> None:
        """Take the call whose stderr is told to; with `--json` only failures are told."""
        self._console = invocation.stderr
        self._is_silent = invocation.is_json
        self._indent = ""

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[_Step]:
        """Begin a step and tell how it ended and how long it took."""
        self._indent = ""
        began = time.monotonic()
        with self._spinner() as status:
            step = _Step(status, title)
            try:
                yield step
            except BaseException:
                self._tell("failed", title, step.text, time.monotonic() - began)
                raise
        self._tell("success", title, step.text, time.monotonic() - began)

    def heading(self, text: str) -> None:
        """Begin a list of tasks."""
        self._indent = "  "
        if not self._is_silent:
            self._console.print(f"  [bold]{text}[/]")

    def task(self, title: str, outcome: str, seconds: float | None = None, detail: str = "") -> None:
        """Tell what became of one task."""
        text = ", ".join(filter(None, [_WORDS.get(outcome, outcome), detail]))
        self._print(_MARKS.get(outcome, "[dim]·[/]"), title, text, "" if seconds is None else duration(seconds))

    @contextlib.contextmanager
    def waiting(self, text: str) -> Iterator[_Step]:
        """Show what is waited for, on a terminal only."""
        with self._spinner() as status:
            step = _Step(status, "")
            step.detail(text)
            yield step

    def _tell(self, outcome: str, title: str, text: str, seconds: float) -> None:
        if outcome == "failed" or not self._is_silent:
            self._print(_MARKS[outcome], title, text, duration(seconds))

    def _print(self, mark: str, title: str, text: str, seconds: str) -> None:
        if self._is_silent and "✗" not in mark:
            return
        from rich.markup import escape

        # Narrow enough that the details stay on their line; a longer title pushes them to the right.
        width = 2 * _WIDTH if self._indent else _WIDTH
        line = f"{self._indent}  {mark} {escape(title.ljust(width))} [dim]{seconds:>10}[/]  {escape(text)}"
        self._console.print(line.rstrip())

    @contextlib.contextmanager
    def _spinner(self) -> Iterator[Status | None]:
        if self._is_silent or not self._console.is_terminal:
            yield None
            return
        with self._console.status("", spinner="dots") as status:
            yield status


class _Step:
    def __init__(self, status: Status | None, title: str) -> None:
        self.text = ""
        self._status = status
        self._title = title
        self.detail("")

    def detail(self, text: str) -> None:
        """Say what the step came to, or what it is doing."""
        self.text = text
        if self._status is not None:
            from rich.markup import escape

            shown = f"{self._title.ljust(_WIDTH)} {text}" if self._title else text
            self._status.update(f"[bold]{escape(shown)}[/]" if not text else escape(shown))


def show_link(console: Console, address: str) -> str:
    """Return markup for an address that a terminal can open."""
    return f"[link={address}]{address}[/link]" if console.is_terminal else address


class StepTeller:
    """Tells the steps of work that names each as it begins: the one before has then ended."""

    def __init__(self, invocation: Invocation) -> None:
        """Take the call whose stderr is told to."""
        self._narrative = Narrative(invocation)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __call__(self, step: str) -> None:
        """Begin a step."""
        self._stack.close()
        self._stack.enter_context(self._narrative.step(step))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, traceback)
