"""Why a row is refused. A problem travels as one byte beside the row; only here it has a reason and a sentence.

No sentence quotes the row: it names the file and the line instead, where a person with access can look.
"""

from __future__ import annotations

from dataclasses import dataclass

from lyceum.records import Reason, Refusal

MAXIMUM_LINE_BYTES = 64 * 1024
MAXIMUM_IDENTIFIER = 10**12
MAXIMUM_DAY_OFFSET = 10_000
MAXIMUM_QUANTITY = 2**31 - 1
MAXIMUM_SCORE = 100


@dataclass(frozen=True, slots=True)
class _Problem:
    reason: Reason
    found: str
    expected: str


_PROBLEMS: list[_Problem | None] = [None]


def _define(reason: Reason, found: str, expected: str) -> int:
    _PROBLEMS.append(_Problem(reason, found, expected))
    return len(_PROBLEMS) - 1


NONE = 0

_REFERENCE_TABLES = ("courses", "assessments", "vle")
_REFERENCE_REMEDY = "Correct it; what refers to it is refused as long as it cannot be read."
_FACT_REMEDY = "Correct it and deliver it in a set without the rows of this table that are collected already."

WRONG_FIELD_COUNT = _define("malformed", "has more or fewer fields than the header", "one field a column")
BAD_QUOTES = _define(
    "malformed", "has a quotation mark that is not closed or not doubled", 'fields such as "a" or a, each on one line'
)
HOLDS_NUL = _define("malformed", "holds a NUL byte", "text")
HOLDS_CARRIAGE_RETURN = _define(
    "malformed", "holds a carriage return before its end", "lines that end with LF or CR LF"
)
NOT_UTF_8 = _define("malformed", "is not UTF-8", "UTF-8 text")
OVERLONG = _define("too_long", f"is longer than {MAXIMUM_LINE_BYTES:,} bytes", "a row of the table")
UNKNOWN_PRESENTATION = _define(
    "invalid", "names a presentation that courses.csv lacks", "a module and presentation of courses.csv"
)
UNKNOWN_ASSESSMENT = _define(
    "invalid", "names an assessment that assessments.csv lacks", "an id_assessment of assessments.csv"
)
UNKNOWN_SITE = _define(
    "invalid",
    "names a site that vle.csv lacks for this presentation",
    "an id_site of vle.csv with the same module and presentation",
)
REPEATED_KEY = _define("invalid", "repeats the key of an earlier row with other values", "one row a key")
BAD_PRESENTATION = _define(
    "invalid",
    "has a code that cannot be understood",
    "a module of letters and digits, and a presentation such as 2013J or 2014B",
)
BAD_ACTIVITY_TYPE = _define("invalid", "has an activity_type of more than 100 characters", "a short name")
UNKNOWN_RESULT = _define("invalid", "has an unknown final_result", "Pass, Distinction, Fail, Withdrawn or ?")


@dataclass(frozen=True, slots=True)
class NumberColumn:
    """A column of whole numbers with the problems that its values can have. The bounds are inclusive."""

    name: str
    least: int
    greatest: int
    missing: int
    not_a_number: int
    out_of_range: int


def _number(name: str, least: int, greatest: int, missing: Reason = "invalid") -> NumberColumn:
    expected = f"a whole number from {least:,} to {greatest:,}"
    return NumberColumn(
        name,
        least,
        greatest,
        missing=_define(missing, f"has no {name}", expected),
        not_a_number=_define("malformed", f"has no number in {name}", expected),
        out_of_range=_define("invalid", f"has a {name} out of range", expected),
    )


ID_STUDENT = _number("id_student", 0, MAXIMUM_IDENTIFIER, missing="missing_actor")
ID_SITE = _number("id_site", 0, MAXIMUM_IDENTIFIER)
ID_ASSESSMENT = _number("id_assessment", 0, MAXIMUM_IDENTIFIER)
DATE = _number("date", -MAXIMUM_DAY_OFFSET, MAXIMUM_DAY_OFFSET, missing="missing_timestamp")
DATE_SUBMITTED = _number("date_submitted", -MAXIMUM_DAY_OFFSET, MAXIMUM_DAY_OFFSET, missing="missing_timestamp")
DATE_REGISTRATION = _number("date_registration", -MAXIMUM_DAY_OFFSET, MAXIMUM_DAY_OFFSET, missing="missing_timestamp")
DATE_UNREGISTRATION = _number(
    "date_unregistration", -MAXIMUM_DAY_OFFSET, MAXIMUM_DAY_OFFSET, missing="missing_timestamp"
)
SUM_CLICK = _number("sum_click", 0, MAXIMUM_QUANTITY)
IS_BANKED = _number("is_banked", 0, 1)
SCORE = _number("score", 0, MAXIMUM_SCORE)
PRESENTATION_LENGTH = _number("module_presentation_length", 1, MAXIMUM_DAY_OFFSET)


def refuse(problem: int, *, ordinal: int, table: str, line: int, byte_length: int) -> Refusal:
    """Return the refusal of one row. `line` counts from 1, the header, in the file that was delivered."""
    known = _PROBLEMS[problem]
    if known is None:
        raise ValueError("problem 0 is none: an accepted row cannot be refused")
    return Refusal(
        ordinal=ordinal,
        reason=known.reason,
        detail=(
            f"Line {line:,} of {table}.csv {known.found}. Expected {known.expected}. "
            f"{_REFERENCE_REMEDY if table in _REFERENCE_TABLES else _FACT_REMEDY}"
        ),
        byte_length=byte_length,
    )
