"""The four fact tables as rows of strands: which input a line belongs to, and what it says as numbers.

`studentVle` is read block by block with a vectorized reader; a block that it does not read to the letter is cut into
smaller ones until only a few lines around the trouble are read one by one. Both ways give the same rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from lyceum.adapters.oulad.csv_table import Block, CsvTable, OverlongLine, Row, digest_of, read_rows
from lyceum.adapters.oulad.numbers import parse_number, read_number
from lyceum.adapters.oulad.presentations import MAXIMUM_PRESENTATIONS, Catalogue, UnreadableRow
from lyceum.adapters.oulad.problems import (
    DATE,
    DATE_REGISTRATION,
    DATE_SUBMITTED,
    DATE_UNREGISTRATION,
    ID_ASSESSMENT,
    ID_SITE,
    ID_STUDENT,
    IS_BANKED,
    MAXIMUM_LINE_BYTES,
    NONE,
    OVERLONG,
    SCORE,
    SUM_CLICK,
    UNKNOWN_ASSESSMENT,
    UNKNOWN_PRESENTATION,
    UNKNOWN_RESULT,
    UNKNOWN_SITE,
    NumberColumn,
)
from lyceum.adapters.oulad.spool import PLACE, ROW

CLICKS = "clicks"
SUBMISSIONS = "submissions"
BANKED = "banked"
REGISTRATIONS = "registrations"
WITHDRAWALS = "withdrawals"
OUTCOMES = "outcomes"

MAIN_SERIES = {
    "studentVle": CLICKS,
    "studentAssessment": SUBMISSIONS,
    "studentRegistration": REGISTRATIONS,
    "studentInfo": OUTCOMES,
}
"""The series that a row belongs to when nothing can be said of it."""

CLICK_COLUMNS = ("code_module", "code_presentation", "id_student", "id_site", "date", "sum_click")
SUBMISSION_COLUMNS = ("id_assessment", "id_student", "date_submitted", "is_banked", "score")
REGISTRATION_COLUMNS = ("code_module", "code_presentation", "id_student", "date_registration", "date_unregistration")
RESULT_COLUMNS = ("code_module", "code_presentation", "id_student", "final_result")

UNPLACED = -1
"""Stands for the presentation of a row that names none we know."""
NO_SCORE = -1

_MISSING = ("", "?")
_PASSED = ("Pass", "Distinction")
_NOT_PASSED = ("Fail", "Withdrawn", *_MISSING)
_CLICK_NUMBERS = (ID_STUDENT, ID_SITE, DATE, SUM_CLICK)
_INT32 = np.iinfo(np.int32)
_PIECES = 16
_LEAST_VECTORIZED_BYTES = 16 * 1024
_COMMA, _QUOTE, _LINE_FEED, _CARRIAGE_RETURN, _LOWER_X, _TO_LOWER = 0x2C, 0x22, 0x0A, 0x0D, 0x78, 0x20


@dataclass(frozen=True, slots=True)
class FactRow:
    """What one line says for one series. `is_raw`: its numbers do not stand for it, so its text counts for the fingerprint."""

    series: str
    presentation: int
    student: int = 0
    object: int = 0
    day: int = 0
    value: int = 1
    problem: int = NONE
    is_raw: bool = False


Interpreter = Callable[[Catalogue, Row], Iterator[FactRow]]


class UsedSites:
    """Which sites of each presentation the clicks name: what vle.csv says of those is part of what was read."""

    def __init__(self, catalogue: Catalogue) -> None:
        """Begin with none."""
        self._catalogue = catalogue
        self._is_used = [np.zeros(len(each.sites), np.bool_) for each in catalogue.presentations]

    def add(self, presentation: int, positions: NDArray[np.int64]) -> None:
        """Take note of sites by their position in the presentation's `sites`."""
        self._is_used[presentation][positions] = True

    def types_of(self, presentation: int) -> list[tuple[int, str | None]]:
        """Return the used sites with their activity types."""
        known = self._catalogue.presentations[presentation]
        return [
            (int(known.sites[position]), known.activity_types[position])
            for position in np.flatnonzero(self._is_used[presentation])
        ]


@dataclass(slots=True)
class StrandRows:
    """Consecutive rows of one series of one presentation, as `Strand.append` takes them."""

    rows: NDArray[np.void]
    places: NDArray[np.void]
    raw_digests: list[bytes]
    byte_length: int


Key = tuple[str, int]
"""Series and index of the presentation (or `UNPLACED`)."""


def read_click_rows(table: CsvTable, catalogue: Catalogue, used_sites: UsedSites) -> Iterator[tuple[Key, StrandRows]]:
    """Yield the rows of studentVle (columns `CLICK_COLUMNS`) in file order within each key."""
    for block in table.blocks():
        if isinstance(block, OverlongLine):
            yield from _overlong(CLICKS, block)
        else:
            yield from _read_clicks(table, catalogue, used_sites, block)


def read_fact_rows(table: CsvTable, catalogue: Catalogue, interpret: Interpreter) -> Iterator[tuple[Key, StrandRows]]:
    """Yield the rows of one of the smaller tables, line by line, in file order within each key."""
    for block in table.blocks():
        if isinstance(block, OverlongLine):
            yield from _overlong(MAIN_SERIES[table.table], block)
            continue
        groups: dict[Key, list[tuple[Row, FactRow]]] = defaultdict(list)
        for row in read_rows(table, block.data, block.first_line):
            for fact in interpret(catalogue, row):
                groups[fact.series, fact.presentation].append((row, fact))
        for key, pairs in groups.items():
            yield (
                key,
                _strand_rows(
                    np.array([(f.student, f.object, f.day, f.value, f.problem) for _, f in pairs], ROW),
                    np.array([(row.line, len(row.raw)) for row, _ in pairs], PLACE),
                    [digest_of(row.raw) for row, fact in pairs if fact.is_raw],
                ),
            )


def unreadable_rows(rows: Sequence[UnreadableRow]) -> StrandRows:
    """Return rows of a reference table that say nothing usable, so that they are refused like any other."""
    return _strand_rows(
        np.array([(0, 0, 0, 0, row.problem) for row in rows], ROW),
        np.array([(row.line, row.byte_length) for row in rows], PLACE),
        [row.digest for row in rows],
    )


def interpret_registration(catalogue: Catalogue, row: Row) -> Iterator[FactRow]:
    """One line is a registration and, where it tells a day of withdrawal, a withdrawal too."""
    if row.problem:
        yield _unplaced(REGISTRATIONS, row.problem)
        return
    module, code, student_text, registered, unregistered = row.fields
    presentation = catalogue.by_code.get((module, code))
    if presentation is None:
        yield _unplaced(REGISTRATIONS, UNKNOWN_PRESENTATION)
        return
    yield _dated(REGISTRATIONS, presentation, student_text, DATE_REGISTRATION, registered)
    if unregistered not in _MISSING:
        yield _dated(WITHDRAWALS, presentation, student_text, DATE_UNREGISTRATION, unregistered)


def interpret_result(catalogue: Catalogue, row: Row) -> Iterator[FactRow]:
    """A line is a record where the presentation was passed; it stands on the presentation's last day."""
    if row.problem:
        yield _unplaced(OUTCOMES, row.problem)
        return
    module, code, student_text, result = row.fields
    if result in _NOT_PASSED:
        return
    presentation = catalogue.by_code.get((module, code))
    if presentation is None:
        yield _unplaced(OUTCOMES, UNKNOWN_PRESENTATION)
        return
    if result not in _PASSED:
        yield FactRow(OUTCOMES, presentation, problem=UNKNOWN_RESULT, is_raw=True)
        return
    student, problem = read_number(ID_STUDENT, student_text)
    day = catalogue.presentations[presentation].length_days
    yield FactRow(OUTCOMES, presentation, student=student, day=day, problem=problem, is_raw=problem != NONE)


def interpret_submission(catalogue: Catalogue, row: Row) -> Iterator[FactRow]:
    """A line is a submission, or the transfer of a score from an earlier presentation (banked)."""
    if row.problem:
        yield _unplaced(SUBMISSIONS, row.problem)
        return
    assessment_text, student_text, submitted, banked_text, score_text = row.fields
    assessment, problem = read_number(ID_ASSESSMENT, assessment_text)
    presentation = catalogue.by_assessment.get(assessment)
    if problem or presentation is None:
        yield _unplaced(SUBMISSIONS, problem or UNKNOWN_ASSESSMENT)
        return
    banked, banked_problem = read_number(IS_BANKED, banked_text)
    student, student_problem = read_number(ID_STUDENT, student_text)
    day, day_problem = read_number(DATE_SUBMITTED, submitted)
    score, score_problem = (NO_SCORE, NONE) if score_text in _MISSING else read_number(SCORE, score_text)
    problem = student_problem or day_problem or banked_problem or score_problem
    series = BANKED if banked else SUBMISSIONS
    yield FactRow(series, presentation, student, assessment, day, score, problem, is_raw=problem != NONE)


def _dated(series: str, presentation: int, student_text: str, column: NumberColumn, day_text: str) -> FactRow:
    student, student_problem = read_number(ID_STUDENT, student_text)
    day, day_problem = read_number(column, day_text)
    problem = student_problem or day_problem
    return FactRow(series, presentation, student=student, day=day, problem=problem, is_raw=problem != NONE)


def _unplaced(series: str, problem: int) -> FactRow:
    return FactRow(series, UNPLACED, problem=problem, is_raw=True)


def _overlong(series: str, line: OverlongLine) -> Iterator[tuple[Key, StrandRows]]:
    rows = np.array([(0, 0, 0, 0, OVERLONG)], ROW)
    yield (series, UNPLACED), _strand_rows(rows, np.array([(line.line, line.byte_length)], PLACE), [digest_of(b"")])


def _strand_rows(rows: NDArray[np.void], places: NDArray[np.void], raw_digests: list[bytes]) -> StrandRows:
    """Return the rows with the places of the refused only, out of a place for each."""
    return StrandRows(rows, places[rows["problem"] != NONE], raw_digests, int(places["byte_length"].sum()))


def _read_clicks(
    table: CsvTable, catalogue: Catalogue, used_sites: UsedSites, block: Block
) -> Iterator[tuple[Key, StrandRows]]:
    rows = _read_clicks_vectorized(table, catalogue, used_sites, block)
    if rows is not None:
        yield from rows
        return
    pieces = list(_cut(block)) if len(block.data) > _LEAST_VECTORIZED_BYTES else [block]
    if len(pieces) == 1:
        yield from _read_clicks_by_line(table, catalogue, used_sites, block)
        return
    for piece in pieces:
        yield from _read_clicks(table, catalogue, used_sites, piece)


def _cut(block: Block) -> Iterator[Block]:
    """Cut a block into smaller ones of whole lines; into itself where it is little more than one long line."""
    size = max(_LEAST_VECTORIZED_BYTES // 2, len(block.data) // _PIECES)
    begin, line = 0, block.first_line
    while begin < len(block.data):
        end = block.data.find(b"\n", begin + size) + 1 or len(block.data)
        data = block.data[begin:end]
        yield Block(data, line)
        begin, line = end, line + data.count(b"\n")


def _read_clicks_by_line(
    table: CsvTable, catalogue: Catalogue, used_sites: UsedSites, block: Block
) -> Iterator[tuple[Key, StrandRows]]:
    groups: dict[int, list[tuple[Row, tuple[int, ...], int]]] = defaultdict(list)
    for row in read_rows(table, block.data, block.first_line):
        presentation, numbers, problem = _read_click_line(catalogue, row)
        groups[presentation].append((row, numbers, problem))
    for presentation, lines in groups.items():
        unread = np.array([problem for _, _, problem in lines], np.uint8)
        rows = np.zeros(len(lines), ROW)
        rows["problem"] = unread
        is_read = unread == NONE
        if presentation != UNPLACED:
            read = np.array([numbers for _, numbers, problem in lines if problem == NONE], np.int64).reshape(-1, 4)
            student, site, day, clicks = read.T
            rows[is_read] = _judge_clicks(catalogue, used_sites, presentation, student, site, day, clicks)
        places = np.array([(row.line, len(row.raw)) for row, _, _ in lines], PLACE)
        yield (
            (CLICKS, presentation),
            _strand_rows(rows, places, [digest_of(row.raw) for row, _, problem in lines if problem]),
        )


def _read_click_line(catalogue: Catalogue, row: Row) -> tuple[int, tuple[int, ...], int]:
    """Return presentation, numbers and problem of one line; the numbers are not yet held against their ranges."""
    if row.problem:
        return UNPLACED, (0, 0, 0, 0), row.problem
    module, code, *texts = row.fields
    presentation = catalogue.by_code.get((module, code))
    if presentation is None:
        return UNPLACED, (0, 0, 0, 0), UNKNOWN_PRESENTATION
    numbers = [parse_number(column, text) for column, text in zip(_CLICK_NUMBERS, texts, strict=True)]
    problem = next((problem for _, problem in numbers if problem), NONE)
    return presentation, tuple([number for number, _ in numbers]), problem


def _judge_clicks(
    catalogue: Catalogue,
    used_sites: UsedSites,
    presentation: int,
    student: NDArray[np.int64],
    site: NDArray[np.int64],
    day: NDArray[np.int64],
    clicks: NDArray[np.int64],
) -> NDArray[np.void]:
    """Return the rows with the first problem of each: a number out of range, or a site that vle.csv lacks."""
    rows = np.zeros(len(student), ROW)
    for column, numbers in reversed(tuple(zip(_CLICK_NUMBERS, (student, site, day, clicks), strict=True))):
        is_out = (numbers < column.least) | (numbers > column.greatest)
        if is_out.any():
            rows["problem"][is_out] = column.out_of_range
    sites = catalogue.presentations[presentation].sites
    position = np.searchsorted(sites, site)
    is_known = np.zeros(len(site), np.bool_)
    if len(sites):
        position[position == len(sites)] = 0
        is_known = sites[position] == site
    if not is_known.all():
        rows["problem"][~is_known & (rows["problem"] == NONE)] = UNKNOWN_SITE
    used_sites.add(presentation, position[is_known])
    rows["student"], rows["object"] = student, site
    rows["day"] = np.clip(day, _INT32.min, _INT32.max)
    rows["value"] = np.clip(clicks, _INT32.min, _INT32.max)
    return rows


def _read_clicks_vectorized(
    table: CsvTable, catalogue: Catalogue, used_sites: UsedSites, block: Block
) -> list[tuple[Key, StrandRows]] | None:
    """Read a block of plain rows: every line has its fields, a presentation that we know and four numbers. Else None."""
    ends = _plain_line_ends(block.data)
    if ends is None:
        return None
    columns = _parse_columns(table, block.data)
    if columns is None or columns.num_rows != len(ends):
        return None
    presentations = _presentations_of(catalogue, columns)
    if presentations is None:
        return None
    numbers = [columns.column(name).chunk(0).to_numpy() for name in CLICK_COLUMNS[2:]]
    groups: list[tuple[Key, StrandRows]] = []
    places = np.empty(len(ends), PLACE)
    places["line"] = np.arange(block.first_line, block.first_line + len(ends))
    places["byte_length"] = _line_lengths(block.data, ends)
    for presentation in np.unique(presentations).tolist():
        is_own = presentations == presentation
        student, site, day, clicks = (each[is_own] for each in numbers) if not is_own.all() else numbers
        rows = _judge_clicks(catalogue, used_sites, presentation, student, site, day, clicks)
        groups.append(((CLICKS, presentation), _strand_rows(rows, places[is_own], [])))
    return groups


def _plain_line_ends(data: bytes) -> NDArray[np.int64] | None:
    """Return where the lines end, or None where the vectorized reader might see other lines or other values than we do.

    It reads 0x10 as 16, ends a row at a lone carriage return, and forgives text behind a closing quotation mark.
    """
    text = np.frombuffer(data, np.uint8)
    is_feed, is_return, is_quote = text == _LINE_FEED, text == _CARRIAGE_RETURN, text == _QUOTE
    if (is_return[:-1] & ~is_feed[1:]).any():
        return None
    is_border = is_feed | is_return | (text == _COMMA)
    if (is_quote[1:-1] & ~(is_border[:-2] | is_border[2:])).any():
        return None
    if ((text | _TO_LOWER) == _LOWER_X).any() and (b"0x" in data or b"0X" in data):
        return None
    ends = np.flatnonzero(is_feed)
    if _line_lengths(data, ends).max() > MAXIMUM_LINE_BYTES:
        return None
    return ends


def _line_lengths(data: bytes, ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the bytes of each line without its end."""
    text = np.frombuffer(data, np.uint8)
    lengths = np.diff(ends, prepend=-1) - 1
    lengths -= (lengths > 0) & (text[ends - 1] == _CARRIAGE_RETURN)
    return lengths


def _parse_columns(table: CsvTable, data: bytes) -> pa.Table | None:
    positions = dict(zip(table.positions, CLICK_COLUMNS, strict=True))
    names = [positions.get(position, f"#{position}") for position in range(table.width)]
    types = {name: pa.dictionary(pa.int32(), pa.binary()) for name in CLICK_COLUMNS[:2]}
    types |= {name: pa.int64() for name in CLICK_COLUMNS[2:]}
    try:
        return pa_csv.read_csv(
            pa.BufferReader(data),
            pa_csv.ReadOptions(use_threads=False, column_names=names, block_size=len(data) + 1),
            pa_csv.ParseOptions(),
            pa_csv.ConvertOptions(column_types=types, include_columns=list(CLICK_COLUMNS), null_values=[]),
        )
    except pa.ArrowInvalid:
        return None


def _presentations_of(catalogue: Catalogue, columns: pa.Table) -> NDArray[np.int64] | None:
    modules, codes = (columns.column(name).chunk(0) for name in CLICK_COLUMNS[:2])
    distinct_modules, distinct_codes = modules.dictionary.to_pylist(), codes.dictionary.to_pylist()
    if len(distinct_modules) * len(distinct_codes) > MAXIMUM_PRESENTATIONS:
        return None
    known = np.array(
        [
            [
                catalogue.by_code.get((module.decode("latin-1"), code.decode("latin-1")), UNPLACED)
                for code in distinct_codes
            ]
            for module in distinct_modules
        ],
        np.int64,
    )
    presentations: NDArray[np.int64] = known[modules.indices.to_numpy(), codes.indices.to_numpy()]
    return presentations if presentations.min() != UNPLACED else None
