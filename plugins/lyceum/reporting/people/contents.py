"""What a report says, computed once: HTML, PDF, CSV and Parquet are written from it, so that all of them say the same numbers.

Values are exact as published; `shown` is the one place that rounds them for people.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal, TypeAlias

from lyceum.reporting.charts import Column
from lyceum.reporting.people.periods import Period

Kind: TypeAlias = Literal["learner", "trainer", "organization"]
KINDS: tuple[Kind, ...] = ("learner", "trainer", "organization")

Unit: TypeAlias = Literal["count", "days", "seconds", "share", "change", "difference", "score", "date", "text"]
"""`seconds` of work, `share` of a whole from 0 to 1, relative `change` and absolute `difference` against the period before, a mean
scaled `score` from -1 to 1."""

Value: TypeAlias = int | Decimal | date | str | None

NOTHING = "–"
_LETTERS_OF_A_PHONE = 48


@dataclass(frozen=True, slots=True)
class Figure:
    """One number with its name. `key` names it for programs; `beside` is a second one in smaller print, such as its change."""

    key: str
    label: str
    value: Value
    unit: Unit
    beside: Figure | None = None
    tone: Literal["", "good", "warning"] = ""


@dataclass(frozen=True, slots=True)
class Heading:
    """The head of a table's column; the first column names its rows."""

    key: str
    label: str
    unit: Unit


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of values under their headings; `caption` says what a row is."""

    key: str
    caption: str
    headings: tuple[Heading, ...]
    rows: tuple[tuple[Value, ...], ...]
    tones: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Graph:
    """Stacked columns, told in words for those who do not see them, and as a table of the same numbers beside.

    `series` are (style, label). `unit` is that of the axis. `title` stands above where a section has several. `is_trend`: its columns
    are days or periods, the newest to the right.
    """

    key: str
    description: str
    columns: tuple[Column, ...]
    series: tuple[tuple[str, str], ...]
    unit: str
    table: Table
    title: str = ""
    is_trend: bool = False

    @property
    def fits_a_phone(self) -> bool:
        """Whether the labels of its columns have room beside each other where all of it is as wide as a phone."""
        return len(self.columns) * max((len(column.label) for column in self.columns), default=0) <= _LETTERS_OF_A_PHONE


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a report under a heading. `lead` says in a sentence what it shows."""

    key: str
    title: str
    lead: str
    figures: tuple[Figure, ...] = ()
    graphs: tuple[Graph, ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """What the numbers were read from: the organization, its published version, and the last day that counts as a whole."""

    organization_id: int
    organization: str
    data_version: int
    data_as_of: datetime
    closed_through: date
    first_activity_on: date


@dataclass(frozen=True, slots=True)
class Contents:
    """One report. `owner_user_id` is None for that of an organization; `headline` is its one sentence.
    `people` are the others that it tells of by themselves.
    """

    kind: Kind
    owner_user_id: int | None
    title: str
    period: Period
    source: Source
    headline: str
    sections: tuple[Section, ...]
    notes: tuple[str, ...] = ()
    people: frozenset[int] = frozenset()

    @property
    def is_complete(self) -> bool:
        """Whether every day of the period is closed."""
        return self.period.end <= self.source.closed_through

    @property
    def told_on(self) -> date:
        """The last day of the period that is closed."""
        return min(self.period.end, self.source.closed_through)


def shown(value: Value, unit: Unit) -> str:
    """Return a value as people read it; a dash where there is none."""
    if value is None:
        return NOTHING
    if isinstance(value, str):
        return value
    if isinstance(value, date):
        return f"{value.day} {value:%b %Y}"
    match unit:
        case "seconds":
            return _duration(value)
        case "share" | "score":
            return f"{_rounded(value * 100, 1)}\u00a0%"
        case "change":
            return _signed(_rounded(Decimal(value) * 100, 1)) + "\u00a0%"
        case "difference":
            return _signed(f"{value:,}")
        case "days":
            return f"{value:,} {'day' if value == 1 else 'days'}"
        case _:
            return f"{value:,}"


def change(value: int | Decimal | None, before: int | Decimal | None) -> Decimal | None:
    """Return the relative change, to six digits as every published quotient; None from nothing or from zero."""
    if value is None or not before:
        return None
    return quotient(Decimal(value) - Decimal(before), before)


def quotient(numerator: int | Decimal | None, denominator: int | Decimal | None) -> Decimal | None:
    """Return a quotient as docs/metrics.md rounds them: six digits, half away from zero; None without a denominator."""
    if numerator is None or not denominator:
        return None
    return (Decimal(numerator) / Decimal(denominator)).quantize(Decimal("0.000001"), ROUND_HALF_UP)


def plural(number: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun."""
    return f"{number:,} {one}" if number == 1 else f"{number:,} {many or one + 's'}"


def _duration(seconds: int | Decimal) -> str:
    """Return a time on task in hours and whole minutes, rounded half up."""
    minutes = int((Decimal(seconds) / 60).quantize(Decimal(1), ROUND_HALF_UP))
    hours, rest = divmod(minutes, 60)
    if not hours:
        return f"{rest} min"
    return f"{hours:,} h {rest} min" if rest else f"{hours:,} h"


def _rounded(value: int | Decimal, digits: int) -> str:
    rounded = Decimal(value).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    return f"{rounded:,f}".rstrip("0").rstrip(".") if rounded else "0"


def _signed(text: str) -> str:
    if text.startswith("-"):
        return f"−{text[1:]}"
    return text if text == "0" else f"+{text}"
