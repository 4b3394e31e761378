"""Reports as people get them: one page, one tagged PDF and two tables of the same contents, however odd these are."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet
from pypdf import PdfReader

from browser import browsing, needs_browser
from lyceum.cli import reports as commands
from lyceum.errors import ConfigurationError
from lyceum.reporting.charts import Column, nice_ceiling
from lyceum.reporting.people import contents as told
from lyceum.reporting.people.contents import (
    Contents,
    Figure,
    Graph,
    Heading,
    Section,
    Source,
    Table,
    change,
    quotient,
    shown,
)
from lyceum.reporting.people.drawings import draw, paper_rules, standalone
from lyceum.reporting.people.export import render_csv, render_parquet
from lyceum.reporting.people.html import render_html
from lyceum.reporting.people.learner import streaks
from lyceum.reporting.people.pdf import render_pdf
from lyceum.reporting.people.periods import PERIOD_TYPES, Period
from lyceum.reporting.people.sealed import FORMATS

AT = datetime(2026, 11, 16, 15, tzinfo=UTC)
WEEK = Period("week", date(2026, 11, 9))
SOURCE = Source(1, "Harbor College", 17, AT, date(2026, 11, 15), date(2026, 9, 1))


def report(title: str = "Algebra", rows: int = 3, organization: str = "Harbor College", **more: Any) -> Contents:
    """Return a report with everything that a report may have."""
    days = tuple(Column(f"{day:%a}", (float(number),), f"{day}: {number}") for number, day in enumerate(WEEK.days))
    headings = (
        Heading("learner", "Learner", "text"),
        Heading("course", "Course", "text"),
        Heading("score", "Score", "score"),
    )
    return Contents(
        kind="trainer",
        owner_user_id=7,
        title="Your teaching report",
        period=WEEK,
        source=replace(SOURCE, organization=organization),
        headline=f"You teach {title}.",
        sections=(
            Section(
                "glance",
                "At a glance",
                "What was.",
                figures=(
                    Figure("learners", "Learners", rows, "count", Figure("more", "more", Decimal("-0.25"), "change")),
                    Figure("score", "Mean score", None, "score"),
                    Figure("time", "Time on task", 5400, "seconds", tone="warning"),
                ),
                graphs=(
                    Graph(
                        "days",
                        f"Active learners of {title} on each day, 21 in all.",
                        days,
                        (("series-1", title),),
                        "",
                        Table(
                            "days",
                            "One row per day.",
                            (Heading("day", "Day", "date"), Heading("n", "Learners", "count")),
                            tuple((day, number) for number, day in enumerate(WEEK.days)),
                        ),
                        title=title,
                    ),
                ),
            ),
            Section(
                "help",
                "Who needs help",
                "Learners at risk.",
                tables=(
                    Table(
                        "at_risk",
                        "One row per learner.",
                        headings,
                        tuple((f"Learner {number}", title, quotient(number % 7, 7)) for number in range(rows)),
                    ),
                ),
                notes=() if rows else ("Nobody is at risk.",),
            ),
        ),
        notes=("A note.",),
        **more,
    )


EMPTY = replace(
    report(rows=0),
    sections=tuple(
        replace(
            section, graphs=tuple(replace(one, columns=(), table=replace(one.table, rows=())) for one in section.graphs)
        )
        for section in report(rows=0).sections
    ),
)
LONG = "Introduction to the very long and detailed history of the natural sciences " * 3
CASES = {
    "usual": report(),
    "empty": EMPTY,
    "one learner": report(rows=1),
    "five hundred learners": report(rows=500),
    "a long title": report(LONG),
    "one endless word": report("Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft" * 2),
    "Hebrew and Arabic": report("מבוא לאלגברה ومقدمة في الجبر", organization="אוניברסיטה"),
    "Greek and Cyrillic": report("Εισαγωγή Введение"),
    "Chinese, Thai and emoji": report("線性代數 พีชคณิต 🎓", organization="臺北"),
    "markup": report('<script>alert(1)</script> #eval("1") $x$ *b* [x] "quoted" \\ & {{ 7 * 7 }}'),
    "an unfinished period": replace(report(), source=replace(SOURCE, closed_through=date(2026, 11, 11))),
}


class Page(HTMLParser):
    """Reads a page strictly: every element is closed by its own end tag, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.said: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, self.getpos()

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.said.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.said).split())


@pytest.mark.parametrize("name", CASES)
def test_a_page_is_whole_and_can_be_read_without_seeing_it(name: str) -> None:
    contents = CASES[name]
    text = render_html(contents).decode()
    page = Page(text)
    tags = [tag for tag, _ in page.elements]
    assert tags.count("h1") == 1
    assert tags.count("h2") == len(contents.sections)
    assert page.elements[0] == ("html", {"lang": "en"})
    # No level of heading is left out.
    levels = [int(tag[1]) for tag in tags if re.fullmatch(r"h[1-6]", tag)]
    assert all(following <= level + 1 for level, following in itertools.pairwise(levels))
    assert tags.count("table") == tags.count("caption")
    assert all(attributes.get("scope") in ("col", "row") for tag, attributes in page.elements if tag == "th")
    charts = [attributes for tag, attributes in page.elements if tag == "svg" and attributes.get("class") == "chart"]
    assert charts
    assert all(chart["role"] == "img" and chart["aria-label"] for chart in charts)
    identifiers = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    targets = {attributes["href"] for tag, attributes in page.elements if tag == "a"}
    assert targets <= {f"#{identifier}" for identifier in identifiers}


@pytest.mark.parametrize("name", CASES)
def test_a_page_fetches_nothing_and_runs_nothing(name: str) -> None:
    page = Page(render_html(CASES[name]).decode())
    assert not [tag for tag, _ in page.elements if tag in ("script", "link", "img", "iframe", "object", "form", "base")]
    assert not [value for _, attributes in page.elements for value in attributes.values() if value and "//" in value]
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    policies = [
        attributes["content"]
        for tag, attributes in page.elements
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert len(policies) == 1
    assert policies[0] is not None
    assert policies[0].startswith("default-src 'none'")


def test_what_people_called_their_courses_is_text_in_every_format() -> None:
    contents = CASES["markup"]
    title = contents.sections[1].tables[0].rows[0][1]
    assert str(title) in Page(render_html(contents).decode()).text
    said = "".join(page.extract_text() for page in PdfReader(io.BytesIO(render_pdf(contents, AT))).pages)
    assert "<script>alert(1)</script>" in said.replace("\n", "")
    assert '#eval("1") $x$ *b* [x]' in said.replace("\n", "")
    assert title in {line["text"] for line in csv.DictReader(io.StringIO(render_csv(contents).decode()))}


@pytest.mark.parametrize("name", CASES)
def test_a_pdf_is_tagged_with_headings_table_headers_and_alternative_texts(name: str) -> None:
    contents = CASES[name]
    reader = PdfReader(io.BytesIO(render_pdf(contents, AT)))
    root = reader.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"]
    assert root["/Lang"] == "en"
    assert root["/ViewerPreferences"]["/DisplayDocTitle"]
    assert b"pdfuaid" in root["/Metadata"].get_object().get_data()
    assert reader.metadata is not None
    assert reader.metadata.title == "Your teaching report, 9 – 15 November 2026"
    kinds = list(_structure(root["/StructTreeRoot"]))
    names = [kind for kind, _ in kinds]
    assert names.count("/H1") == 1
    assert names.count("/H2") == len(contents.sections)
    columns = [len(table.headings) for section in contents.sections for table in section.tables if table.rows]
    assert names.count("/TH") >= sum(columns)
    figures = [alternative for kind, alternative in kinds if kind == "/Figure"]
    assert len(figures) == sum(len(section.graphs) for section in contents.sections)
    assert all(figures)


def _structure(element: Any) -> Iterator[tuple[str, str | None]]:
    element = element.get_object()
    if not hasattr(element, "get"):
        return
    if "/S" in element:
        yield str(element["/S"]), element.get("/Alt")
    below = element.get("/K", [])
    for one in below if isinstance(below, list) else [below]:
        if not isinstance(one, int):
            yield from _structure(one)


def test_characters_that_no_font_shows_are_boxes_in_the_pdf_alone_and_it_says_so() -> None:
    contents = report("ꙮ𓀀 Algebra")
    said = "".join(page.extract_text() for page in PdfReader(io.BytesIO(render_pdf(contents, AT))).pages)
    assert "A box (□) stands for a character that no font of this server shows" in said
    assert "Algebra" in said
    assert "ꙮ𓀀" in render_html(contents).decode()
    usual = "".join(page.extract_text() for page in PdfReader(io.BytesIO(render_pdf(report(), AT))).pages)
    assert "□" not in usual


def test_a_word_that_no_line_holds_is_broken_and_stays_on_the_paper() -> None:
    widths = []

    def see(text: str, _: Any, matrix: list[float], __: Any, size: float) -> None:
        if text.strip():
            # Letters of this font are less than 0.6 of its size wide in the mean.
            widths.append(matrix[4] + 0.4 * size * len(text))

    for page in PdfReader(io.BytesIO(render_pdf(CASES["one endless word"], AT))).pages:
        page.extract_text(visitor_text=see)
    assert 200 < max(widths) < 595


def test_the_same_contents_give_the_same_bytes() -> None:
    for render in (render_html, render_csv, render_parquet):
        assert render(report()) == render(report())
    assert render_pdf(report(), AT) == render_pdf(report(), AT)


@pytest.mark.parametrize("name", CASES)
def test_tables_for_programs_hold_every_value_exactly(name: str) -> None:
    contents = CASES[name]
    lines = list(csv.DictReader(io.StringIO(render_csv(contents).decode())))
    frame = parquet.read_table(pa.BufferReader(render_parquet(contents))).to_pylist()
    values = sum(
        len(figures) + sum(figure.beside is not None for figure in figures)
        for figures in (section.figures for section in contents.sections)
    ) + sum(
        len(table.rows) * (len(table.headings) - 1)
        for section in contents.sections
        for table in (*(graph.table for graph in section.graphs), *section.tables)
    )
    assert len(lines) == len(frame) == values
    for line, row in zip(lines, frame, strict=True):
        assert (Decimal(line["number"]) if line["number"] else None) == (row["number"])


def test_a_spreadsheet_takes_no_title_for_a_formula() -> None:
    for title in ("=HYPERLINK(1)", "+1", "-1", "@x", "\tx"):
        lines = list(csv.DictReader(io.StringIO(render_csv(report(title)).decode())))
        assert {line["text"] for line in lines if line["figure"] == "course"} == {f"'{title}"}


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (None, "count", "–"),
        (0, "count", "0"),
        (1234567, "count", "1,234,567"),
        (1, "days", "1 day"),
        (0, "days", "0 days"),
        (0, "seconds", "0 min"),
        (29, "seconds", "0 min"),
        (30, "seconds", "1 min"),
        (3599, "seconds", "1 h"),
        (5400, "seconds", "1 h 30 min"),
        (Decimal("0.833333"), "share", "83.3\u00a0%"),
        (Decimal("1.000000"), "share", "100\u00a0%"),
        (Decimal("0.000000"), "share", "0\u00a0%"),
        (Decimal("-0.5"), "score", "-50\u00a0%"),
        (Decimal("0.125"), "change", "+12.5\u00a0%"),
        (Decimal("-0.143"), "change", "−14.3\u00a0%"),
        (Decimal("0.000000"), "change", "0\u00a0%"),
        (Decimal("-0.0001"), "change", "0\u00a0%"),
        (-3, "difference", "−3"),
        (0, "difference", "0"),
        (3, "difference", "+3"),
        (date(2026, 11, 9), "date", "9 Nov 2026"),
        ("as it is", "text", "as it is"),
    ],
)
def test_a_value_is_shown_in_one_way(value: Any, unit: Any, expected: str) -> None:
    assert shown(value, unit) == expected


def test_nothing_is_divided_by_zero() -> None:
    assert quotient(5, 0) is None
    assert quotient(5, None) is None
    assert quotient(None, 5) is None
    assert quotient(2, 3) == Decimal("0.666667")
    assert quotient(1, 2_000_000) == Decimal("0.000001")
    assert change(5, 0) is None
    assert change(None, 5) is None
    assert change(4, 5) == Decimal("-0.2")


def test_streaks_are_runs_of_days_and_the_current_one_ends_on_the_last() -> None:
    days = [date(2026, 11, day) for day in (1, 2, 3, 5, 6)]
    assert streaks(days, date(2026, 11, 6)) == (2, 3)
    assert streaks(days, date(2026, 11, 7)) == (0, 3)
    assert streaks([], date(2026, 11, 7)) == (0, 0)


def test_periods_begin_on_a_monday_or_the_first() -> None:
    assert Period("month", date(2026, 12, 1)).end == date(2026, 12, 31)
    assert Period("month", date(2026, 1, 1)).before == Period("month", date(2025, 12, 1))
    assert Period("week", date(2026, 12, 28)).end == date(2027, 1, 3)
    assert Period("week", date(2026, 12, 28)).words == "28 December 2026 – 3 January 2027"
    assert Period("week", date(2026, 11, 30)).words == "30 November – 6 December 2026"
    assert Period.last_closed("week", date(2026, 11, 15)) == WEEK
    assert Period.last_closed("week", date(2026, 11, 14)) == WEEK.before
    assert Period.last_closed("month", date(2026, 11, 30)) == Period("month", date(2026, 11, 1))
    assert [one.start.day for one in WEEK.trail(3)] == [26, 2, 9]
    for kind, start in (("week", date(2026, 11, 10)), ("month", date(2026, 11, 2))):
        with pytest.raises(ConfigurationError, match="Expected"):
            Period(kind, start)  # type: ignore[arg-type]


def test_an_axis_of_counts_has_whole_numbers_alone() -> None:
    for value in (0, 1, 2, 3, 9, 10, 11, 99, 101, 12345):
        top = nice_ceiling(float(value), is_whole=True)
        assert top >= value
        assert top % 4 == 0


def test_a_drawing_stands_alone_in_the_colours_of_paper() -> None:
    drawing = standalone(draw(report().sections[0].graphs[0]), "Some Font")
    assert drawing.startswith('<svg xmlns="http://www.w3.org/2000/svg" class="chart"')
    assert "var(" not in drawing
    assert ".series-1 { fill: #2f7ea8; }" in paper_rules()
    for style in ("grid", "axis", *(f"series-{number}" for number in range(1, 9))):
        assert f".{style} {{" in paper_rules(), style


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_letter_of_a_page_stands_out_from_what_is_behind_it(scheme: str) -> None:
    """WCAG 2.2, 1.4.3: a contrast of 4.5 for text; 1.4.11: of 3 for what a chart draws."""
    sheet = (Path(told.__file__).parents[1] / "templates" / "page.css").read_text("utf-8")
    light, _, rest = sheet.partition("@media screen")
    colours = dict(re.findall(r"--([a-z0-9-]+):\s*(#[0-9a-f]{6})", light))
    if scheme == "dark":
        colours |= dict(re.findall(r"--([a-z0-9-]+):\s*(#[0-9a-f]{6})", rest.partition("* {")[0]))
    for ink in ("ink", "soft", "link"):
        for back in ("card", "paper", "faint"):
            assert _contrast(colours[ink], colours[back]) >= 4.5, (ink, back)
    for tone in ("good", "warning"):
        assert _contrast(colours[tone], colours[f"{tone}-back"]) >= 4.5, tone
        # In these tones figures are written large.
        assert _contrast(colours[tone], colours["faint"]) >= 3, tone
    for series in ("s1", "s2", "s3"):
        assert _contrast(colours[series], colours["card"]) >= 3, series


def _contrast(one: str, other: str) -> float:
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_the_command_line_names_every_kind_format_and_period() -> None:
    assert commands.KIND_NAMES == told.KINDS
    assert commands.FORMAT_NAMES == FORMATS
    assert commands.PERIOD_NAMES == PERIOD_TYPES


@needs_browser
def test_a_browser_opens_the_page_without_an_error_and_draws_it(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_bytes(render_html(CASES["five hundred learners"]))
    with browsing(tmp_path) as browser:
        tab = browser.tab()
        tab.look(1000, "light")
        tab.open(page.as_uri())

        assert tab.requests == [page.as_uri()]
        assert tab.complaints == []
        assert len(tab.picture()) > 20_000
