"""Any roster that is written is read back as it was, and whatever is done to some of its rows costs those rows alone."""

from __future__ import annotations

import tempfile
from datetime import date
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from lyceum.adapters.oneroster import RefusedRow, open_roster
from unit.adapters.oneroster.roster_files import HEADERS, manifest, table, write_folder, write_zip

TEXT = (
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12).map(str.strip).filter(len)
)
LINES = st.text('ab",\n\r;é ', max_size=12)
IDENTIFIERS = st.lists(TEXT, min_size=1, max_size=6, unique=True)
DAYS = st.dates(date(2000, 1, 1), date(2100, 1, 1))
ROLES = {"student": "learner", "teacher": "trainer", "proctor": None, "administrator": None}


@st.composite
def enrollments(draw: st.DrawFn) -> list[dict[str, str]]:
    """Rows of enrollments.csv, with titles that need quoting in columns that are not read."""
    rows = []
    for sourced_id in draw(st.lists(TEXT, min_size=1, max_size=12, unique=True)):
        begin, end = sorted([draw(DAYS), draw(DAYS)])
        rows.append(
            {
                "sourcedId": sourced_id,
                "status": draw(st.sampled_from(["", "active", "tobedeleted"])),
                "classSourcedId": draw(TEXT),
                "userSourcedId": draw(TEXT),
                "role": draw(st.sampled_from(sorted(ROLES))),
                "primary": draw(LINES),
                "beginDate": draw(st.sampled_from(["", begin.isoformat()])),
                "endDate": draw(st.sampled_from(["", end.isoformat()])),
            }
        )
    return rows


def _read(content: bytes, *, is_zip: bool = False) -> list[object]:
    with tempfile.TemporaryDirectory() as folder:
        files = {"manifest.csv": manifest(enrollments="delta"), "enrollments.csv": content}
        path = Path(folder) / "roster"
        return list(open_roster((write_zip if is_zip else write_folder)(path, files)).enrollments())


def _told(rows: list[object]) -> list[tuple[object, ...]]:
    return [
        (
            row.sourced_id,  # type: ignore[attr-defined]
            row.is_deleted,  # type: ignore[attr-defined]
            row.class_sourced_id,  # type: ignore[attr-defined]
            row.user_sourced_id,  # type: ignore[attr-defined]
            row.role,  # type: ignore[attr-defined]
            row.begin_on,  # type: ignore[attr-defined]
            row.end_on,  # type: ignore[attr-defined]
        )
        for row in rows
        if not isinstance(row, RefusedRow)
    ]


def _expected(rows: list[dict[str, str]]) -> list[tuple[object, ...]]:
    return [
        (
            row["sourcedId"],
            row["status"] == "tobedeleted",
            row["classSourcedId"],
            row["userSourcedId"],
            ROLES[row["role"]],
            date.fromisoformat(row["beginDate"]) if row["beginDate"] else None,
            date.fromisoformat(row["endDate"]) if row["endDate"] else None,
        )
        for row in rows
    ]


@settings(max_examples=60, deadline=None)
@given(enrollments(), st.permutations(HEADERS["enrollments"].split(",")), st.booleans(), st.booleans())
def test_what_is_written_is_read_back(
    rows: list[dict[str, str]], columns: list[str], is_zip: bool, is_windows: bool
) -> None:
    if not is_windows:  # where lines end with LF, nothing tells the writer to quote a CR
        rows = [{column: value.replace("\r", "") or "1" for column, value in row.items() if value} for row in rows]
        rows = [{**dict.fromkeys(HEADERS["enrollments"].split(","), ""), **row} for row in rows]
        rows = list({row["sourcedId"].strip(): row for row in rows}.values())
    content = table(columns, rows, is_quoted=is_windows)
    if is_windows:
        content = b"\xef\xbb\xbf" + content

    assert _told(_read(content, is_zip=is_zip)) == _expected(rows)


BROKEN = (
    b'"',
    b'"x"y",,,,,,,,,',
    b"\xff,,,c,,u,student,,,",
    b"a\0b,,,c,,u,student,,,",
    b"z,,,c,,u,student,,",
    b"z,,,c,,u,student,,,,x",
    b",,,c,,u,student,,,",
    b"z,,,,,u,student,,,",
    b"z,gone,,c,,u,student,,,",
    b"z,,,c,,u,dean,,,",
    b"z,,,c,,u,student,,2026-13-01,",
    b"z,,,c,,u,student,,2026-02-01,2026-01-01",
)


@settings(max_examples=80, deadline=None)
@given(enrollments(), st.lists(st.tuples(st.integers(0, 12), st.sampled_from(BROKEN)), min_size=1, max_size=3))
def test_mangled_rows_are_refused_alone(rows: list[dict[str, str]], mangled: list[tuple[int, bytes]]) -> None:
    # Lines with one open quote each would make one field together, as the standard's own line breaks do.
    mangled = [*(m for m in mangled if m[1].count(b'"') % 2 == 0), *[m for m in mangled if m[1].count(b'"') % 2][:1]]
    rows = [{**row, "primary": row["primary"].replace("\n", "").replace("\r", "").replace('"', "")} for row in rows]
    rows = [row for row in rows if '"' not in "".join(row.values()) and len("".join(row.values()).splitlines()) == 1]
    header, *lines = table(HEADERS["enrollments"], rows).removesuffix(b"\n").split(b"\n")
    for at, line in mangled:
        lines.insert(min(at, len(lines)), line)

    read = _read(b"\n".join([header, *lines]) + b"\n")

    assert _told(read) == _expected(rows)
    assert sum(isinstance(row, RefusedRow) for row in read) == len(mangled)
