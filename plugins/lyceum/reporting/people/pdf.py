"""A report as a tagged PDF (PDF/UA-1), set by Typst from the same contents and drawings as the page.

Typst brings fonts for Latin, Greek, Cyrillic, Hebrew and Arabic; what the server has installed is looked at after them. PDF/UA-1
forbids characters that no font shows, so those are replaced, and the report says so.
"""

from __future__ import annotations

import functools
import json
import re
import unicodedata
from datetime import datetime
from pathlib import Path
from typing import Any

import typst

from lyceum.errors import LyceumError
from lyceum.reporting.people.contents import Contents, Figure, Section, Table, shown
from lyceum.reporting.people.drawings import draw, standalone

FONT = "Libertinus Serif"
_FALLBACKS = ("DejaVu Sans Mono", "Noto Sans", "Noto Sans CJK SC", "DejaVu Sans")
_UNSHOWN = re.compile(r"the text `\"(?P<text>.*?)\"` could not be displayed", re.DOTALL)
_ESCAPE = re.compile(r"\\u\{([0-9a-f]{1,6})\}")
_REPLACEMENT = "□"
_ATTEMPTS = 40
_LONG_WORD = re.compile(r"\S{25,}")
_PIECE = re.compile(r".{1,12}", re.DOTALL)


class PdfError(LyceumError):
    """A report could not be set as a PDF. That is a defect of Lyceum, or of a font of this server."""


def render_pdf(contents: Contents, at: datetime) -> bytes:
    """Return the PDF; `at` is the instant that it says it was made at. The same contents and instant give the same bytes.

    Raises `PdfError` when it cannot be set.
    """
    template = Path(__file__).parents[1] / "templates" / "person_report.typ"
    fonts = _fonts()
    told = json.dumps(_plain(contents), ensure_ascii=False)
    missing: set[str] = set()
    for _ in range(_ATTEMPTS):
        compiler = typst.Compiler(
            template.read_bytes(),
            font_paths=fonts,
            sys_inputs={
                "report": told,
                "fonts": json.dumps([FONT, *(name for name in _FALLBACKS if name in fonts.families())]),
                "missing": "yes" if missing else "",
            },
        )
        try:
            made = compiler.compile(format="pdf", pdf_standards=["ua-1"], timestamp=int(at.timestamp()))
        except typst.TypstError as error:
            found = _not_shown(error.message) | _not_shown(error.diagnostic)
            if not found - missing:
                # What Typst says may quote the report.
                raise PdfError(
                    f"A report of kind {contents.kind} for {contents.period.type} {contents.period.start} could not be set as a PDF. "
                    "Its page and data can be: ask for these formats, and tell the makers of Lyceum."
                ) from None
            missing |= found
            told = told.translate({ord(one): _stand_in(one) for one in found})
            continue
        assert isinstance(made, bytes)
        return made
    raise PdfError(
        f"A report of kind {contents.kind} has characters that no font of this server shows, more than could be replaced. Install "
        "fonts for them, or ask for the other formats."
    )


def _breakable(text: str) -> str:
    """Return a text whose words may be broken where a line would not hold them."""
    return _LONG_WORD.sub(lambda word: "\u200b".join(_PIECE.findall(word[0])), text)


def _not_shown(said: str) -> set[str]:
    """Return the characters of which Typst says that no font shows them."""
    texts = (_ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), text) for text in _UNSHOWN.findall(said))
    return {one for text in texts for one in text if not one.isascii()} - {_REPLACEMENT}


def _stand_in(character: str) -> str:
    """Return a box for a letter, and nothing for a mark that stands on one or joins two."""
    return "" if unicodedata.category(character)[0] in "MC" else _REPLACEMENT


@functools.cache
def _fonts() -> typst.Fonts:
    return typst.Fonts(include_system_fonts=True, include_embedded_fonts=True)


def _plain(contents: Contents) -> dict[str, Any]:
    return {
        "title": contents.title,
        "organization": _breakable(contents.source.organization),
        "period": contents.period.words,
        "headline": _breakable(contents.headline),
        "is_complete": contents.is_complete,
        "ends": shown(contents.period.end, "date"),
        "told_on": shown(contents.told_on, "date"),
        "sections": [_section(section) for section in contents.sections],
        "notes": list(contents.notes),
        "source": f"Numbers of version {contents.source.data_version}, as of "
        f"{contents.source.data_as_of:%Y-%m-%d %H:%M} UTC; days are those of the organization's own calendar.",
    }


def _section(section: Section) -> dict[str, Any]:
    return {
        "title": section.title,
        "lead": section.lead,
        "figures": [_figure(figure) for figure in section.figures],
        "graphs": [
            {
                "title": _breakable(graph.title),
                "svg": standalone(draw(graph), FONT),
                "description": graph.description,
                "legend": [[_colour(style), _breakable(label)] for style, label in graph.series]
                if len(graph.series) > 1
                else [],
                "table": _table(graph.table),
            }
            for graph in section.graphs
        ],
        "tables": [_table(table) for table in section.tables if table.rows],
        "notes": list(section.notes),
    }


def _figure(figure: Figure) -> dict[str, Any]:
    beside = figure.beside
    return {
        "label": figure.label,
        "value": shown(figure.value, figure.unit),
        "beside": f"{shown(beside.value, beside.unit)} {beside.label}" if beside is not None else "",
        "tone": figure.tone,
    }


def _table(table: Table) -> dict[str, Any]:
    return {
        "caption": _breakable(table.caption),
        "headings": [heading.label for heading in table.headings],
        "numbers": [heading.unit not in ("text", "date") for heading in table.headings],
        "narrow": [heading.unit != "text" for heading in table.headings],
        "rows": [
            [_breakable(shown(value, heading.unit)) for value, heading in zip(row, table.headings, strict=True)]
            for row in table.rows
        ],
        "tones": list(table.tones) or [""] * len(table.rows),
        "states": [heading.key == "state" for heading in table.headings],
    }


def _colour(style: str) -> str:
    from lyceum.reporting.people.drawings import paper_rules

    found = re.search(rf"\.{re.escape(style)}\s*{{\s*fill:\s*(#[0-9a-f]{{6}})", paper_rules())
    assert found is not None, style
    return found[1]
