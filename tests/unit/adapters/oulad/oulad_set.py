"""Small OULAD sets for tests: seven tables of text cells, written as a zip or a folder in any spelling of CSV."""

from __future__ import annotations

import csv
import hashlib
import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lyceum.records import Chunk, Input

HEADERS: Mapping[str, tuple[str, ...]] = {
    "courses": ("code_module", "code_presentation", "module_presentation_length"),
    "assessments": ("code_module", "code_presentation", "id_assessment", "assessment_type", "date", "weight"),
    "vle": ("id_site", "code_module", "code_presentation", "activity_type", "week_from", "week_to"),
    "studentRegistration": (
        "code_module",
        "code_presentation",
        "id_student",
        "date_registration",
        "date_unregistration",
    ),
    "studentVle": ("code_module", "code_presentation", "id_student", "id_site", "date", "sum_click"),
    "studentAssessment": ("id_assessment", "id_student", "date_submitted", "is_banked", "score"),
    "studentInfo": ("code_module", "code_presentation", "id_student", "gender", "final_result"),
}

TWO_PRESENTATIONS: Mapping[str, Sequence[Sequence[str]]] = {
    "courses": [("AAA", "2013J", "268"), ("BBB", "2014B", "241")],
    "assessments": [
        ("AAA", "2013J", "1752", "TMA", "19", "10"),
        ("AAA", "2013J", "1753", "Exam", "?", "100"),
        ("BBB", "2014B", "1800", "CMA", "20", "0"),
    ],
    "vle": [
        ("546652", "AAA", "2013J", "forumng", "", ""),
        ("546614", "AAA", "2013J", "homepage", "?", "?"),
        ("700001", "BBB", "2014B", "quiz", "1", "2"),
    ],
    "studentRegistration": [
        ("AAA", "2013J", "11391", "-159", "?"),
        ("BBB", "2014B", "30268", "-92", "12"),
        ("AAA", "2013J", "28400", "-53", "0"),
    ],
    "studentVle": [
        ("AAA", "2013J", "28400", "546652", "-10", "4"),
        ("AAA", "2013J", "28400", "546652", "-10", "4"),
        ("BBB", "2014B", "30268", "700001", "0", "11"),
        ("AAA", "2013J", "11391", "546614", "31", "1"),
    ],
    "studentAssessment": [
        ("1752", "11391", "18", "0", "78"),
        ("1752", "28400", "22", "0", "39"),
        ("1752", "30268", "-1", "1", "40"),
        ("1800", "30268", "17", "0", "?"),
    ],
    "studentInfo": [
        ("AAA", "2013J", "11391", "M", "Pass"),
        ("AAA", "2013J", "28400", "F", "Withdrawn"),
        ("BBB", "2014B", "30268", "F", "Distinction"),
        ("BBB", "2014B", "11391", "M", "Fail"),
    ],
}


@dataclass(frozen=True, slots=True)
class Spelling:
    """How cells become text."""

    quoting: int = csv.QUOTE_ALL
    line_end: str = "\r\n"
    begins_with_mark: bool = False
    ends_last_line: bool = True


OFFICIAL = Spelling()
PLAIN = Spelling(csv.QUOTE_MINIMAL, "\n")


def table_text(table: str, rows: Iterable[Sequence[str]], spelling: Spelling = OFFICIAL) -> bytes:
    """Return a table as a file, its header first."""
    text = io.StringIO()
    # The csv module knows the quoting modes as bare numbers.
    writer = csv.writer(text, quoting=spelling.quoting, lineterminator=spelling.line_end)  # type: ignore[arg-type]
    writer.writerow(HEADERS[table])
    writer.writerows(rows)
    content = text.getvalue() if spelling.ends_last_line else text.getvalue().removesuffix(spelling.line_end)
    return (b"\xef\xbb\xbf" if spelling.begins_with_mark else b"") + content.encode()


def files_of(
    tables: Mapping[str, Sequence[Sequence[str]]] = TWO_PRESENTATIONS,
    spelling: Spelling = OFFICIAL,
    *,
    contents: Mapping[str, bytes] | None = None,
) -> dict[str, bytes]:
    """Return the seven files by name; `contents` replaces whole tables."""
    replaced = contents or {}
    return {
        f"{table}.csv": replaced[table] if table in replaced else table_text(table, tables[table], spelling)
        for table in HEADERS
    }


def with_rows(**rows: Sequence[Sequence[str]]) -> dict[str, Sequence[Sequence[str]]]:
    """Return the set of two presentations with some tables' rows replaced."""
    return {**TWO_PRESENTATIONS, **rows}


def write_zip(path: Path, files: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    """Write a zip and return its path."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def write_folder(path: Path, files: Mapping[str, bytes]) -> Path:
    """Write a folder and return its path."""
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


class PlainHasher:
    """An unkeyed hash: enough to see which identifier was hashed, and how often."""

    def __init__(self) -> None:
        self.hashed: list[str] = []

    def hash(self, identifier: str) -> bytes:
        self.hashed.append(identifier)
        return hashlib.sha256(identifier.encode()).digest()


def pseudonym(student: int | str) -> bytes:
    """Return what `PlainHasher` makes of a student."""
    return hashlib.sha256(f"oulad:{student}".encode()).digest()


def chunks_of(found: Input, next_ordinal: int = 1) -> list[Chunk]:
    """Return the chunks of an input from an ordinal on."""
    return list(found.chunks(next_ordinal, PlainHasher()))


def named(inputs: Sequence[Input]) -> dict[str, Input]:
    """Return inputs by name."""
    return {each.name: each for each in inputs}


Fact = tuple[int, str, bytes, str, str | None, str, str, int, int | None, bool | None]
"""(ordinal, day, learner, object, object type, verb, course, quantity, score in hundredths, success)"""


def facts_of(found: Input) -> list[Fact]:
    """Return every event of an input, its columns resolved."""
    facts: list[Fact] = []
    for chunk in chunks_of(found):
        columns = chunk.columns
        if columns is None:
            continue
        for index in range(len(columns.ordinals)):
            score = None if columns.score_hundredths is None else int(columns.score_hundredths[index])
            success = None if columns.is_success is None else int(columns.is_success[index])
            target, target_type = columns.objects[columns.object_codes[index]]
            facts.append(
                (
                    int(columns.ordinals[index]),
                    str(columns.activity_dates[index]),
                    columns.learners[columns.learner_codes[index]],
                    target,
                    target_type,
                    columns.verb,
                    columns.course,
                    int(columns.quantity[index]),
                    None if score == -128 else score,
                    None if success in (None, -1) else success == 1,
                )
            )
    return facts


def refusals_of(found: Input) -> list[tuple[int, str, str]]:
    """Return (ordinal, reason, detail) of every refusal."""
    return [(each.ordinal, each.reason, each.detail) for chunk in chunks_of(found) for each in chunk.refusals]
