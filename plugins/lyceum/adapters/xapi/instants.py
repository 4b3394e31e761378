"""Timestamps: RFC 3339 (xAPI 2.0) and the ISO 8601 spellings of xAPI 1.0.3 that name an offset, as instants in UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from lyceum.adapters.xapi.problems import Problem

_TIMESTAMP = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:[.,][0-9]+)?"
    r"(?:[Zz]|[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?)"
)
_WITHOUT_OFFSET = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[Tt ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?)?")
_LEAP_SECOND = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:60(?:[.,][0-9]+)?(?:[Zz]|[+-][0-9:]+)")
_FIRST = datetime(1, 1, 2, tzinfo=UTC)
_LAST = datetime(9999, 12, 30, tzinfo=UTC)
_EXPECTED = "Expected RFC 3339 with an offset, for example 2026-11-22T12:00:00.000Z."


def instant(text: str) -> datetime:
    """Return the instant that a timestamp names, in UTC; digits beyond the microsecond are cut off.

    A day is kept free at both ends of the years 1 … 9999, so that every time zone can show the instant.
    Raises `Problem` where the timestamp names none: no offset, a leap second, a date that does not exist.
    """
    if _TIMESTAMP.fullmatch(text) is None:
        raise Problem("invalid", _explanation(text))
    try:
        value = datetime.fromisoformat(text)
        if value.tzinfo is not UTC:
            value = value.astimezone(UTC)
    except ValueError:
        return _in_capitals(text)
    except OverflowError:
        raise Problem("invalid", f"The timestamp lies outside the years 1 … 9999 in UTC. {_EXPECTED}") from None
    if not _FIRST <= value < _LAST:
        raise Problem("invalid", f"The timestamp lies outside the years 1 … 9999 in UTC. {_EXPECTED}")
    return value


def _in_capitals(text: str) -> datetime:
    if text != text.upper():
        return instant(text.upper())
    raise Problem("invalid", f"The timestamp names a day that does not exist. {_EXPECTED}")


def _explanation(text: str) -> str:
    if _LEAP_SECOND.fullmatch(text):
        return f"The timestamp names a leap second (:60), which the warehouse cannot store. {_EXPECTED}"
    if _WITHOUT_OFFSET.fullmatch(text):
        return f"The timestamp has no offset, so its instant is unknown. {_EXPECTED}"
    return f"The timestamp cannot be read. {_EXPECTED}"
