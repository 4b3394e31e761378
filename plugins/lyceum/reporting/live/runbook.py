"""The runbook, docs/operations.md, as sections by the kind of alert: a page shows what to do where it shows what is wrong."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from lyceum.reporting.rendering import prose

_HEADING = re.compile(r"^## `([a-z_]+)`\s*$", re.MULTILINE)
_LINK = re.compile(r"\[([^\]]+)\]\([^)]*\)")


@dataclass(frozen=True, slots=True)
class Runbook:
    """Sections by kind, as paragraphs of HTML. Empty where the documentation is not beside the library."""

    sections: dict[str, tuple[Markup, ...]]

    def section(self, kind: str | None) -> tuple[Markup, ...]:
        """Return the paragraphs of a section; none where there is no such section."""
        return self.sections.get(kind or "", ())


def read_runbook(project_root: Path) -> Runbook:
    """Read docs/operations.md of a checkout: headings that name a kind, plain paragraphs, code and links as text."""
    try:
        text = (project_root / "docs" / "operations.md").read_text("utf-8")
    except OSError:
        return Runbook({})
    parts = _HEADING.split(text)
    # Before the first heading stands what is for all; then names and texts alternate.
    return Runbook({kind: _paragraphs(body) for kind, body in zip(parts[1::2], parts[2::2], strict=True)})


def _paragraphs(text: str) -> tuple[Markup, ...]:
    told = text.partition("\n# ")[0].partition("\n## ")[0]
    return tuple(
        prose(_LINK.sub(r"\1", " ".join(block.split())))
        for block in re.split(r"\n\s*\n", told.strip())
        if block.strip()
    )
