"""dbt's documentation for analysts: one self-contained page about the tables that people read, which works offline."""

from __future__ import annotations

from pathlib import Path

from lyceum.analytics.models import ModelRun, ProjectTarget, invoke
from lyceum.analytics.publish import published_tables
from lyceum.database import ConnectionTarget
from lyceum.errors import LyceumError
from lyceum.reporting.shelf import documentation_page, place
from lyceum.settings import Settings
from lyceum.views import VIEWS

PUBLISHED = ProjectTarget(
    name="published",
    folder="docs",
    tables=(*published_tables(), *((view.name, f"stage_three.{view.name}") for view in VIEWS.values())),
    is_read_only=True,
)
"""Reads what was published: a model is the table, or the view, that its candidates go to. The server refuses every write."""


CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data:; font-src data:; "
    "base-uri 'none'; form-action 'none'"
)
"""What dbt's page may do: run the scripts that it carries. It can fetch and send nothing, its telemetry included."""


def generate_documentation(target: ConnectionTarget, settings: Settings) -> Path:
    """Write the documentation of models, columns and lineage; return the page (about 3 MB, no network)."""
    invoke(target, settings, ["docs", "generate", "--static"], PUBLISHED)
    page = settings.dbt / PUBLISHED.folder / "static_index.html"
    if not page.is_file():
        raise LyceumError(
            f"dbt reported success, but wrote no {page}. Expected one page; look into {settings.dbt}/logs."
        )
    _shut_off(page)
    return page


def publish_documentation(target: ConnectionTarget, settings: Settings) -> Path:
    """Write the documentation to where the Airflow UI links to; return that page."""
    page = documentation_page(settings)
    place(page, generate_documentation(target, settings).read_bytes())
    return page


def check_published_tables(target: ConnectionTarget, settings: Settings) -> ModelRun:
    """Run the project's tests on what people read now; return them with their seconds. Changes nothing.

    Raises `ModelError` with the first test that fails.
    """
    models = [model for model, _ in PUBLISHED.tables]
    return invoke(target, settings, ["test", "--select", *models, "--exclude", "test_type:unit"], PUBLISHED)


def _shut_off(page: Path) -> None:
    """Forbid a page every connection, in its own head, so that it holds wherever the file is opened."""
    text = page.read_text(encoding="utf-8")
    policy = f'<meta http-equiv="Content-Security-Policy" content="{CONTENT_SECURITY_POLICY}">'
    head, found, rest = text.partition("<head>")
    if not found:
        raise LyceumError(
            f"dbt wrote {page} without a head. Expected an HTML page; another version of dbt writes another page."
        )
    page.write_text(head + found + policy + rest, encoding="utf-8")
