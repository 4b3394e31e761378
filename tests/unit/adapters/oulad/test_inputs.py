"""What a delivery of the OULAD becomes: which inputs, which records, which refusals."""

from __future__ import annotations

import csv
import gc
import io
import random
from collections import Counter, defaultdict
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lyceum.adapters.oulad import open_inputs
from lyceum.records import MAXIMUM_BATCH_RECORDS, MAXIMUM_IRI_BYTES, Input
from unit.adapters.oulad.oulad_set import (
    HEADERS,
    OFFICIAL,
    PLAIN,
    TWO_PRESENTATIONS,
    PlainHasher,
    Spelling,
    chunks_of,
    facts_of,
    files_of,
    named,
    pseudonym,
    refusals_of,
    table_text,
    with_rows,
    write_folder,
    write_zip,
)

COURSE_TYPE = "http://adlnet.gov/expapi/activities/course"
AAA, BBB = "urn:oulad:course:AAA-2013J", "urn:oulad:course:BBB-2014B"


def test_every_presentation_and_series_with_records_is_an_input(tmp_path: Path) -> None:
    inputs = open_inputs(write_zip(tmp_path / "set.zip", files_of()))

    assert [(each.name, each.progress_total) for each in inputs] == [
        ("studentRegistration AAA-2013J", 2),
        ("studentRegistration BBB-2014B", 1),
        ("studentRegistration withdrawals AAA-2013J", 1),
        ("studentRegistration withdrawals BBB-2014B", 1),
        ("studentVle AAA-2013J", 3),
        ("studentVle BBB-2014B", 1),
        ("studentAssessment AAA-2013J", 2),
        ("studentAssessment BBB-2014B", 1),
        ("studentAssessment banked AAA-2013J", 1),
        ("studentInfo AAA-2013J", 1),
        ("studentInfo BBB-2014B", 1),
    ]
    assert all(not refusals_of(each) for each in inputs)


def test_clicks_are_interactions_with_a_site_and_exact_repeats_count(tmp_path: Path) -> None:
    clicks = named(open_inputs(write_folder(tmp_path, files_of())))["studentVle AAA-2013J"]

    verb = "http://adlnet.gov/expapi/verbs/interacted"
    assert facts_of(clicks) == [
        (1, "2013-09-21", pseudonym(28400), "urn:oulad:site:546652", "forumng", verb, AAA, 4, None, None),
        (2, "2013-09-21", pseudonym(28400), "urn:oulad:site:546652", "forumng", verb, AAA, 4, None, None),
        (3, "2013-11-01", pseudonym(11391), "urn:oulad:site:546614", "homepage", verb, AAA, 1, None, None),
    ]
    assert all(not chunk.columns.is_course_object for chunk in chunks_of(clicks) if chunk.columns)


def test_submissions_carry_score_and_success_and_banked_ones_are_transfers(tmp_path: Path) -> None:
    inputs = named(open_inputs(write_folder(tmp_path, files_of())))

    submit, transferred = "http://activitystrea.ms/schema/1.0/submit", "https://w3id.org/lyceum/verbs/transferred"
    first, other = "urn:oulad:assessment:1752", "urn:oulad:assessment:1800"
    assert facts_of(inputs["studentAssessment AAA-2013J"]) == [
        (1, "2013-10-19", pseudonym(11391), first, None, submit, AAA, 1, 78, True),
        (2, "2013-10-23", pseudonym(28400), first, None, submit, AAA, 1, 39, False),
    ]
    assert facts_of(inputs["studentAssessment banked AAA-2013J"]) == [
        (1, "2013-09-30", pseudonym(30268), first, None, transferred, AAA, 1, 40, True),
    ]
    assert facts_of(inputs["studentAssessment BBB-2014B"]) == [
        (1, "2014-02-18", pseudonym(30268), other, None, submit, BBB, 1, None, None),
    ]


def test_a_registration_with_a_day_of_withdrawal_is_two_records_about_the_course(tmp_path: Path) -> None:
    inputs = named(open_inputs(write_folder(tmp_path, files_of())))

    registered, unregistered = "http://adlnet.gov/expapi/verbs/registered", "http://id.tincanapi.com/verb/unregistered"
    assert facts_of(inputs["studentRegistration AAA-2013J"]) == [
        (1, "2013-04-25", pseudonym(11391), AAA, COURSE_TYPE, registered, AAA, 1, None, None),
        (2, "2013-08-09", pseudonym(28400), AAA, COURSE_TYPE, registered, AAA, 1, None, None),
    ]
    assert facts_of(inputs["studentRegistration withdrawals AAA-2013J"]) == [
        (1, "2013-10-01", pseudonym(28400), AAA, COURSE_TYPE, unregistered, AAA, 1, None, None),
    ]
    assert all(
        chunk.columns.is_course_object
        for name, each in inputs.items()
        if name.startswith(("studentRegistration", "studentInfo"))
        for chunk in chunks_of(each)
        if chunk.columns
    )


def test_only_passes_and_distinctions_are_outcomes_on_the_last_day(tmp_path: Path) -> None:
    inputs = named(open_inputs(write_folder(tmp_path, files_of())))

    passed = "http://adlnet.gov/expapi/verbs/passed"
    assert facts_of(inputs["studentInfo AAA-2013J"]) == [
        (1, "2014-06-26", pseudonym(11391), AAA, COURSE_TYPE, passed, AAA, 1, None, None)
    ]
    assert facts_of(inputs["studentInfo BBB-2014B"]) == [
        (1, "2014-09-30", pseudonym(30268), BBB, COURSE_TYPE, passed, BBB, 1, None, None)
    ]


def test_a_student_is_hashed_once_an_input(tmp_path: Path) -> None:
    rows = [("AAA", "2013J", str(student), "546652", "1", "1") for student in (7, 8, 7, 7, 8, 9)]
    inputs = named(open_inputs(write_folder(tmp_path, files_of(with_rows(studentVle=rows)))))
    hasher = PlainHasher()

    list(inputs["studentVle AAA-2013J"].chunks(1, hasher))

    assert hasher.hashed == ["oulad:7", "oulad:8", "oulad:9"]


@pytest.mark.parametrize(
    "spelling",
    [
        PLAIN,
        Spelling(csv.QUOTE_MINIMAL, "\r\n"),
        Spelling(csv.QUOTE_ALL, "\n"),
        Spelling(begins_with_mark=True),
        Spelling(ends_last_line=False),
    ],
)
def test_another_spelling_of_the_same_rows_is_the_same_input(tmp_path: Path, spelling: Spelling) -> None:
    official = open_inputs(write_zip(tmp_path / "set.zip", files_of()))
    respelled = open_inputs(write_folder(tmp_path / "folder", files_of(spelling=spelling)))

    assert [(each.name, each.fingerprint) for each in respelled] == [(each.name, each.fingerprint) for each in official]
    assert [facts_of(each) for each in respelled] == [facts_of(each) for each in official]


def test_packing_nesting_and_column_order_make_no_difference(tmp_path: Path) -> None:
    def turned(table: str) -> bytes:
        lines = [HEADERS[table], *TWO_PRESENTATIONS[table]]
        return "".join(",".join([*reversed(line), "more"]) + "\n" for line in lines).encode()

    official = open_inputs(write_zip(tmp_path / "set.zip", files_of()))
    stored = open_inputs(write_zip(tmp_path / "stored.zip", files_of(), compression=0))
    nested = open_inputs(
        write_zip(
            tmp_path / "nested.zip", {f"anonymisedData/{name.upper()}": text for name, text in files_of().items()}
        )
    )
    other_order = open_inputs(write_folder(tmp_path / "turned", {f"{table}.csv": turned(table) for table in HEADERS}))

    for others in (stored, nested, other_order):
        assert [each.fingerprint for each in others] == [each.fingerprint for each in official]


def test_a_presentation_is_known_whatever_else_its_delivery_holds(tmp_path: Path) -> None:
    def only_aaa(table: str) -> list[tuple[str, ...]]:
        if table == "studentAssessment":
            return [tuple(row) for row in TWO_PRESENTATIONS[table] if row[0] == "1752"]
        return [tuple(row) for row in TWO_PRESENTATIONS[table] if "AAA" in row]

    both = named(open_inputs(write_zip(tmp_path / "both.zip", files_of())))
    alone = named(
        open_inputs(write_zip(tmp_path / "alone.zip", files_of({table: only_aaa(table) for table in HEADERS})))
    )

    assert alone.keys() == {name for name in both if "AAA" in name}
    assert {name: each.fingerprint for name, each in alone.items()} == {name: both[name].fingerprint for name in alone}
    assert {name: facts_of(each) for name, each in alone.items()} == {name: facts_of(both[name]) for name in alone}


def test_what_records_are_made_from_changes_their_fingerprint_and_no_other(tmp_path: Path) -> None:
    def changed(table: str, old: tuple[str, ...], new: tuple[str, ...]) -> set[str]:
        rows = [new if tuple(row) == old else row for row in TWO_PRESENTATIONS[table]]
        after = named(open_inputs(write_folder(tmp_path / table / "-".join(new), files_of(with_rows(**{table: rows})))))
        return {name for name in before.keys() | after.keys() if fingerprint(before, name) != fingerprint(after, name)}

    def fingerprint(inputs: dict[str, Input], name: str) -> bytes | None:
        return inputs[name].fingerprint if name in inputs else None

    before = named(open_inputs(write_folder(tmp_path / "before", files_of())))

    assert changed("courses", ("AAA", "2013J", "268"), ("AAA", "2013J", "269")) == {"studentInfo AAA-2013J"}
    assert changed(
        "vle", ("546652", "AAA", "2013J", "forumng", "", ""), ("546652", "AAA", "2013J", "quiz", "", "")
    ) == {"studentVle AAA-2013J"}
    assert (
        changed("vle", ("546652", "AAA", "2013J", "forumng", "", ""), ("546652", "AAA", "2013J", "forumng", "1", "2"))
        == set()
    )
    assert changed(
        "assessments", ("BBB", "2014B", "1800", "CMA", "20", "0"), ("AAA", "2013J", "1800", "CMA", "20", "0")
    ) == {"studentAssessment AAA-2013J", "studentAssessment BBB-2014B"}
    assert changed(
        "studentVle", ("BBB", "2014B", "30268", "700001", "0", "11"), ("BBB", "2014B", "30268", "700001", "0", "12")
    ) == {"studentVle BBB-2014B"}
    assert changed(
        "studentRegistration", ("BBB", "2014B", "30268", "-92", "12"), ("BBB", "2014B", "30268", "-92", "13")
    ) == {"studentRegistration withdrawals BBB-2014B"}
    assert (
        changed("studentInfo", ("AAA", "2013J", "28400", "F", "Withdrawn"), ("AAA", "2013J", "28400", "M", "Fail"))
        == set()
    )


def test_an_unused_site_changes_nothing(tmp_path: Path) -> None:
    further = [*TWO_PRESENTATIONS["vle"], ("546000", "AAA", "2013J", "url", "", "")]
    before = open_inputs(write_folder(tmp_path / "before", files_of()))
    after = open_inputs(write_folder(tmp_path / "after", files_of(with_rows(vle=further))))

    assert [each.fingerprint for each in after] == [each.fingerprint for each in before]


def test_the_order_of_rows_is_part_of_the_fingerprint(tmp_path: Path) -> None:
    turned = list(reversed(TWO_PRESENTATIONS["studentVle"]))
    before = named(open_inputs(write_folder(tmp_path / "before", files_of())))
    after = named(open_inputs(write_folder(tmp_path / "after", files_of(with_rows(studentVle=turned)))))

    assert after["studentVle AAA-2013J"].fingerprint != before["studentVle AAA-2013J"].fingerprint
    assert after["studentVle BBB-2014B"].fingerprint == before["studentVle BBB-2014B"].fingerprint


def test_the_same_numbers_in_another_presentation_or_series_are_another_input(tmp_path: Path) -> None:
    rows = [(*presentation, "7", "5", "5") for presentation in (("AAA", "2013J"), ("BBB", "2014B"))]
    submissions = [("1752", "7", "5", banked, "5") for banked in "01"]
    inputs = open_inputs(
        write_folder(tmp_path, files_of(with_rows(studentRegistration=rows, studentAssessment=submissions)))
    )

    assert len({each.fingerprint for each in inputs}) == len(inputs)


def test_mixed_presentations_keep_their_own_order_across_chunks(tmp_path: Path) -> None:
    count = 2 * MAXIMUM_BATCH_RECORDS + 50_000
    mixed = random.Random(5)
    own = {"AAA": ("2013J", "546652"), "BBB": ("2014B", "700001")}
    modules = [mixed.choice(("AAA", "AAA", "BBB")) for _ in range(count)]
    rows = [
        (module, own[module][0], str(index % 977), own[module][1], str(index % 240), str(index))
        for index, module in enumerate(modules)
    ]
    inputs = named(open_inputs(write_folder(tmp_path, files_of(with_rows(studentVle=rows), spelling=PLAIN))))

    for module, name in (("AAA", "studentVle AAA-2013J"), ("BBB", "studentVle BBB-2014B")):
        expected = [index for index, each in enumerate(modules) if each == module]
        chunks = chunks_of(inputs[name])
        assert [index for chunk in chunks if chunk.columns for index in chunk.columns.quantity.tolist()] == expected
        assert [(chunk.first_ordinal, chunk.last_ordinal) for chunk in chunks] == [
            (first, min(first + MAXIMUM_BATCH_RECORDS - 1, len(expected)))
            for first in range(1, len(expected) + 1, MAXIMUM_BATCH_RECORDS)
        ]


def test_reading_goes_on_at_any_ordinal_as_if_it_had_never_stopped(tmp_path: Path) -> None:
    rows = [
        ("AAA", "2013J", str(index), "546652", "bad" if index % 1000 == 3 else "1", str(index))
        for index in range(MAXIMUM_BATCH_RECORDS + 5000)
    ]
    clicks = named(open_inputs(write_folder(tmp_path, files_of(with_rows(studentVle=rows)))))["studentVle AAA-2013J"]

    def records(next_ordinal: int) -> list[tuple[int, object]]:
        return sorted(
            record
            for chunk in chunks_of(clicks, next_ordinal)
            for record in [
                *((refusal.ordinal, refusal.detail) for refusal in chunk.refusals),
                *(
                    zip(chunk.columns.ordinals.tolist(), chunk.columns.quantity.tolist(), strict=True)
                    if chunk.columns
                    else ()
                ),
            ]
        )

    everything = records(1)
    assert [ordinal for ordinal, _ in everything] == list(range(1, len(rows) + 1))
    for next_ordinal in (1, 2, 4, 5, 99_999, 100_000, 100_001, 100_004, 100_005, 105_000, 105_001):
        assert records(next_ordinal) == everything[next_ordinal - 1 :]
    assert [chunk.first_ordinal for chunk in chunks_of(clicks, 4)] == [4, MAXIMUM_BATCH_RECORDS + 1]


def test_nothing_stays_in_the_scratch_folder_and_the_delivery_may_vanish(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    delivery = write_zip(tmp_path / "set.zip", files_of())
    inputs = open_inputs(delivery, scratch)
    delivery.unlink()

    assert list(scratch.iterdir()) == []
    assert [len(facts_of(each)) for each in inputs] == [each.progress_total for each in inputs]


def test_the_last_input_that_goes_frees_the_scratch_file(tmp_path: Path) -> None:
    def open_scratch_files() -> int:
        found = 0
        for descriptor in Path("/proc/self/fd").iterdir():
            try:
                found += str(tmp_path) in str(descriptor.readlink())
            except FileNotFoundError:
                continue
        return found

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("open files can be counted where /proc is mounted")
    inputs = open_inputs(write_zip(tmp_path / "set.zip", files_of()), tmp_path)
    kept = inputs[-1]
    del inputs
    gc.collect()
    assert open_scratch_files() == 1
    del kept
    gc.collect()
    assert open_scratch_files() == 0


# Refusals.


@pytest.mark.parametrize(
    ("cells", "reason", "words"),
    [
        (("AAA", "2013J", "?", "546652", "-10", "4"), "missing_actor", "no id_student"),
        (("AAA", "2013J", "x", "546652", "-10", "4"), "malformed", "no number in id_student"),
        (("AAA", "2013J", "0x10", "546652", "-10", "4"), "malformed", "no number in id_student"),
        (("AAA", "2013J", "+5", "546652", "-10", "4"), "malformed", "no number in id_student"),
        (("AAA", "2013J", "1_0", "546652", "-10", "4"), "malformed", "no number in id_student"),
        (("AAA", "2013J", "٣", "546652", "-10", "4"), "malformed", "no number in id_student"),
        (("AAA", "2013J", "-1", "546652", "-10", "4"), "invalid", "id_student out of range"),
        (("AAA", "2013J", "-1", "1", "99999", "-4"), "invalid", "id_student out of range"),
        (("AAA", "2013J", "28400", "1", "99999", "-4"), "invalid", "date out of range"),
        (("AAA", "2013J", "9" * 40, "546652", "-10", "4"), "invalid", "id_student out of range"),
        (("AAA", "2013J", "28400", "", "-10", "4"), "invalid", "no id_site"),
        (("AAA", "2013J", "28400", "1", "-10", "4"), "invalid", "site that vle.csv lacks"),
        (("AAA", "2013J", "28400", "700001", "-10", "4"), "invalid", "site that vle.csv lacks"),
        (("AAA", "2013J", "28400", "546652", "?", "4"), "missing_timestamp", "no date"),
        (("AAA", "2013J", "28400", "546652", "", "4"), "missing_timestamp", "no date"),
        (("AAA", "2013J", "28400", "546652", "1.5", "4"), "malformed", "no number in date"),
        (("AAA", "2013J", "28400", "546652", "10001", "4"), "invalid", "date out of range"),
        (("AAA", "2013J", "28400", "546652", "9999999999999", "4"), "invalid", "date out of range"),
        (("AAA", "2013J", "28400", "546652", "-10", "?"), "invalid", "no sum_click"),
        (("AAA", "2013J", "28400", "546652", "-10", "-4"), "invalid", "sum_click out of range"),
        (("AAA", "2013J", "28400", "546652", "-10", "2147483648"), "invalid", "sum_click out of range"),
        (("AAA", "2013J", "28400", "546652", "-10", "4e1"), "malformed", "no number in sum_click"),
    ],
)
@pytest.mark.parametrize("spelling", [OFFICIAL, PLAIN])
def test_a_bad_click_row_costs_only_itself(
    tmp_path: Path, cells: tuple[str, ...], reason: str, words: str, spelling: Spelling
) -> None:
    good = [tuple(row) for row in TWO_PRESENTATIONS["studentVle"]]
    rows = [*good[:2], cells, *good[2:]]
    inputs = named(open_inputs(write_folder(tmp_path, files_of(with_rows(studentVle=rows), spelling=spelling))))

    assert [fact[0] for fact in facts_of(inputs["studentVle AAA-2013J"])] == [1, 2, 4]
    assert [fact[0] for fact in facts_of(inputs["studentVle BBB-2014B"])] == [1]
    ((ordinal, found_reason, detail),) = refusals_of(inputs["studentVle AAA-2013J"])
    assert (ordinal, found_reason) == (3, reason)
    assert detail.startswith("Line 4 of studentVle.csv ")
    assert words in detail
    assert not {"28400", "546652", "-1", "-4", "9" * 40} & set(detail.split())


UNREADABLE_LINES = [
    (b"garbage", "malformed", "more or fewer fields"),
    (b'"AAA","2013J","1","546652","1","1', "malformed", "quotation mark"),
    (b"AAA,2013J,1\0,546652,1,1", "malformed", "NUL"),
    (b"AAA,2013J,1,546652,1,1\rAAA,2013J,1,546652,1,1", "malformed", "carriage return"),
    (b"\xff\xfe,2013J,1,546652,1,1", "malformed", "UTF-8"),
    (b"A" * 70_000, "too_long", "longer than 65,536 bytes"),
    (b"A" * 9_000_000, "too_long", "longer than 65,536 bytes"),
]


@pytest.mark.parametrize(
    ("table", "line", "reason", "words"),
    [
        *((table, *case) for table in HEADERS for case in UNREADABLE_LINES),
        ("studentVle", b"AAA,2013J,1,546652,1", "malformed", "more or fewer fields"),
        ("studentVle", b"AAA,2013J,1,546652,1,1,1", "malformed", "more or fewer fields"),
        ("studentVle", b'"AAA","2013J","1"2,"546652","1","1"', "malformed", "quotation mark"),
        ("studentVle", b"AAA,2013J," + b"0" * 70_000 + b"1,546652,1,1", "too_long", "longer than 65,536 bytes"),
        ("studentVle", b"CCC,2013J,1,546652,1,1", "invalid", "presentation that courses.csv lacks"),
        ("studentVle", b"AAA,2014B,1,546652,1,1", "invalid", "presentation that courses.csv lacks"),
        ("studentRegistration", b"CCC,2013J,1,1,?", "invalid", "presentation that courses.csv lacks"),
        ("studentInfo", b"CCC,2013J,1,M,Pass", "invalid", "presentation that courses.csv lacks"),
        ("studentAssessment", b"9,1,1,0,1", "invalid", "assessment that assessments.csv lacks"),
        ("studentAssessment", b"x,1,1,0,1", "malformed", "no number in id_assessment"),
        ("vle", b"9,CCC,2013J,quiz,,", "invalid", "presentation that courses.csv lacks"),
        ("vle", b"x,AAA,2013J,quiz,,", "malformed", "no number in id_site"),
        ("vle", b"546652,AAA,2013J,another,,", "invalid", "repeats the key"),
        ("vle", b"9,AAA,2013J," + b"q" * 101 + b",,", "invalid", "activity_type"),
        ("assessments", b"CCC,2013J,9,TMA,1,1", "invalid", "presentation that courses.csv lacks"),
        ("assessments", b"BBB,2014B,1752,TMA,1,1", "invalid", "repeats the key"),
        ("courses", b"CCC,2013X,240", "invalid", "code that cannot be understood"),
        ("courses", b"C-C,2013J,240", "invalid", "code that cannot be understood"),
        ("courses", b"CCC,2013J,?", "invalid", "no module_presentation_length"),
        ("courses", b"CCC,2013J,0", "invalid", "module_presentation_length out of range"),
        ("courses", b"AAA,2013J,240", "invalid", "repeats the key"),
    ],
)
def test_a_line_without_a_presentation_is_refused_beside_all_others(
    tmp_path: Path, table: str, line: bytes, reason: str, words: str
) -> None:
    header, first, *further = table_text(table, TWO_PRESENTATIONS[table], PLAIN).splitlines(keepends=True)
    content = b"".join([header, first, line + b"\n", *further, b"\n", b"\r\n"])
    if words == "repeats the key":  # the first row of a key counts
        content = b"".join([header, first, *further, line + b"\n"])
    expected = named(open_inputs(write_folder(tmp_path / "good", files_of())))
    inputs = named(open_inputs(write_folder(tmp_path / "bad", files_of(contents={table: content}))))

    refused = inputs.pop(f"{table} without a presentation")
    ((ordinal, found_reason, detail),) = refusals_of(refused)
    assert (ordinal, found_reason) == (1, reason)
    assert words in detail
    assert detail.startswith(f"Line {content.split(line)[0].count(bytes([10])) + 1} of {table}.csv ")
    assert [(chunk.columns, chunk.records_read) for chunk in chunks_of(refused)] == [(None, 1)]
    assert {name: each.fingerprint for name, each in inputs.items()} == {
        name: each.fingerprint for name, each in expected.items()
    }
    assert {name: facts_of(each) for name, each in inputs.items()} == {
        name: facts_of(each) for name, each in expected.items()
    }


@pytest.mark.parametrize(
    ("table", "cells", "name", "reason", "words"),
    [
        (
            "studentRegistration",
            ("AAA", "2013J", "1", "?", "?"),
            "studentRegistration",
            "missing_timestamp",
            "no date_registration",
        ),
        (
            "studentRegistration",
            ("AAA", "2013J", "?", "1", "?"),
            "studentRegistration",
            "missing_actor",
            "no id_student",
        ),
        (
            "studentAssessment",
            ("1752", "1", "?", "0", "50"),
            "studentAssessment",
            "missing_timestamp",
            "no date_submitted",
        ),
        ("studentAssessment", ("1752", "1", "1", "0", "101"), "studentAssessment", "invalid", "score out of range"),
        ("studentAssessment", ("1752", "1", "1", "0", "-1"), "studentAssessment", "invalid", "score out of range"),
        ("studentAssessment", ("1752", "1", "1", "0", "7.5"), "studentAssessment", "malformed", "no number in score"),
        ("studentAssessment", ("1752", "1", "1", "2", "50"), "studentAssessment", "invalid", "is_banked out of range"),
        (
            "studentAssessment",
            ("1752", "x", "1", "1", "50"),
            "studentAssessment banked",
            "malformed",
            "no number in id_student",
        ),
        ("studentInfo", ("AAA", "2013J", "x", "M", "Pass"), "studentInfo", "malformed", "no number in id_student"),
        ("studentInfo", ("AAA", "2013J", "1", "M", "Passed"), "studentInfo", "invalid", "unknown final_result"),
    ],
)
def test_a_bad_row_of_the_smaller_tables_costs_only_itself(
    tmp_path: Path, table: str, cells: tuple[str, ...], name: str, reason: str, words: str
) -> None:
    rows = [cells, *TWO_PRESENTATIONS[table]]
    expected = named(open_inputs(write_folder(tmp_path / "good", files_of())))
    inputs = named(open_inputs(write_folder(tmp_path / "bad", files_of(with_rows(**{table: rows})))))

    ((ordinal, found_reason, detail),) = refusals_of(inputs[f"{name} AAA-2013J"])
    assert (ordinal, found_reason) == (1, reason)
    assert words in detail
    moved = [(fact[0] - 1, *fact[1:]) for fact in facts_of(inputs[f"{name} AAA-2013J"])]
    assert moved == facts_of(expected[f"{name} AAA-2013J"])
    others = inputs.keys() - {f"{name} AAA-2013J"}
    assert {each: inputs[each].fingerprint for each in others} == {each: expected[each].fingerprint for each in others}


def test_a_withdrawal_without_a_number_is_refused_and_the_registration_counts(tmp_path: Path) -> None:
    rows = [("AAA", "2013J", "1", "5", "soon")]
    inputs = named(open_inputs(write_folder(tmp_path, files_of(with_rows(studentRegistration=rows)))))

    assert len(facts_of(inputs["studentRegistration AAA-2013J"])) == 1
    ((ordinal, reason, _),) = refusals_of(inputs["studentRegistration withdrawals AAA-2013J"])
    assert (ordinal, reason) == (1, "malformed")


def test_tables_of_headers_alone_make_no_input(tmp_path: Path) -> None:
    empty: dict[str, list[tuple[str, ...]]] = {table: [] for table in HEADERS}

    assert open_inputs(write_folder(tmp_path, files_of(empty))) == []


# Against an independent reader.


@st.composite
def click_rows(draw: st.DrawFn) -> list[tuple[str, ...]]:
    sites = {"AAA": ("546652", "546614"), "BBB": ("700001",)}
    codes = {"AAA": "2013J", "BBB": "2014B"}
    row = st.sampled_from(["AAA", "BBB"]).flatmap(
        lambda module: st.tuples(
            st.just(module),
            st.just(codes[module]),
            st.integers(0, 10**12).map(str),
            st.sampled_from(sites[module]),
            st.integers(-10_000, 10_000).map(str),
            st.integers(0, 2**31 - 1).map(str),
        )
    )
    return draw(st.lists(row, max_size=60))


@given(
    rows=click_rows(),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC]),
    line_end=st.sampled_from(["\n", "\r\n"]),
    ends_last_line=st.booleans(),
)
def test_clicks_are_what_the_standard_library_reads(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, ...]],
    quoting: int,
    line_end: str,
    ends_last_line: bool,
) -> None:
    spelling = Spelling(quoting, line_end, ends_last_line=ends_last_line)
    text = table_text("studentVle", rows, spelling)
    folder = tmp_path_factory.mktemp("set")
    inputs = named(open_inputs(write_folder(folder, files_of(contents={"studentVle": text}))))

    starts = {"2013J": date(2013, 10, 1), "2014B": date(2014, 2, 1)}
    expected: dict[str, list[tuple[str, bytes, str, int]]] = defaultdict(list)
    for row in csv.DictReader(io.StringIO(text.decode(), newline="")):
        expected[f"studentVle {row['code_module']}-{row['code_presentation']}"].append(
            (
                (starts[row["code_presentation"]] + timedelta(days=int(row["date"]))).isoformat(),
                pseudonym(row["id_student"]),
                f"urn:oulad:site:{row['id_site']}",
                int(row["sum_click"]),
            )
        )
    found = {
        name: [(day, learner, target, quantity) for _, day, learner, target, _, _, _, quantity, _, _ in facts_of(each)]
        for name, each in inputs.items()
        if name.startswith("studentVle")
    }
    assert found == expected
    assert not any(refusals_of(each) for each in inputs.values())


# The real dataset.

REAL = Path(__file__).parents[5] / "shared" / "data" / "oulad" / "oulad-2013B-2013J-2014B.zip"


@pytest.fixture(scope="module")
def real_path() -> Path:
    if not REAL.is_file():
        pytest.skip(f"the real OULAD is not at {REAL}")
    return REAL


def test_the_real_dataset_is_read_in_full(real_path: Path) -> None:
    events: Counter[str] = Counter()
    clicks: Counter[str] = Counter()
    scores: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    refused: Counter[tuple[str, str]] = Counter()
    for each in open_inputs(real_path):
        series, presentation = each.name.rsplit(" ", 1)
        for chunk in chunks_of(each):
            assert chunk.records_read <= MAXIMUM_BATCH_RECORDS
            refused.update((series, refusal.reason) for refusal in chunk.refusals)
            if chunk.columns is None:
                continue
            events[series] += len(chunk.columns.ordinals)
            if series == "studentVle":
                clicks[presentation] += int(chunk.columns.quantity.sum())
            if chunk.columns.score_hundredths is not None and chunk.columns.is_success is not None:
                known = chunk.columns.score_hundredths != -128
                scores[series] += int(chunk.columns.score_hundredths[known].sum(dtype=np.int64))
                passed[series] += int((chunk.columns.is_success == 1).sum())
            assert len(np.unique(chunk.columns.learner_codes)) == len(chunk.columns.learners)
            assert len(np.unique(chunk.columns.object_codes)) == len(chunk.columns.objects)
            assert all(len(iri) < MAXIMUM_IRI_BYTES for iri, _ in chunk.columns.objects)

    assert events == {
        "studentVle": 7_035_828,
        "studentAssessment": 121_738 - 1_129,
        "studentAssessment banked": 1_129,
        "studentRegistration": 21_297,
        "studentRegistration withdrawals": 6_333,
        "studentInfo": 9_928,
    }
    assert refused == {("studentRegistration", "missing_timestamp"): 21_333 - 21_297}
    assert scores == {"studentAssessment": 9_181_189, "studentAssessment banked": 84_482}
    assert passed == {"studentAssessment": 115_757, "studentAssessment banked": 1_097}
    assert clicks.total() == 25_804_801
    assert clicks == CLICKS_BY_PRESENTATION


CLICKS_BY_PRESENTATION = {
    "AAA-2013J": 648_494,
    "BBB-2013B": 1_347_911,
    "BBB-2013J": 1_378_656,
    "BBB-2014B": 833_865,
    "CCC-2014B": 1_889_177,
    "DDD-2013B": 1_387_467,
    "DDD-2013J": 1_757_214,
    "DDD-2014B": 947_657,
    "EEE-2013J": 1_535_953,
    "EEE-2014B": 832_038,
    "FFF-2013B": 4_220_055,
    "FFF-2013J": 5_116_439,
    "FFF-2014B": 2_975_619,
    "GGG-2013J": 509_091,
    "GGG-2014B": 425_165,
}
"""Summed with awk from the unpacked studentVle.csv."""
