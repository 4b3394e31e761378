"""What all pages share: the templates, how instants and numbers are said, and a drawing with its numbers beside it."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
)
"""What a page may do: show itself. No script runs and nothing is fetched."""


@dataclass(frozen=True, slots=True)
class Series:
    """An entry of a legend."""

    style: str
    label: str
    total: float


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing with its legend, and the same numbers as a table."""

    drawing: Markup
    series: tuple[Series, ...]
    table_head: tuple[str, ...]
    table_rows: tuple[tuple[str, ...], ...]


@functools.cache
def environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., object]] = {
        "instant": _instant,
        "number": lambda value: f"{value:,}",
        "plural": lambda number, one, many=None: (
            f"{number:,} {one}" if number == 1 else f"{number:,} {many or one + 's'}"
        ),
        "age": _age,
        "ago": lambda value, as_of: _age(value, as_of).replace(" before", " ago"),
        "prose": prose,
        "bytes": byte_words,
        "duration": duration_words,
        "lasting": lasting,
        "words": lambda name: str(name).replace("_", " "),
        "key": _key,
    }
    made.filters.update(filters)
    return made


def prose(text: str) -> Markup:
    """Return a sentence whose words in backticks are code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 (escaped)


def _instant(value: datetime | None) -> Markup:
    if value is None:
        return Markup("–")
    utc = value.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(
        utc.strftime("%Y-%m-%dT%H:%M:%SZ"), f"{utc:%Y-%m-%d %H:%M} UTC"
    )


def _age(value: datetime | None, as_of: datetime) -> str:
    """Say how long before the report's clock an instant lies, in its largest unit."""
    if value is None:
        return "never"
    seconds = (as_of - value).total_seconds()
    if seconds < 60:
        return "just now"
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            number = int(seconds // size)
            return f"{number} {unit}{'' if number == 1 else 's'} before"
    raise AssertionError("a minute or more is some minutes")


def _key(key: Mapping[str, Any]) -> str:
    """Return a key of a row at fault as one line."""
    return ", ".join(f"{name} {value if isinstance(value, str) else json.dumps(value)}" for name, value in key.items())


def byte_words(value: float | None) -> str:
    """Say a number of bytes as people read it: 950 B, 1.2 kB, 40 MB."""
    if value is None:
        return "–"
    for size, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= size:
            return f"{value / size:.1f}".removesuffix(".0") + f" {unit}"
    return f"{value:.0f} B"


def duration_words(seconds: float | None) -> str:
    """Say a duration in its two largest units: 0.4 s, 12 s, 3 min 5 s, 2 h 10 min."""
    if seconds is None:
        return "–"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def lasting(text: str) -> str:
    """Say an interval as PostgreSQL prints it in words: `24:00:00` is 24 hours, `7 years` stays, `1 mon` is 1 month."""
    if match := re.fullmatch(r"(\d+):00:00", text):
        return f"{int(match[1])} hour{'' if int(match[1]) == 1 else 's'}"
    return re.sub(r"\bmon(s?)\b", r"month\1", text)
