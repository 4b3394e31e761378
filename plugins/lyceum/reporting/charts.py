"""Charts as inline SVG: no script, no network, readable in the dark, in print and by a screen reader.

Colours come from the page's style sheet by class, so that one drawing serves light, dark and print. No chart speaks by
colour alone: marks differ in shape, columns carry their numbers as titles, and pages show the numbers as a table beside.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

_WIDTH, _HEIGHT = 1000, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 8, 10, 26
_MOST_LABELS = 15


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a chart: a part of `values` per series, `title` is its text when pointed at."""

    label: str
    values: tuple[float, ...]
    title: str


@dataclass(frozen=True, slots=True)
class Mark:
    """One cell of a strip: `kind` (met, info, warning, critical, none) chooses shape and colour."""

    kind: str
    title: str


@dataclass(frozen=True, slots=True)
class Strip:
    """One row of marks, the newest to the right, and what is said beside the newest."""

    label: str
    marks: tuple[Mark, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """One partition in a lane: `kind` (kept, held, expired, ahead) chooses shape and colour, `size` how high it is."""

    kind: str
    size: float
    title: str


@dataclass(frozen=True, slots=True)
class Lane:
    """The partitions of one table, the oldest to the left; `first` and `last` name the ends of its time."""

    label: str
    note: str
    first: str
    last: str
    cells: tuple[Cell, ...]


def stacked_columns(
    columns: Sequence[Column],
    classes: Sequence[str],
    description: str,
    unit: str = "",
    width: int = _WIDTH,
    *,
    is_whole: bool = False,
) -> Markup:
    """Draw columns stacked from the bottom in the order of `classes`, which name the series' styles.

    `description` is what a screen reader says in place of the drawing. A narrower `width` makes letters greater where the
    drawing fills its place. `is_whole` labels the axis with whole numbers alone, where half of one means nothing.
    """
    top = nice_ceiling(max((sum(column.values) for column in columns), default=0.0), is_whole=is_whole)
    plot_width, plot_height = width - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    step = plot_width / max(len(columns), 1)
    bar = max(min(step * 0.78, 42.0), 1.0)
    parts: list[Markup] = []
    for tick in range(5):
        value = top * tick / 4
        y = _TOP + plot_height * (1 - tick / 4)
        parts.append(
            Markup('<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(_LEFT, width - _RIGHT, _n(y), _n(y))
        )
        parts.append(
            Markup('<text class="axis" x="{}" y="{}" text-anchor="end">{}</text>').format(
                _LEFT - 6, _n(y + 3.5), short(value) + unit
            )
        )
    labelled = max(math.ceil(len(columns) / _MOST_LABELS), 1)
    for index, column in enumerate(columns):
        middle = _LEFT + step * (index + 0.5)
        bars: list[Markup] = []
        y = float(_TOP + plot_height)
        for value, style in zip(column.values, classes, strict=True):
            if value <= 0:
                continue
            # What is there is seen, however little it is beside the rest.
            height = max(plot_height * value / top, 1.0)
            y -= height
            bars.append(
                Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>').format(
                    style, _n(middle - bar / 2), _n(y), _n(bar), _n(height)
                )
            )
        if bars:
            parts.append(Markup("<g><title>{}</title>{}</g>").format(column.title, Markup("").join(bars)))
        # Counted from the right: the newest column always has its label.
        if (len(columns) - 1 - index) % labelled == 0:
            parts.append(
                Markup('<text class="axis" x="{}" y="{}" text-anchor="middle">{}</text>').format(
                    _n(middle), _HEIGHT - 8, column.label
                )
            )
    return _drawing(width, _HEIGHT, description, parts)


def strips(rows: Sequence[Strip], description: str) -> Markup:
    """Draw one row of marks per strip: a tick for met, triangles and crosses for what was not, a dot where nothing was told."""
    cell, gutter = 14, max([176, *(7 * len(row.label) + 8 for row in rows)])
    widest = max((len(row.marks) for row in rows), default=0)
    parts = []
    for position, row in enumerate(rows):
        y = 8 + position * 24
        parts.append(
            Markup('<text class="label" x="{}" y="{}" text-anchor="end">{}</text>').format(
                gutter - 8, y + 11, row.label
            )
        )
        offset = widest - len(row.marks)
        for index, mark in enumerate(row.marks):
            x = gutter + (offset + index) * cell
            parts.append(
                Markup('<g class="{}" transform="translate({},{})"><title>{}</title>{}</g>').format(
                    f"mark {mark.kind}", x, y, mark.title, _SHAPES[mark.kind]
                )
            )
        if row.note:
            parts.append(
                Markup('<text class="axis" x="{}" y="{}">{}</text>').format(
                    gutter + widest * cell + 10, y + 11, row.note
                )
            )
    beside = 6 * max((len(row.note) for row in rows), default=0)
    return _drawing(gutter + max(widest, 1) * cell + 8 + beside, 12 + 24 * max(len(rows), 1), description, parts)


def lanes(rows: Sequence[Lane], description: str) -> Markup:
    """Draw one lane of columns per table: a column is as high as the root of its size beside the greatest of its lane.

    What is held wears a triangle, what has expired a cross, what is made ahead is an outline.
    """
    gutter, tall, high = 232, 58, 28
    width = _WIDTH
    parts: list[Markup] = []
    for position, row in enumerate(rows):
        base = 36 + position * tall
        parts.append(
            Markup('<text class="label" x="{}" y="{}" text-anchor="end">{}</text>').format(
                gutter - 12, base - 10, row.label
            )
            + Markup('<text class="axis" x="{}" y="{}" text-anchor="end">{}</text>').format(
                gutter - 12, base + 4, row.note
            )
            + Markup('<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(gutter, width - _RIGHT, base, base)
        )
        if not row.cells:
            continue
        step = min((width - gutter - _RIGHT) / len(row.cells), 40.0)
        bar = max(step - 2, 1.0)
        top = max([cell.size for cell in row.cells]) or 1.0
        for index, cell in enumerate(row.cells):
            x, height = gutter + index * step, max(high * math.sqrt(max(cell.size, 0.0) / top), 2.0)
            parts.append(
                Markup('<g class="cell {}"><title>{}</title><rect x="{}" y="{}" width="{}" height="{}"/>{}</g>').format(
                    cell.kind,
                    cell.title,
                    _n(x),
                    _n(base - height),
                    _n(bar),
                    _n(height),
                    _above(cell.kind, x + bar / 2, base - height - 2),
                )
            )
        parts.append(
            Markup('<text class="axis" x="{}" y="{}">{}</text>').format(gutter, base + 14, row.first)
            + Markup('<text class="axis" x="{}" y="{}" text-anchor="end">{}</text>').format(
                _n(max(gutter + len(row.cells) * step, gutter + 150)), base + 14, row.last
            )
        )
    return _drawing(width, 8 + tall * max(len(rows), 1), description, parts)


def _above(kind: str, middle: float, y: float) -> Markup:
    """Return what a cell wears on its head, so that colour is not all that tells it apart."""
    if kind == "held":
        return Markup('<path d="M{} {} l4 -6 l-8 0 Z"/>').format(_n(middle), _n(y))
    if kind == "expired":
        return Markup('<path class="cross" d="M{} {} l5 -5 m-5 0 l5 5"/>').format(_n(middle - 2.5), _n(y))
    return Markup("")


def sparkline(values: Sequence[float], description: str) -> Markup:
    """Draw a few values as small columns, the newest to the right and stronger."""
    top = max([*values, 0.0]) or 1.0
    step = 6
    parts = []
    for index, value in enumerate(values):
        height = max(18 * value / top, 1.5) if value > 0 else 1
        style = "nothing" if value <= 0 else "newest" if index == len(values) - 1 else "past"
        parts.append(
            Markup('<rect class="{}" x="{}" y="{}" width="4" height="{}"/>').format(
                style, index * step, _n(20 - height), _n(height)
            )
        )
    return Markup(
        '<svg class="spark" role="img" width="{0}" height="20" viewBox="0 0 {0} 20" aria-label="{1}">{2}</svg>'
    ).format(max(len(values), 1) * step, description, Markup("").join(parts))


def nice_ceiling(value: float, *, is_whole: bool = False) -> float:
    """Return the least of 1, 2, 2.5 and 5 times a power of ten, times four equal ticks, that is not below the value.

    Four ticks of it are numbers that people read: 40 → 0, 10, 20, 30, 40. With `is_whole` they are whole numbers.
    """
    if value <= 0:
        return 4.0
    quarter = max(value / 4, 1.0) if is_whole else value / 4
    power = 10.0 ** math.floor(math.log10(quarter))
    for factor in (1.0, 2.0, 2.5, 5.0, 10.0):
        if factor * power >= quarter * (1 - 1e-9) and not (is_whole and factor * power % 1):
            return 4 * factor * power
    raise AssertionError("ten times the power of ten is above every quarter")


def short(value: float) -> str:
    """Return a number as an axis shows it: 950, 1.2 k, 40 k, 7.2 M."""
    for size, suffix in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:.1f}".removesuffix(".0") + suffix
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _drawing(width: int, height: int, description: str, parts: Sequence[Markup]) -> Markup:
    return Markup(
        '<svg class="chart" role="img" viewBox="0 0 {} {}" style="max-width:{}px" aria-label="{}">{}</svg>'
    ).format(width, height, width, description, Markup("").join(parts))


def _n(value: float) -> Markup:
    return escape(f"{value:.1f}".removesuffix(".0"))


# In a box of 10 by 14, centred: what differs in colour differs in shape.
_SHAPES = {
    "met": Markup('<rect x="1" y="3" width="9" height="9" rx="2"/>'),
    "info": Markup('<circle cx="5.5" cy="7.5" r="4.5"/>'),
    "warning": Markup('<path d="M5.5 2 L11 12 L0 12 Z"/>'),
    "critical": Markup('<path d="M1 3 L10 12 M10 3 L1 12"/>'),
    "none": Markup('<circle cx="5.5" cy="7.5" r="1.2"/>'),
}
