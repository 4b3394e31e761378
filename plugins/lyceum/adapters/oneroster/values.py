"""The values of one record by the standard's column names, checked. A problem names the column and the rule, never the value."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from functools import lru_cache
from typing import TypeVar

from lyceum.adapters.oneroster.rows import Reason

T = TypeVar("T")

MAXIMUM_IDENTIFIER_CHARACTERS = 255
"""Length of the standard's GUID type."""
_DATE_CHARACTERS = 10
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_USER_ID = re.compile(r"\{([^{}:]*):([^{}]*)\}")
_USER_IDS = re.compile(r"(?:\{[^{}:]*:[^{}]*\}(?:[ \t]*,[ \t]*|$))+")


class RefusedValueError(Exception):
    """A row cannot be used; a `RefusedRow` will say so."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason: Reason = reason
        self.detail = detail


class Columns:
    """Where the columns of one file are, whatever their order and the case of their letters."""

    def __init__(self, header: tuple[str, ...]) -> None:
        self.header = header
        self._positions = {name.casefold(): position for position, name in reversed(list(enumerate(header)))}

    def position(self, name: str) -> int | None:
        """Return the position of a column, None where the file lacks it."""
        return self._positions.get(name.casefold())

    def repeated(self) -> list[str]:
        """Return the names that stand in the header more than once."""
        names = [name.casefold() for name in self.header if name]
        return sorted({name for name in names if names.count(name) > 1})

    def text(self, name: str) -> Callable[[list[str]], str]:
        """Return what reads a column of a record, blank where the file lacks it."""
        position = self.position(name)
        if position is None:
            return _blank
        return lambda fields: fields[position].strip()

    def starting_with(self, prefix: str) -> list[tuple[str, int]]:
        """Return the columns, as delivered, whose names begin with the prefix."""
        return [
            (name, position)
            for position, name in enumerate(self.header)
            if name.casefold().startswith(prefix.casefold()) and len(name) > len(prefix)
        ]


def identifier(text: str, column: str, *, is_required: bool = True) -> str:
    """Return a sourcedId, or a reference to one."""
    if not text:
        if is_required:
            raise RefusedValueError("missing_value", f"{column} is blank. Expected an identifier.")
    elif len(text) > MAXIMUM_IDENTIFIER_CHARACTERS:
        raise RefusedValueError(
            "invalid_value", f"{column} is too long. Expected at most {MAXIMUM_IDENTIFIER_CHARACTERS} characters."
        )
    return text


def identifiers(text: str, column: str) -> tuple[str, ...]:
    """Return the identifiers of a list separated by commas, each once, blanks left out."""
    if not text:
        return ()
    if "," not in text:
        return (identifier(text, column),)
    parts = [part.strip() for part in text.split(",")]
    return tuple(dict.fromkeys(identifier(part, column) for part in parts if part))


def day(text: str, column: str) -> date | None:
    """Return a date, None for a blank. The standard's Date is YYYY-MM-DD (ISO 8601)."""
    if not text:
        return None
    found = _calendar_day(text) if len(text) == _DATE_CHARACTERS else None
    if found is None:
        raise RefusedValueError("invalid_value", f"{column} is no date. Expected YYYY-MM-DD, such as 2026-09-01.")
    return found


def word(text: str, column: str, meanings: Mapping[str, T], *, extension: str | None = None) -> T | None:
    """Return what a word of an enumeration means; None also for an extension, where those are allowed."""
    folded = text.casefold()
    if folded in meanings:
        return meanings[folded]
    if extension is not None and folded.startswith(extension):
        return None
    if not text:
        raise RefusedValueError("missing_value", f"{column} is blank. Expected one of {', '.join(meanings)}.")
    raise RefusedValueError(
        "invalid_value",
        f"{column} is none of the standard's values. Expected one of {', '.join(value for value in meanings if value)}.",
    )


def user_ids(text: str, column: str) -> tuple[tuple[str, str], ...]:
    """Return the pairs of a list such as `{Fed:9000001},{LDAP:jdoe}`; an identifier may hold a colon, a type may not."""
    if not text:
        return ()
    if not _USER_IDS.fullmatch(text):
        raise RefusedValueError(
            "invalid_value", f"{column} is no list of {{type:identifier}}. Expected for example {{Fed:1}},{{SIS:2}}."
        )
    return tuple(dict.fromkeys((kind.strip(), value.strip()) for kind, value in _USER_ID.findall(text)))


@lru_cache(maxsize=4096)
def _calendar_day(text: str) -> date | None:
    if not _DATE.fullmatch(text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _blank(_: list[str]) -> str:
    return ""
