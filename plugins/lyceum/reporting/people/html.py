"""A report as one HTML document that needs nothing else: no script, no network."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import jinja2

from lyceum.reporting.people.contents import Contents, shown
from lyceum.reporting.people.drawings import draw
from lyceum.reporting.rendering import CONTENT_SECURITY_POLICY


def render_html(contents: Contents) -> bytes:
    """Return the document. Pure: reads neither clock nor database."""
    page = _environment().get_template("person_report.html.j2")
    return page.render(report=contents, policy=CONTENT_SECURITY_POLICY).encode()


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parents[1] / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., object]] = {"shown": shown, "draw": draw, "exact": _exact}
    environment.filters.update(filters)
    return environment


def _exact(value: object) -> str:
    return "" if value is None else str(value)
