"""Graphs along time: a column for each day or period, and a table of the same days or periods beside."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from lyceum.reporting.charts import Column
from lyceum.reporting.people.contents import Graph, Heading, Table, Unit, Value, shown
from lyceum.reporting.people.periods import Period, PeriodType


@dataclass(frozen=True, slots=True)
class Point:
    """What there is to tell of one day or period: how high its column is, a part per series, in words, and its row of the table."""

    values: tuple[int | Decimal, ...]
    words: str
    row: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Drawn:
    """What is drawn along time. `series` are (style, label); `headings` those of the table, without its first column."""

    key: str
    description: str
    series: tuple[tuple[str, str], ...]
    headings: tuple[tuple[str, str, Unit], ...]
    table_key: str
    unit: str = ""
    title: str = ""


def by_day(drawn: Drawn, period: Period, points: Iterable[tuple[date, Point]]) -> Graph:
    """Return the graph of days of a period: weekdays under those of a week, numbers under those of a month."""
    told = list(points)
    columns = tuple(
        _column(f"{day:%a}" if period.type == "week" else f"{day.day}", shown(day, "date"), point)
        for day, point in told
    )
    caption = "One row per day."
    return _graph(drawn, columns, Heading("day", "Day", "date"), caption, [(day, *point.row) for day, point in told])


def by_period(drawn: Drawn, name: PeriodType, points: Iterable[tuple[Period, Point]]) -> Graph:
    """Return the graph of several weeks or months."""
    told = list(points)
    columns = tuple(_column(period.short, period.words, point) for period, point in told)
    caption = f"{drawn.title}: one row per {name}." if drawn.title else f"One row per {name}."
    heading = Heading("period", name.capitalize(), "text")
    return _graph(drawn, columns, heading, caption, [(period.words, *point.row) for period, point in told])


def _column(label: str, words: str, point: Point) -> Column:
    return Column(label, tuple(float(value) for value in point.values), f"{words}: {point.words}")


def _graph(
    drawn: Drawn, columns: tuple[Column, ...], first: Heading, caption: str, rows: Sequence[tuple[Value, ...]]
) -> Graph:
    headings = (first, *(Heading(*heading) for heading in drawn.headings))
    table = Table(drawn.table_key, caption, headings, tuple(rows))
    return Graph(drawn.key, drawn.description, columns, drawn.series, drawn.unit, table, drawn.title, is_trend=True)
