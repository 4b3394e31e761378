"""Whole numbers as OULAD writes them."""

from __future__ import annotations

import re

from lyceum.adapters.oulad.problems import NONE, NumberColumn

_WHOLE_NUMBER = re.compile(r"[ \t]*(-?)([0-9]+)[ \t]*")
_MISSING = ("", "?")
_INT64 = 2**63
_PLAIN_DIGITS = 18


def parse_number(column: NumberColumn, text: str) -> tuple[int, int]:
    """Return a number and `NONE`, or 0 and the problem. The number may be out of the column's range, never of 64 bits.

    Accepts exactly what the vectorized reader accepts: ASCII digits, a minus sign, blanks around.
    """
    if len(text) <= _PLAIN_DIGITS and text.isascii() and text.isdigit():
        return int(text), NONE
    if text in _MISSING:
        return 0, column.missing
    match = _WHOLE_NUMBER.fullmatch(text)
    if match is None:
        return 0, column.not_a_number
    # int() of thousands of digits is slow, and 19 hold every number of 64 bits.
    digits = match[2].lstrip("0") or "0"
    number = int(match[1] + digits[:20])
    return max(-_INT64, min(_INT64 - 1, number)), NONE


def read_number(column: NumberColumn, text: str) -> tuple[int, int]:
    """Return a number in the column's range and `NONE`, or 0 and the problem."""
    number, problem = parse_number(column, text)
    if problem:
        return 0, problem
    if not column.least <= number <= column.greatest:
        return 0, column.out_of_range
    return number, NONE
