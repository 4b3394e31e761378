"""Shorthand for the statements and records that hand-computed cases are made of."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from oracle.calendars import Calendar
from oracle.statements import Record

BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)


def calendar(zone: str = "UTC") -> Calendar:
    """The calendar of an organization that never moved."""
    return Calendar(((BEGINNING, zone),))


def instant(text: str) -> datetime:
    """`2026-03-01 10:00` in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def record(text: str, kind: str = "viewed", target: str = "page", **changes: Any) -> Record:
    """One event of the learner `ann` in the course `c1`."""
    made = Record(
        event_id=str(uuid.uuid4()),
        statement={},
        occurred_at=instant(text),
        learner="ann",
        kind=kind,
        object=target,
        course="c1",
    )
    return replace(made, **changes)


def watched(text: str, *segments: tuple[str, str], length: str | None = None, **changes: Any) -> Record:
    """One `paused` event of the video `film`."""
    stated: dict[str, Any] = {
        "kind": "paused",
        "target": "film",
        "is_video": True,
        "length": None if length is None else Fraction(length),
        "segments": tuple((Fraction(start), Fraction(end)) for start, end in segments),
    }
    return record(text, **(stated | changes))


def statement(
    timestamp: str, verb: str = "http://adlnet.gov/expapi/verbs/experienced", **changes: Any
) -> dict[str, Any]:
    """One conformant statement; a change of None removes the property."""
    made = {
        "id": str(uuid.uuid4()),
        "actor": {"mbox": "mailto:ann@example.org"},
        "verb": {"id": verb},
        "object": {"id": "https://example.org/page"},
        "timestamp": timestamp,
    } | changes
    return {name: value for name, value in made.items() if value is not None}
