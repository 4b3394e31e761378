"""Statements that say as little as one may, each known by a number."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any


def statement(number: int, at: datetime, **changes: Any) -> dict[str, Any]:
    """Return a statement whose id follows from the number."""
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_OID, str(number))),
        "actor": {"mbox": f"mailto:learner{number % 3}@example.org"},
        "verb": {"id": "http://adlnet.gov/expapi/verbs/experienced"},
        "object": {"id": "https://example.org/page"},
        "timestamp": at.isoformat(),
        **changes,
    }


def statements(numbers: Sequence[int], at: datetime, apart: timedelta = timedelta(minutes=1)) -> list[dict[str, Any]]:
    """Return a statement for each number, one before the other."""
    return [statement(number, at - place * apart) for place, number in enumerate(numbers, 1)]
