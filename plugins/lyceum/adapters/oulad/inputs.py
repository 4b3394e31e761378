"""A delivery of the OULAD as inputs: one for each presentation and kind of fact.

`open_inputs` reads every table once: it parts the rows by presentation, hashes them and keeps them in a spool. The chunks
come from the spool, so nothing of the delivery is read again and it may change or vanish meanwhile.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lyceum.adapters.oulad.csv_table import CLICK_BLOCK_BYTES, CsvTable
from lyceum.adapters.oulad.delivery import TABLES, Delivery, open_delivery
from lyceum.adapters.oulad.fact_rows import (
    BANKED,
    CLICK_COLUMNS,
    CLICKS,
    MAIN_SERIES,
    NO_SCORE,
    OUTCOMES,
    REGISTRATION_COLUMNS,
    REGISTRATIONS,
    RESULT_COLUMNS,
    SUBMISSION_COLUMNS,
    SUBMISSIONS,
    UNPLACED,
    WITHDRAWALS,
    Interpreter,
    Key,
    UsedSites,
    interpret_registration,
    interpret_result,
    interpret_submission,
    read_click_rows,
    read_fact_rows,
    unreadable_rows,
)
from lyceum.adapters.oulad.presentations import Catalogue, Presentation, read_catalogue
from lyceum.adapters.oulad.problems import NONE, refuse
from lyceum.adapters.oulad.spool import Spool, Strand
from lyceum.records import Chunk, EventColumns, IdentityHasher, Input, Refusal

COURSE_TYPE = "http://adlnet.gov/expapi/activities/course"
_PASSING_SCORE = 40
_UNKNOWN_SCORE = -128
_UNKNOWN_SUCCESS = -1
_FINGERPRINT_VERSION = b"lyceum oulad 1\n"
_REMEMBERED_LEARNERS = 500_000


@dataclass(frozen=True, slots=True)
class _Series:
    """What all records of one series share. `object_prefix` None: the object is the course."""

    table: str
    title: str
    verb: str
    object_prefix: str | None = None
    has_scores: bool = False
    has_quantities: bool = False


_SERIES = {
    REGISTRATIONS: _Series("studentRegistration", "studentRegistration", "http://adlnet.gov/expapi/verbs/registered"),
    WITHDRAWALS: _Series(
        "studentRegistration", "studentRegistration withdrawals", "http://id.tincanapi.com/verb/unregistered"
    ),
    CLICKS: _Series(
        "studentVle",
        "studentVle",
        "http://adlnet.gov/expapi/verbs/interacted",
        object_prefix="urn:oulad:site:",
        has_quantities=True,
    ),
    SUBMISSIONS: _Series(
        "studentAssessment",
        "studentAssessment",
        "http://activitystrea.ms/schema/1.0/submit",
        object_prefix="urn:oulad:assessment:",
        has_scores=True,
    ),
    BANKED: _Series(
        "studentAssessment",
        "studentAssessment banked",
        "https://w3id.org/lyceum/verbs/transferred",
        object_prefix="urn:oulad:assessment:",
        has_scores=True,
    ),
    OUTCOMES: _Series("studentInfo", "studentInfo", "http://adlnet.gov/expapi/verbs/passed"),
}

_SMALL_TABLES: tuple[tuple[str, tuple[str, ...], Interpreter], ...] = (
    ("studentRegistration", REGISTRATION_COLUMNS, interpret_registration),
    ("studentAssessment", SUBMISSION_COLUMNS, interpret_submission),
    ("studentInfo", RESULT_COLUMNS, interpret_result),
)


class _Strands:
    """The strands of one delivery by key, made as their first rows arrive."""

    def __init__(self, folder: Path | None) -> None:
        self._spool = Spool(folder)
        self.by_key: dict[Key, Strand] = {}

    def __getitem__(self, key: Key) -> Strand:
        if key not in self.by_key:
            self.by_key[key] = Strand(self._spool)
        return self.by_key[key]


def open_inputs(path: Path, scratch: Path | None = None) -> list[Input]:
    """Read the delivery at `path`, a zip or a folder in the OULAD's CSV layout, and return its inputs in a fixed order.

    There is one input for every presentation and series that has records: `studentRegistration AAA-2013J` (registrations),
    `studentRegistration withdrawals AAA-2013J`, `studentVle AAA-2013J`, `studentAssessment AAA-2013J` (submissions),
    `studentAssessment banked AAA-2013J` and `studentInfo AAA-2013J` (passed). Rows of a table that belong to no known
    presentation, or cannot be read at all, form a last input of refusals alone, `studentVle without a presentation`.

    A fingerprint covers the rows of its input as numbers, in file order, and what the reference tables say of them; the
    packing, the quoting, the line ends, the column order and all other presentations make no difference. `byte_length`
    counts the lines without their ends, `progress_total` counts records. Chunks hold `MAXIMUM_BATCH_RECORDS` records.

    The rows wait in a nameless file in `scratch` (default: the system's temporary folder) of about 0.6 times the unpacked
    studentVle.csv, which is freed with the last input. Memory stays bounded whatever the size of the fact tables.

    Raises `InputError` when the delivery as a whole cannot be read, `RetryableError` when the scratch space runs out.
    """
    with open_delivery(path) as delivery:
        catalogue = read_catalogue(delivery)
        strands = _Strands(scratch)
        used_sites = UsedSites(catalogue)
        _read_facts(delivery, catalogue, strands, used_sites)
    return [
        *_placed_inputs(catalogue, strands, used_sites),
        *_unplaced_inputs(catalogue, strands),
    ]


def _read_facts(delivery: Delivery, catalogue: Catalogue, strands: _Strands, used_sites: UsedSites) -> None:
    for table, columns, interpret in _SMALL_TABLES:
        with delivery.open(table) as stream:
            for key, part in read_fact_rows(CsvTable(stream, table, columns), catalogue, interpret):
                strands[key].append(part.rows, part.places, part.raw_digests, part.byte_length)
    with delivery.open("studentVle") as stream:
        for key, part in read_click_rows(
            CsvTable(stream, "studentVle", CLICK_COLUMNS, CLICK_BLOCK_BYTES), catalogue, used_sites
        ):
            strands[key].append(part.rows, part.places, part.raw_digests, part.byte_length)


def _placed_inputs(catalogue: Catalogue, strands: _Strands, used_sites: UsedSites) -> Iterator[Input]:
    in_order = sorted(range(len(catalogue.presentations)), key=lambda index: catalogue.presentations[index].name)
    for name, series in _SERIES.items():
        for index in in_order:
            strand = strands.by_key.get((name, index))
            if strand is None:
                continue
            presentation = catalogue.presentations[index]
            reference = used_sites.types_of(index) if name == CLICKS else []
            fingerprint = _fingerprint(series.title, presentation.name, reference, strand)
            yield Input(
                name=f"{series.title} {presentation.name}",
                fingerprint=fingerprint,
                byte_length=strand.byte_length,
                chunks=partial(_chunks, strand, series, presentation, fingerprint[:8]),
                progress_total=strand.records,
                has_event_ids=False,
            )


def _unplaced_inputs(catalogue: Catalogue, strands: _Strands) -> Iterator[Input]:
    for table, rows in groupby(catalogue.unreadable, key=lambda row: row.table):
        part = unreadable_rows(list(rows))
        strands[table, UNPLACED].append(part.rows, part.places, part.raw_digests, part.byte_length)
    for table in TABLES:
        strand = strands.by_key.get((MAIN_SERIES.get(table, table), UNPLACED))
        if strand is not None:
            yield Input(
                name=f"{table} without a presentation",
                fingerprint=_fingerprint(table, None, [], strand),
                byte_length=strand.byte_length,
                chunks=partial(_refusal_chunks, strand, table),
                progress_total=strand.records,
            )


def _fingerprint(
    title: str, presentation: str | None, reference: list[tuple[int, str | None]], strand: Strand
) -> bytes:
    """Return the SHA-256 of what the records of one input are made from."""
    head = msgspec.json.encode((title, presentation, strand.records, reference))
    return hashlib.sha256(_FINGERPRINT_VERSION + head + b"\n" + strand.digest()).digest()


def _refusal_chunks(strand: Strand, table: str, next_ordinal: int, hasher: IdentityHasher) -> Iterator[Chunk]:
    for first, rows, places in strand.chunks(next_ordinal):
        yield Chunk(first, first + len(rows) - 1, refusals=list(_refusals(table, first, rows, places)))


def _refusals(table: str, first: int, rows: NDArray[np.void], places: NDArray[np.void]) -> Iterator[Refusal]:
    positions = np.flatnonzero(rows["problem"] != NONE)
    problems = rows["problem"][positions]
    for position, problem, (line, byte_length) in zip(
        positions.tolist(), problems.tolist(), places.tolist(), strict=True
    ):
        yield refuse(problem, ordinal=first + position, table=table, line=line, byte_length=byte_length)


def _chunks(
    strand: Strand, series: _Series, presentation: Presentation, high: bytes, next_ordinal: int, hasher: IdentityHasher
) -> Iterator[Chunk]:
    learners = _Learners(hasher)
    object_types = (
        dict(zip(presentation.sites.tolist(), presentation.activity_types, strict=True))
        if series.has_quantities
        else {}
    )
    for first, rows, places in strand.chunks(next_ordinal):
        refusals = list(_refusals(series.table, first, rows, places))
        ordinals = np.arange(first, first + len(rows), dtype=np.int64)
        if refusals:
            is_accepted = rows["problem"] == NONE
            rows, ordinals = rows[is_accepted], ordinals[is_accepted]
        columns = _columns(series, presentation, high, ordinals, rows, learners, object_types) if len(rows) else None
        yield Chunk(first, first + len(ordinals) + len(refusals) - 1, columns=columns, refusals=refusals)


def _columns(
    series: _Series,
    presentation: Presentation,
    high: bytes,
    ordinals: NDArray[np.int64],
    rows: NDArray[np.void],
    learners: _Learners,
    object_types: dict[int, str | None],
) -> EventColumns:
    learner_codes, students = _encode(rows["student"])
    if series.object_prefix is None:
        object_codes = np.zeros(len(rows), np.int32)
        objects: list[tuple[str, str | None]] = [(presentation.course, COURSE_TYPE)]
    else:
        object_codes, object_ids = _encode(rows["object"])
        objects = [(f"{series.object_prefix}{each}", object_types.get(each)) for each in object_ids]
    return EventColumns(
        event_id_high=high,
        ordinals=ordinals,
        activity_dates=np.datetime64(presentation.starts_on, "D") + rows["day"].astype("timedelta64[D]"),
        learner_codes=learner_codes,
        learners=[learners[student] for student in students],
        object_codes=object_codes,
        objects=objects,
        verb=series.verb,
        course=presentation.course,
        quantity=rows["value"].copy() if series.has_quantities else np.ones(len(rows), np.int32),
        is_course_object=series.object_prefix is None,
        score_hundredths=_score_hundredths(rows) if series.has_scores else None,
        is_success=_is_success(rows) if series.has_scores else None,
    )


def _score_hundredths(rows: NDArray[np.void]) -> NDArray[np.int8]:
    return np.where(rows["value"] == NO_SCORE, _UNKNOWN_SCORE, rows["value"]).astype(np.int8)


def _is_success(rows: NDArray[np.void]) -> NDArray[np.int8]:
    return np.where(rows["value"] == NO_SCORE, _UNKNOWN_SUCCESS, rows["value"] >= _PASSING_SCORE).astype(np.int8)


def _encode(numbers: NDArray[np.int64]) -> tuple[NDArray[np.int32], list[int]]:
    """Return codes and the distinct numbers that they index, in order of appearance."""
    encoded = pa.array(np.ascontiguousarray(numbers)).dictionary_encode()
    return encoded.indices.to_numpy(), encoded.dictionary.to_pylist()


class _Learners:
    """Pseudonyms of students, each made once as long as there are not too many."""

    def __init__(self, hasher: IdentityHasher) -> None:
        self._hasher = hasher
        self._known: dict[int, bytes] = {}

    def __getitem__(self, student: int) -> bytes:
        pseudonym = self._known.get(student)
        if pseudonym is None:
            if len(self._known) >= _REMEMBERED_LEARNERS:
                self._known.clear()
            pseudonym = self._known[student] = self._hasher.hash(f"oulad:{student}")
        return pseudonym
