"""What a person is told while a warehouse starts. The command line decides how it looks."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol


class Step(Protocol):
    """One step under way."""

    def detail(self, text: str) -> None:
        """Say what the step came to, or what it is doing."""
        ...


class Narrator(Protocol):
    """Tells a person what goes on, step by step, with the seconds that each took."""

    def step(self, title: str) -> AbstractContextManager[Step]:
        """Begin a step, which ends with the block: well, or with the exception that leaves it."""
        ...

    def heading(self, text: str) -> None:
        """Say what the following lines are about."""
        ...

    def task(self, title: str, outcome: str, seconds: float | None = None, detail: str = "") -> None:
        """Say what became of something that somebody else ran; `outcome` is success, skipped or failed."""
        ...

    def waiting(self, text: str) -> AbstractContextManager[Step]:
        """Say what is waited for, until the block ends; nothing of it stays."""
        ...
