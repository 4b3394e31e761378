"""JSON as a verifier reads it: one reading or none.

Two readers that disagree about a text are how a token comes to mean one thing to whoever checks it and another to whoever
uses it; so what the standard leaves open (a key twice, NaN, broken Unicode) is refused.
"""

from __future__ import annotations

import json
from typing import NoReturn

from lyceum.security.tokens.errors import Refusal, TokenError


def parse_object(data: bytes, what: str) -> dict[str, object]:
    """Return a JSON object. `what` names the text in messages. Raises `TokenError` (`malformed`, `duplicate_key`)."""
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_without_duplicates, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise TokenError(Refusal.MALFORMED, f"{what} is no JSON. Expected an object in UTF-8.") from None
    if not isinstance(value, dict):
        raise TokenError(Refusal.MALFORMED, f"{what} is JSON, but no object.")
    return value


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise TokenError(Refusal.DUPLICATE_KEY, "A key stands twice in one object. Expected each once.")
    return found


def _no_constant(_: str) -> NoReturn:
    raise ValueError
