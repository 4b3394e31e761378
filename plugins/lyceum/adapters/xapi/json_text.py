"""The thorough reading of JSON: what msgspec accepts silently (repeated keys, NUL, depth) is found and named here."""

from __future__ import annotations

import json
import re
from typing import Any

from lyceum.adapters.xapi.numbers import MAXIMUM_NUMBER_LENGTH, exact_number
from lyceum.adapters.xapi.problems import Problem

MAXIMUM_DEPTH = 64
"""Objects and lists inside one another, the statement itself included."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BRACKETS_AND_STRINGS = re.compile(rb'[\[\]{}]|"(?:[^"\\]++|\\.)*"?', re.DOTALL)
_OPENING = frozenset((b"{", b"["))
_CLOSING = frozenset((b"}", b"]"))


def depth(text: bytes) -> int:
    """Return how many objects and lists lie inside one another, without recursion; brackets in strings do not count."""
    # The number of opening brackets bounds the depth, and counting them is quick.
    if (bound := text.count(b"{") + text.count(b"[")) <= 1:
        return bound
    deepest = level = 0
    for match in _BRACKETS_AND_STRINGS.finditer(text):
        token = match[0]
        if token in _OPENING:
            level += 1
            deepest = max(deepest, level)
        elif token in _CLOSING:
            level -= 1
    return deepest


def is_deeper_than(text: bytes, limit: int) -> bool:
    """Return whether `depth(text) > limit`, quickly where there are few brackets."""
    return text.count(b"{") + text.count(b"[") > limit and depth(text) > limit


def parse(text: bytes) -> Any:
    """Return the value of a JSON text with exact numbers (`exact_number`); a leading byte order mark is left out.

    Raises `Problem`: `malformed` where it is no JSON or no UTF-8, `invalid` where it is JSON that cannot be understood in
    one way only or at all (a property twice in an object, too deep, a number out of range). What can be understood but not
    stored is found by `require_storable`.
    """
    if is_deeper_than(text, MAXIMUM_DEPTH):
        raise Problem("invalid", f"The record nests more than {MAXIMUM_DEPTH} objects and lists.")
    try:
        decoded = text.removeprefix(_BYTE_ORDER_MARK).decode()
    except UnicodeDecodeError as error:
        raise Problem("malformed", f"Byte {error.start + 1} of the record is not UTF-8.") from None
    try:
        return json.loads(
            decoded, object_pairs_hook=_object, parse_float=_number, parse_int=_integer, parse_constant=_constant
        )
    except json.JSONDecodeError as error:
        raise Problem("malformed", f"The record is not JSON: {error.msg} at character {error.pos + 1}.") from None


def require_storable(value: Any) -> None:
    """Raise `Problem` where a text of a JSON value, a property's name included, holds U+0000 or an unpaired surrogate."""
    if isinstance(value, str):
        if "\x00" in value:
            raise Problem("invalid", "A text holds the character U+0000, which PostgreSQL cannot store.")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Problem("invalid", "A text holds an unpaired surrogate, which is no character.") from None
    elif isinstance(value, dict):
        for key, item in value.items():
            require_storable(key)
            require_storable(item)
    elif isinstance(value, list):
        for item in value:
            require_storable(item)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        raise Problem("invalid", "An object has the same property twice; readers disagree on which one counts.")
    return mapping


def _number(text: str) -> Any:
    try:
        return exact_number(text)
    except ValueError:
        raise Problem("invalid", "A number is out of range; expected 0 or 10⁻⁴⁰⁰ … 10³⁰⁸.") from None


def _integer(text: str) -> int:
    if len(text) > MAXIMUM_NUMBER_LENGTH:
        raise Problem("invalid", f"A number has more than {MAXIMUM_NUMBER_LENGTH} digits.")
    return int(text)


def _constant(_: str) -> None:
    raise Problem("malformed", "The record is not JSON: NaN and Infinity are no JSON numbers.")
