"""dbt's documentation for analysts: one self-contained page that works offline."""

from __future__ import annotations

from pathlib import Path

from lyceum.analytics.models import documentation_flags, invoke
from lyceum.database import ConnectionTarget
from lyceum.errors import LyceumError
from lyceum.settings import Settings


def generate_documentation(target: ConnectionTarget, settings: Settings) -> Path:
    """Write the documentation of models, columns and lineage; return the page (about 2 MB, no network)."""
    invoke(target, settings, ["docs", "generate", "--static"], flags=documentation_flags)
    page = settings.dbt / "docs" / "static_index.html"
    if not page.is_file():
        raise LyceumError(
            f"dbt reported success, but wrote no {page}. Expected one page; look into {settings.dbt}/logs."
        )
    return page
