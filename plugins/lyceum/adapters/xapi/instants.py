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
_FIRST_YEAR, _LAST_YEAR = 2, 9998
_EXPECTED = "Expected RFC 3339 with an offset, for example 2026-11-22T12:00:00.000Z."
_OUT_OF_RANGE = f"The timestamp lies outside the years {_FIRST_YEAR} … {_LAST_YEAR} in UTC. {_EXPECTED}"


def instant(text: str) -> datetime:
    """Return the instant that a timestamp names, in UTC; digits beyond the microsecond are cut off.

    A year is kept free at both ends of what Python can name, so that every time zone can show the instant.
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
        raise Problem("invalid", _OUT_OF_RANGE) from None
    if _FIRST_YEAR <= value.year <= _LAST_YEAR:
        return value
    raise Problem("invalid", _OUT_OF_RANGE)


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
