"""What each file's rows mean, and which of them are refused with which reason."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from lyceum.adapters.oneroster import FileCounts, RefusedRow, RosterDelivery, open_roster
from lyceum.adapters.oneroster.csv_records import BLOCK_BYTES, MAXIMUM_RECORD_BYTES
from unit.adapters.oneroster.roster_files import (
    HEADERS,
    ROSTER,
    files_of,
    files_of_1_1,
    table,
    write_folder,
    write_zip,
)


@pytest.fixture
def deliver(tmp_path: Path) -> Any:
    def deliver(roster: Mapping[str, Sequence[Mapping[str, str]]] = ROSTER, **arguments: Any) -> RosterDelivery:
        return open_roster(write_zip(tmp_path / "roster.zip", files_of(roster, **arguments)))

    return deliver


def only(**rows: Sequence[Mapping[str, str]]) -> dict[str, Sequence[Mapping[str, str]]]:
    return dict(rows)


def refusals(rows: Iterator[Any]) -> list[tuple[int, str, str]]:
    return [(row.line, row.reason, row.detail) for row in rows if isinstance(row, RefusedRow)]


def test_users_have_the_roles_of_roles_csv(deliver: Any) -> None:
    ada, grace, alan = deliver().users()

    assert (ada.sourced_id, ada.username, ada.email, ada.enabled) == ("u1", "ada", "ada@harbor.example", True)
    assert ada.user_ids == (("SIS", "17"), ("Fed", "a:b"))
    assert [user.roles for user in (ada, grace, alan)] == [{"learner"}, {"trainer", "org_admin"}, set()]
    assert (alan.email, alan.enabled, alan.user_ids, alan.tells_all_roles) == (None, False, (), True)


def test_users_of_1_1_have_the_role_of_their_row(tmp_path: Path) -> None:
    roster = open_roster(write_zip(tmp_path / "a.zip", files_of_1_1()))

    assert [user.roles for user in roster.users()] == [{"learner"}, {"trainer"}, set()]
    assert all(user.tells_all_roles for user in roster.users())


@pytest.mark.parametrize(
    ("role", "means"),
    [
        ("student", "learner"),
        ("Teacher", "trainer"),
        ("administrator", "org_admin"),
        ("districtAdministrator", "org_admin"),
        ("siteAdministrator", "org_admin"),
        ("systemAdministrator", "org_admin"),
        ("principal", "org_admin"),
        ("aide", None),
        ("counselor", None),
        ("guardian", None),
        ("parent", None),
        ("proctor", None),
        ("relative", None),
        ("ext:librarian", None),
    ],
)
def test_each_role_of_the_standard_has_one_meaning(deliver: Any, role: str, means: str | None) -> None:
    roles = [{"sourcedId": "r1", "userSourcedId": "u1", "role": role}]
    enrollments = [{**ROSTER["enrollments"][0], "role": role}]
    roster = deliver({**ROSTER, "roles": roles, "enrollments": enrollments})

    assert [row.role for row in roster.roles()] == [means]
    assert next(roster.users()).roles == ({means} if means else set())
    assert [row.role for row in roster.enrollments()] == [means if means != "org_admin" else None]


def test_a_deleted_role_is_none_and_a_delta_does_not_tell_all_roles(deliver: Any) -> None:
    roles = [{"sourcedId": "r1", "status": "tobedeleted", "userSourcedId": "u1", "role": "teacher"}]
    ada = next(deliver({**ROSTER, "roles": roles}, modes={"roles": "delta"}).users())

    assert (ada.roles, ada.tells_all_roles) == (frozenset(), False)


def test_a_class_begins_with_its_earliest_term_and_ends_with_its_latest(deliver: Any) -> None:
    first, second = deliver().classes()

    assert (first.sourced_id, first.title, first.class_code) == ("c1", "Statistics A", "STAT-A")
    assert (first.course_sourced_id, first.term_sourced_ids) == ("k1", ("t2", "t1"))
    assert (first.starts_on, first.ends_on) == (date(2026, 9, 1), date(2027, 4, 1))
    assert (second.starts_on, second.ends_on, second.class_code, second.term_sourced_ids) == (None, None, None, ())


def test_metadata_columns_of_a_class_are_kept_by_their_names(deliver: Any) -> None:
    header = [*HEADERS["classes"].split(","), "metadata.xapi.activity", "Metadata.room", "color"]
    rows = [{**ROSTER["classes"][0], "metadata.xapi.activity": "https://learn.example/course/1", "color": "red"}]
    row = next(deliver(contents={"classes": table(header, rows)}).classes())

    assert row.metadata == {"metadata.xapi.activity": "https://learn.example/course/1"}


def test_an_enrollment_has_its_role_and_days(deliver: Any) -> None:
    first, second, third = deliver().enrollments()

    assert (first.class_sourced_id, first.user_sourced_id, first.role) == ("c1", "u1", "learner")
    assert (first.begin_on, first.end_on, first.line) == (date(2026, 9, 2), date(2026, 12, 1), 2)
    assert (second.role, second.begin_on, second.end_on) == ("trainer", None, None)
    assert (third.role, third.is_deleted) == (None, False)


def test_a_deleted_row_needs_no_more_than_its_id(deliver: Any) -> None:
    gone = [{"sourcedId": "x", "status": "tobedeleted"}]
    roster = deliver(only(classes=gone, users=gone, enrollments=gone), mode="delta")

    for rows in (roster.classes(), roster.users(), roster.enrollments()):
        assert [(row.sourced_id, row.is_deleted) for row in rows] == [("x", True)]


def test_sessions_orgs_and_courses_are_read_too(deliver: Any) -> None:
    roster = deliver()

    assert [(row.starts_on, row.ends_on) for row in roster.academic_sessions()] == [
        (date(2026, 9, 1), date(2026, 12, 20)),
        (date(2027, 1, 10), date(2027, 4, 1)),
    ]
    assert [(row.name, row.kind) for row in roster.orgs()] == [("Harbor College", "school")]
    assert [(row.title, row.course_code) for row in roster.courses()] == [("Statistics", "STAT")]


@pytest.mark.parametrize(
    ("change", "reason", "column"),
    [
        ({"sourcedId": ""}, "missing_value", "sourcedId"),
        ({"sourcedId": "x" * 256}, "invalid_value", "sourcedId"),
        ({"classSourcedId": " "}, "missing_value", "classSourcedId"),
        ({"userSourcedId": ""}, "missing_value", "userSourcedId"),
        ({"role": ""}, "missing_value", "role"),
        ({"role": "pupil"}, "invalid_value", "role"),
        ({"status": "inactive"}, "invalid_value", "status"),
        ({"beginDate": "02/09/2026"}, "invalid_value", "beginDate"),
        ({"beginDate": "2026-09-02T00:00:00Z"}, "invalid_value", "beginDate"),
        ({"beginDate": "20260902"}, "invalid_value", "beginDate"),
        ({"beginDate": "2026-W36-3"}, "invalid_value", "beginDate"),
        ({"beginDate": "٢٠٢٦-٠٩-٠٢"}, "invalid_value", "beginDate"),
        ({"endDate": "2026-02-30"}, "invalid_value", "endDate"),
        ({"endDate": "2026-09-01"}, "invalid_value", "endDate"),
        ({"classSourcedId": "c9"}, "unknown_reference", "classSourcedId"),
        ({"userSourcedId": "u9"}, "unknown_reference", "userSourcedId"),
    ],
)
def test_an_enrollment_that_breaks_a_rule_is_refused_alone(
    deliver: Any, change: dict[str, str], reason: str, column: str
) -> None:
    first, *others = ROSTER["enrollments"]
    roster = deliver({**ROSTER, "enrollments": [{**first, **change}, *others]})
    refused, *accepted = roster.enrollments()

    assert (refused.file_name, refused.line, refused.reason) == ("enrollments.csv", 2, reason)
    assert refused.detail.startswith(column)
    assert not [value for value in change.values() if value.strip() and value in refused.detail]
    assert [row.sourced_id for row in accepted] == ["e2", "e3"]
    assert roster.counts["enrollments.csv"] == FileCounts(3, 2, 1, 0)


@pytest.mark.parametrize(
    ("kind", "change", "reason", "column"),
    [
        ("users", {"userIds": "SIS:17"}, "invalid_value", "userIds"),
        ("users", {"enabledUser": "yes"}, "invalid_value", "enabledUser"),
        ("classes", {"title": ""}, "missing_value", "title"),
        ("classes", {"termSourcedIds": "t1,t9"}, "unknown_reference", "termSourcedIds"),
        ("roles", {"userSourcedId": "u9"}, "unknown_reference", "userSourcedId"),
        ("academicSessions", {"startDate": ""}, "missing_value", "startDate"),
        ("academicSessions", {"endDate": "2026-08-31"}, "invalid_value", "endDate"),
    ],
)
def test_rows_of_the_other_files_are_refused_by_their_own_rules(
    deliver: Any, kind: str, change: dict[str, str], reason: str, column: str
) -> None:
    first, *others = ROSTER[kind]
    roster = deliver({**ROSTER, kind: [{**first, **change}, *others]})
    method = {"academicSessions": "academic_sessions"}.get(kind, kind)

    [(line, found, detail)] = refusals(getattr(roster, method)())
    assert (line, found) == (2, reason)
    assert detail.startswith(column)
    assert roster.counts[f"{kind}.csv"].rows_refused == 1


def test_an_end_on_the_day_of_the_beginning_is_no_day_and_no_fault(deliver: Any) -> None:
    row = {**ROSTER["enrollments"][0], "beginDate": "2026-09-02", "endDate": "2026-09-02"}

    assert refusals(deliver({**ROSTER, "enrollments": [row]}).enrollments()) == []


def test_what_refers_to_a_refused_row_is_refused_too(deliver: Any) -> None:
    classes = [{**ROSTER["classes"][0], "title": ""}, ROSTER["classes"][1]]

    assert [line for line, reason, _ in refusals(deliver({**ROSTER, "classes": classes}).enrollments())] == [2, 3]


def test_references_into_a_delta_are_not_checked(deliver: Any) -> None:
    enrollments = [{**ROSTER["enrollments"][0], "classSourcedId": "c9", "userSourcedId": "u9"}]
    roster = deliver({**ROSTER, "enrollments": enrollments}, modes={"classes": "delta", "users": "delta"})

    assert refusals(roster.enrollments()) == []


def test_the_first_of_two_rows_with_one_id_counts_and_an_exact_repeat_is_ignored(deliver: Any) -> None:
    first, second, third = ROSTER["enrollments"]
    other = {**first, "endDate": "2026-11-11"}
    broken = {**second, "role": "pupil"}
    roster = deliver({**ROSTER, "enrollments": [broken, first, other, second, first, third]})

    rows = list(roster.enrollments())
    assert [row.line for row in rows if not isinstance(row, RefusedRow)] == [3, 5, 7]
    assert [(row.line, row.reason) for row in rows if isinstance(row, RefusedRow)] == [
        (2, "invalid_value"),
        (4, "conflict"),
    ]
    assert roster.counts["enrollments.csv"] == FileCounts(6, 3, 2, 1)


def test_reading_again_yields_the_same(deliver: Any) -> None:
    roster = deliver()

    assert list(roster.enrollments()) == list(roster.enrollments())
    assert list(roster.users()) == list(roster.users())
    assert roster.counts["users.csv"] == FileCounts(3, 3, 0, 0)
    assert roster.counts["enrollments.csv"] == FileCounts(3, 3, 0, 0)


_HEADER = HEADERS["enrollments"].encode()
_ROW = b"e%d,,,c1,,u1,student,,,"


@pytest.mark.parametrize(
    ("content", "accepted", "lines_refused"),
    [
        pytest.param(b"\xef\xbb\xbf" + _HEADER + b"\n" + _ROW % 1, ["e1"], [], id="byte order mark, no end"),
        pytest.param(_HEADER + b"\r\n" + _ROW % 1 + b"\r\n" + _ROW % 2 + b"\r\n", ["e1", "e2"], [], id="CR LF"),
        pytest.param(_HEADER + b"\n\n" + _ROW % 1 + b"\n \n,,,,,,,,,\n", ["e1"], [], id="blank lines"),
        pytest.param(_HEADER.upper() + b"\n" + _ROW % 1, ["e1"], [], id="header in capitals"),
        pytest.param(
            b'role,"userSourcedId",extra,classSourcedId, sourcedId\nstudent,u1,"a\n""b""\nc,d",c1,e1\nstudent,u1,,c1,e2\n',
            ["e1", "e2"],
            [],
            id="reordered, quoted line breaks",
        ),
        pytest.param(
            _HEADER + b"\n" + _ROW % 1 + b",,,\n" + _ROW % 2 + b",x\n" + b"e3,,\n", ["e1"], [3, 4], id="widths"
        ),
        pytest.param(
            _HEADER + b"\n" + _ROW % 1 + b"\0\n" + _ROW % 2 + b"\xff\n" + _ROW % 3, ["e3"], [2, 3], id="bytes"
        ),
        pytest.param(_HEADER + b"\n" + _ROW % 1 + b"\r,\n" + _ROW % 2, ["e2"], [2], id="carriage return inside"),
        pytest.param(
            _HEADER + b'\n"e1,,,c1,,u1,student,,,\n' + _ROW % 2 + b"\n" + _ROW % 3, ["e2", "e3"], [2], id="open quote"
        ),
        pytest.param(
            _HEADER + b'\n"e1",,,"c1,,u1,student,,,\n"e2",,,c1,,u1,student,,,\n"e3",,,c1,,u1,student,,,\n' + _ROW % 4,
            ["e2", "e3", "e4"],
            [2],
            id="open quote before quoted rows",
        ),
        pytest.param(
            _HEADER
            + b'\ne1,,,"c1,,u1,student,,,\n'
            + _ROW % 2
            + b"\n"
            + _ROW % 3
            + b'\nx",,u1,student,,,\n'
            + _ROW % 4,
            ["e2", "e3", "e4"],
            [2, 5],
            id="two open quotes with whole rows between",
        ),
        pytest.param(
            _HEADER + b"\n" + _ROW % 1 + b"\n" + b"x" * (MAXIMUM_RECORD_BYTES + 1) + b"\n" + _ROW % 2,
            ["e1", "e2"],
            [3],
            id="a line over the limit",
        ),
    ],
)
def test_text_is_read_as_rfc_4180_says_and_a_broken_record_costs_itself(
    deliver: Any, content: bytes, accepted: list[str], lines_refused: list[int]
) -> None:
    roster = deliver(contents={"enrollments": content})
    rows = list(roster.enrollments())

    assert [row.sourced_id for row in rows if not isinstance(row, RefusedRow)] == accepted
    assert [row.line for row in rows if isinstance(row, RefusedRow)] == lines_refused
    assert roster.counts["enrollments.csv"].rows_read == len(rows)


def test_the_end_of_an_overlong_line_is_no_row(tmp_path: Path) -> None:
    filler = b"x" * (2 * BLOCK_BYTES - len(_HEADER) - 1)
    content = _HEADER + b"\n" + filler + _ROW % 9 + b"\n" + _ROW % 1
    rows = list(open_roster(write_folder(tmp_path, files_of(contents={"enrollments": content}))).enrollments())

    assert [(row.line, isinstance(row, RefusedRow)) for row in rows] == [(2, True), (3, False)]


def test_a_line_of_fifty_megabytes_is_refused_without_being_held(tmp_path: Path) -> None:
    noise = b"x" * 50_000_000
    files = files_of(contents={"enrollments": _HEADER + b"\n" + noise + b"\n" + _ROW % 1})
    roster = open_roster(write_folder(tmp_path, files))
    del noise, files
    tracemalloc.start()
    rows = list(roster.enrollments())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert [row.line for row in rows] == [2, 3]
    assert peak < 8_000_000
