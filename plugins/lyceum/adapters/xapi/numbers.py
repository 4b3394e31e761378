"""Exact numbers: a JSON number as the value that its spelling states, and the video profile's segments and lengths.

The canonical value of a JSON number depends on its exact decimal value alone, never on its spelling: an `int` where it is
whole, else the `float` whose shortest spelling states it exactly, else a `Decimal`.
"""

from __future__ import annotations

import re
from decimal import Clamped, Context, Decimal, Inexact, InvalidOperation, Overflow, Subnormal, Underflow
from functools import lru_cache

MAXIMUM_NUMBER_LENGTH = 4300
"""Characters of one number; also what Python converts to an integer by default."""
_MAXIMUM_EXPONENT = 308
_MINIMUM_EXPONENT = -400
_EXACT_LENGTH = 16
"""A fraction of at most this many characters has at most 15 significant digits, so its double states it exactly."""
_WHOLE_BELOW = 1e15
_SMALLEST_SURE = 1e-300
_BELOW = 10**9
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_MAXIMUM_SEGMENT_LENGTH = 400
# Nearly every segment; its numbers are positive and below 10⁹ by their form.
_PLAIN_SEGMENT = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,20})?)\[\.\]([0-9]{1,9}(?:\.[0-9]{1,20})?)")

_WIDE = Context(
    prec=MAXIMUM_NUMBER_LENGTH,
    Emax=999_999,
    Emin=-999_999,
    traps=[InvalidOperation, Overflow, Underflow, Subnormal, Clamped, Inexact],
)

type_of_number = (int, float, Decimal)


def exact_number(text: str) -> int | float | Decimal:
    """Return the canonical value of a JSON number that is spelled with a fraction or an exponent.

    Raises `ValueError` where the number is not below 10³⁰⁹, has digits below 10⁻⁴⁰⁰ or more than 4,300 characters.
    """
    if len(text) <= _EXACT_LENGTH:
        value = float(text)
        if _SMALLEST_SURE < value < _WHOLE_BELOW or -_WHOLE_BELOW < value < -_SMALLEST_SURE:
            return int(value) if value.is_integer() else value
    return _exact_number_of_any_length(text)


def _exact_number_of_any_length(text: str) -> int | float | Decimal:
    if len(text) > MAXIMUM_NUMBER_LENGTH:
        raise ValueError("number too long")
    try:
        exact = _WIDE.create_decimal(text)
    except ArithmeticError:
        raise ValueError("number out of range") from None
    if not exact:
        return 0
    exact = exact.normalize(_WIDE)
    if not _MINIMUM_EXPONENT <= exact.adjusted() <= _MAXIMUM_EXPONENT:
        raise ValueError("number out of range")
    if exact == exact.to_integral_value():
        return int(exact)
    value = float(text)
    return value if Decimal(repr(value)) == exact else exact


@lru_cache(maxsize=8192, typed=True)
def as_decimal(value: float | Decimal) -> Decimal:
    """Return the exact decimal of a canonical value (`exact_number`). Remembers, because lengths and scores repeat."""
    if isinstance(value, Decimal):
        return value
    return Decimal(repr(value))


def video_length(value: object) -> Decimal | None:
    """Return a stated length in seconds, None where it is not a positive finite number below 10⁹."""
    if type(value) in type_of_number and 0 < value < _BELOW:  # type: ignore[operator]
        return as_decimal(value)
    return None


def scaled_score(value: object) -> Decimal | None:
    """Return a scaled score, None where it is not a number in [-1, 1]."""
    if type(value) in type_of_number and -1 <= value <= 1:  # type: ignore[operator]
        return as_decimal(value)
    return None


def segment(text: str) -> tuple[Decimal, Decimal] | None:
    """Return one played segment `start[.]end` in seconds; None where docs/metrics.md ignores it.

    Numbers are decimal digits with an optional sign, fraction and exponent; blanks around them do not matter. A segment
    of more than 400 characters, or with digits below 10⁻⁴⁰⁰, is ignored too.
    """
    if (plain := _PLAIN_SEGMENT.fullmatch(text)) is not None:
        pair = (Decimal(plain[1]), Decimal(plain[2]))
        return pair if pair[1] > pair[0] else None
    if len(text) > _MAXIMUM_SEGMENT_LENGTH:
        return None
    start_text, separator, end_text = text.partition("[.]")
    if not separator:
        return None
    start, end = _segment_number(start_text), _segment_number(end_text)
    if start is None or end is None or end <= start:
        return None
    return start, end


def _segment_number(text: str) -> Decimal | None:
    text = text.strip(" \t\r\n")
    if _NUMBER.fullmatch(text) is None:
        return None
    try:
        value = _WIDE.create_decimal(text)
    except ArithmeticError:
        return None
    if not value:
        return Decimal(0)
    return value if value.adjusted() >= _MINIMUM_EXPONENT and abs(value) < _BELOW else None
