"""Where reports lie, and how a page gets there: whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from lyceum.settings import Settings

LATEST = "latest.html"
INDEX = "index.html"


def quality_folder(settings: Settings) -> Path:
    """Return the folder of the data-quality pages."""
    return settings.reports / "quality"


def documentation_page(settings: Settings) -> Path:
    """Return the page of dbt's documentation."""
    return settings.reports / "documentation" / INDEX


def place(path: Path, content: bytes, *, mode: int | None = None) -> None:
    """Put a file in place in one step: a reader sees the old one or the new one, also after a crash. `mode` closes it to others."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    with beside.open("wb") as file:
        if mode is not None:
            os.fchmod(file.fileno(), mode)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
