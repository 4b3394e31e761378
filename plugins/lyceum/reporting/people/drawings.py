"""The drawing of a report's graph: once, for every format."""

from __future__ import annotations

import functools
import re
from pathlib import Path

from markupsafe import Markup

from lyceum.reporting.charts import stacked_columns
from lyceum.reporting.people.contents import Graph

WIDTH = 660
"""A drawing of this width has letters of 8 points on a page of A4."""

_VARIABLE = re.compile(r"--([a-z0-9-]+):\s*([^;}]+)[;}]")
_USED = re.compile(r"var\(--([a-z0-9-]+)\)")
_CHART_RULE = re.compile(r"^\.(?:grid|series-\d|accepted|duplicates|quarantined)\b.*$", re.MULTILINE)


def draw(graph: Graph) -> Markup:
    """Return the graph as SVG that takes its colours from the page's style sheet."""
    unit = f" {graph.unit}" if graph.unit else ""
    styles = [style for style, _ in graph.series]
    # What has no unit is counted.
    return stacked_columns(graph.columns, styles, graph.description, unit, WIDTH, is_whole=not unit)


def standalone(drawing: Markup, font: str) -> str:
    """Return a drawing as an SVG file of its own, in the colours of paper."""
    style = f"<style>{paper_rules()} text {{ font-family: '{font}'; }}</style>"
    return str(drawing).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1).replace(">", f">{style}", 1)


@functools.cache
def paper_rules() -> str:
    """Return the style sheet's rules of charts with the light colours in the place of variables."""
    sheet = (Path(__file__).parents[1] / "templates" / "page.css").read_text("utf-8")
    light = dict(_VARIABLE.findall(sheet[: sheet.index("@media")]))
    rules = "\n".join(line.partition(" .mark")[0] for line in _CHART_RULE.findall(sheet))
    return _USED.sub(lambda found: light[found[1]].strip(), rules)
