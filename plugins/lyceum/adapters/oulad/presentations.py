"""What courses.csv, assessments.csv and vle.csv say: the presentations, and what the facts refer to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
from numpy.typing import NDArray

from lyceum.adapters.oulad.csv_table import CsvTable, OverlongLine, Row, digest_of, read_rows
from lyceum.adapters.oulad.delivery import Delivery
from lyceum.adapters.oulad.numbers import read_number
from lyceum.adapters.oulad.problems import (
    BAD_ACTIVITY_TYPE,
    BAD_PRESENTATION,
    ID_ASSESSMENT,
    ID_SITE,
    NONE,
    OVERLONG,
    PRESENTATION_LENGTH,
    REPEATED_KEY,
    UNKNOWN_PRESENTATION,
)
from lyceum.errors import InputError

MAXIMUM_PRESENTATIONS = 10_000
MAXIMUM_REFERENCES = 200_000
"""Rows of assessments.csv, and of vle.csv: they are held in memory. The full dataset has 206 and 6,364."""

_MODULE = re.compile(r"[A-Za-z0-9]{1,32}")
_PRESENTATION = re.compile(r"((?:19|20|21)[0-9]{2})([BJ])")
_START_MONTH = {"B": 2, "J": 10}
_MAXIMUM_ACTIVITY_TYPE = 100
_MISSING = ("", "?")


@dataclass(frozen=True, slots=True, eq=False)
class Presentation:
    """One presentation of a module. `sites` are the ids of vle.csv in rising order, `activity_types` beside them."""

    module: str
    code: str
    starts_on: date
    length_days: int
    sites: NDArray[np.int64] = field(repr=False)
    activity_types: tuple[str | None, ...] = field(repr=False)

    @property
    def name(self) -> str:
        """`AAA-2013J`."""
        return f"{self.module}-{self.code}"

    @property
    def course(self) -> str:
        """The activity id of the course."""
        return f"urn:oulad:course:{self.name}"


@dataclass(frozen=True, slots=True)
class UnreadableRow:
    """A row of these three tables that says nothing usable."""

    table: str
    line: int
    digest: bytes
    byte_length: int
    problem: int


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every presentation, and where each one and each assessment is found."""

    presentations: tuple[Presentation, ...]
    by_code: dict[tuple[str, str], int]
    by_assessment: dict[int, int]
    unreadable: tuple[UnreadableRow, ...]


@dataclass(slots=True)
class _Reading:
    keys: dict[tuple[str, str], int] = field(default_factory=dict)
    starts: list[date] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    assessments: dict[int, int] = field(default_factory=dict)
    sites: list[dict[int, str | None]] = field(default_factory=list)
    unreadable: list[UnreadableRow] = field(default_factory=list)


def read_catalogue(delivery: Delivery) -> Catalogue:
    """Read the three tables. A row that cannot be used is kept as unreadable; whatever refers to it is refused later.

    Raises `InputError` when a table has no header or more rows than fit the bounds above.
    """
    reading = _Reading()
    for table, columns, maximum, read_row in _REFERENCE_TABLES:
        for row in _rows(delivery, table, columns, maximum, reading):
            problem = row.problem or read_row(reading, row.fields)
            if problem:
                reading.unreadable.append(UnreadableRow(table, row.line, digest_of(row.raw), len(row.raw), problem))
    return Catalogue(
        presentations=tuple(_presentations(reading)),
        by_code=reading.keys,
        by_assessment=reading.assessments,
        unreadable=tuple(reading.unreadable),
    )


def _presentations(reading: _Reading) -> Iterator[Presentation]:
    for (module, code), index in reading.keys.items():
        sites = sorted(reading.sites[index].items())
        yield Presentation(
            module=module,
            code=code,
            starts_on=reading.starts[index],
            length_days=reading.lengths[index],
            sites=np.array([site for site, _ in sites], np.int64),
            activity_types=tuple([activity_type for _, activity_type in sites]),
        )


def _rows(delivery: Delivery, table: str, columns: tuple[str, ...], maximum: int, reading: _Reading) -> Iterator[Row]:
    count = 0
    with delivery.open(table) as stream:
        csv_table = CsvTable(stream, table, columns)
        for block in csv_table.blocks():
            if isinstance(block, OverlongLine):
                reading.unreadable.append(UnreadableRow(table, block.line, digest_of(b""), block.byte_length, OVERLONG))
                count += 1
                continue
            for row in read_rows(csv_table, block.data, block.first_line):
                count += 1
                if count > maximum:
                    raise InputError(
                        f"{stream.description} has more than {maximum:,} rows. Expected the reference data of one OULAD set, "
                        "which is held in memory. Deliver fewer presentations in one set."
                    )
                yield row


def _read_course(reading: _Reading, fields: Sequence[str]) -> int:
    module, code, length_text = fields
    year_and_term = _PRESENTATION.fullmatch(code)
    if year_and_term is None or not _MODULE.fullmatch(module):
        return BAD_PRESENTATION
    length, problem = read_number(PRESENTATION_LENGTH, length_text)
    if problem:
        return problem
    known = reading.keys.get((module, code))
    if known is not None:
        return NONE if reading.lengths[known] == length else REPEATED_KEY
    reading.keys[module, code] = len(reading.keys)
    reading.starts.append(date(int(year_and_term[1]), _START_MONTH[year_and_term[2]], 1))
    reading.lengths.append(length)
    reading.sites.append({})
    return NONE


def _read_assessment(reading: _Reading, fields: Sequence[str]) -> int:
    module, code, assessment_text = fields
    presentation = reading.keys.get((module, code))
    if presentation is None:
        return UNKNOWN_PRESENTATION
    assessment, problem = read_number(ID_ASSESSMENT, assessment_text)
    if problem:
        return problem
    return NONE if reading.assessments.setdefault(assessment, presentation) == presentation else REPEATED_KEY


def _read_site(reading: _Reading, fields: Sequence[str]) -> int:
    module, code, site_text, type_text = fields
    presentation = reading.keys.get((module, code))
    if presentation is None:
        return UNKNOWN_PRESENTATION
    site, problem = read_number(ID_SITE, site_text)
    if problem:
        return problem
    if len(type_text) > _MAXIMUM_ACTIVITY_TYPE:
        return BAD_ACTIVITY_TYPE
    activity_type = None if type_text in _MISSING else type_text
    return NONE if reading.sites[presentation].setdefault(site, activity_type) == activity_type else REPEATED_KEY


_REFERENCE_TABLES: tuple[tuple[str, tuple[str, ...], int, Callable[[_Reading, Sequence[str]], int]], ...] = (
    (
        "courses",
        ("code_module", "code_presentation", "module_presentation_length"),
        MAXIMUM_PRESENTATIONS,
        _read_course,
    ),
    ("assessments", ("code_module", "code_presentation", "id_assessment"), MAXIMUM_REFERENCES, _read_assessment),
    ("vle", ("code_module", "code_presentation", "id_site", "activity_type"), MAXIMUM_REFERENCES, _read_site),
)
