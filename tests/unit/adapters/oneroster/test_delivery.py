"""A delivery says what it is, is told by its content, and is refused as a whole before anything of it counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lyceum.adapters.oneroster import open_roster
from lyceum.errors import InputError
from unit.adapters.oneroster.roster_files import (
    ROSTER,
    files_of,
    files_of_1_1,
    manifest,
    table,
    write_folder,
    write_zip,
)


def refused(path: Path) -> str:
    with pytest.raises(InputError) as error:
        open_roster(path)
    return str(error.value)


@pytest.mark.parametrize("write", [write_zip, write_folder])
def test_a_zip_and_a_folder_say_the_same(tmp_path: Path, write: Callable[..., Path]) -> None:
    roster = open_roster(write(tmp_path / "harbor", files_of(modes={"orgs": "absent", "classes": "delta"})))

    assert (roster.name, roster.version) == ("harbor", "1.2")
    assert roster.files == {
        "academicSessions": "bulk",
        "orgs": "absent",
        "courses": "bulk",
        "classes": "delta",
        "users": "bulk",
        "roles": "bulk",
        "enrollments": "bulk",
    }


def test_the_fingerprint_is_of_the_content_alone(tmp_path: Path) -> None:
    files = files_of()
    fingerprint = open_roster(write_zip(tmp_path / "a.zip", files)).fingerprint
    nested = {f"export/{name}": content for name, content in reversed(files.items())}

    assert len(fingerprint) == 32
    assert open_roster(write_folder(tmp_path / "b", files)).fingerprint == fingerprint
    assert open_roster(write_zip(tmp_path / "c.zip", nested)).fingerprint == fingerprint
    assert open_roster(write_folder(tmp_path / "d", {**files, "demographics.csv": b"x"})).fingerprint == fingerprint
    for changed in (
        {"users.csv": files["users.csv"].replace(b"ada", b"eda")},
        {"manifest.csv": files["manifest.csv"].replace(b"file.users,bulk", b"file.users,delta")},
    ):
        other = write_zip(tmp_path / "e.zip", {**files, **changed})
        assert open_roster(other).fingerprint != fingerprint


def test_files_without_a_manifest_are_complete_and_their_headers_tell_the_version(tmp_path: Path) -> None:
    for version, files in (("1.2", files_of()), ("1.1", files_of_1_1())):
        del files["manifest.csv"]
        roster = open_roster(write_zip(tmp_path / f"{version}.zip", files))
        assert roster.version == version
        assert {kind for kind, mode in roster.files.items() if mode == "bulk"} == {
            n.removesuffix(".csv") for n in files
        }


def test_names_of_files_may_have_any_case(tmp_path: Path) -> None:
    files = {name.upper(): content for name, content in files_of().items()}
    roster = open_roster(write_zip(tmp_path / "a.zip", files))

    assert len(list(roster.users())) == 3


def test_a_manifest_may_lack_its_header(tmp_path: Path) -> None:
    content = manifest(users="bulk").removeprefix(b"propertyName,value\nmanifest.version,1.0\n")
    roster = open_roster(write_zip(tmp_path / "a.zip", {**files_of({"users": []}), "manifest.csv": content}))

    assert roster.files["users"] == "bulk"


def test_a_file_that_the_manifest_calls_absent_is_not_read(tmp_path: Path) -> None:
    roster = open_roster(
        write_zip(tmp_path / "a.zip", files_of(modes={"roles": "absent"}, contents={"roles": b"\0\0"}))
    )

    assert list(roster.roles()) == []
    assert "roles.csv" not in roster.counts


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"manifest.csv": manifest("1.0", users="bulk")}, "states oneroster.version '1.0'. Expected 1.2 or 1.1"),
        ({"manifest.csv": manifest(users="bulk")}, "says that users.csv is bulk, but the file is not there"),
        ({"manifest.csv": manifest(users="full"), "users.csv": b"sourcedId\n"}, "an unknown mode for file.users"),
        (
            {"manifest.csv": b"propertyName,value\noneroster.version,1.1\n", "users.csv": b"sourcedId\n"},
            "holds users.csv, but manifest.csv has no file.users",
        ),
        ({"manifest.csv": b'propertyName,value\n"oneroster.version\n'}, "Line 2 of manifest.csv"),
        ({"README.txt": b"hello"}, "holds none of academicSessions.csv"),
        ({"users.csv": b""}, "users.csv of .* does not begin with a header"),
        ({"users.csv": b"id,name\n1,a\n"}, "users.csv of .* has no column sourcedId"),
        ({"users.csv": b"sourcedId,email,EMAIL\n"}, "users.csv of .* has the column email twice"),
        ({"enrollments.csv": b"sourcedId,role\n"}, "has no column classSourcedId, userSourcedId"),
        ({"users.csv": "sourcedId,role\n".encode("utf-16")}, "users.csv of .* is UTF-16. Expected UTF-8"),
    ],
)
def test_what_cannot_be_read_as_a_whole_says_what_is_expected(
    tmp_path: Path, files: dict[str, bytes], expected: str
) -> None:
    with pytest.raises(InputError, match=expected):
        open_roster(write_zip(tmp_path / "a.zip", files))


def test_a_path_that_is_not_there_or_no_zip_is_named(tmp_path: Path) -> None:
    (tmp_path / "users.zip").write_bytes(b"sourcedId\n" * 100)

    assert "is not a readable zip" in refused(tmp_path / "users.zip")
    assert "none.zip is neither a file nor a folder" in refused(tmp_path / "none.zip")


@pytest.mark.parametrize("name", ["../users.csv", "/users.csv", "a/../../users.csv", "..\\users.csv", "C:\\users.csv"])
def test_a_member_that_points_outside_is_refused(tmp_path: Path, name: str) -> None:
    assert "points outside" in refused(write_zip(tmp_path / "a.zip", {**files_of(), name: b"x"}))


def test_a_member_that_unpacks_to_far_more_than_it_is_is_refused(tmp_path: Path) -> None:
    bomb = files_of(contents={"users": b"sourcedId\n" + b"\n" * 20_000_000})

    assert "users.csv of" in (message := refused(write_zip(tmp_path / "a.zip", bomb)))
    assert "would unpack" in message


def test_a_file_in_two_places_is_refused(tmp_path: Path) -> None:
    assert "users.csv twice" in refused(write_zip(tmp_path / "a.zip", {**files_of(), "old/Users.csv": b""}))


def test_a_damaged_member_is_refused_when_it_is_opened(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", files_of())
    content = bytearray(path.read_bytes())
    at = content.index(b"users.csv") + 40
    content[at : at + 40] = bytes(40)
    path.write_bytes(content)

    assert "is damaged" in refused(path)


def test_a_file_that_changes_between_opening_and_reading_is_refused(tmp_path: Path) -> None:
    roster = open_roster(write_folder(tmp_path / "a", files_of()))
    (tmp_path / "a" / "enrollments.csv").write_bytes(table("sourcedId,classSourcedId,userSourcedId,role", []))

    with pytest.raises(InputError, match=r"enrollments\.csv of .* changed while the roster was read"):
        list(roster.enrollments())


def test_nothing_of_a_person_is_in_a_repr(tmp_path: Path) -> None:
    roster = open_roster(write_zip(tmp_path / "a.zip", files_of()))
    text = " ".join(map(repr, [roster, *roster.users(), *roster.roles(), *roster.enrollments()]))

    personal = {cell for row in ROSTER["users"] for column, cell in row.items() if column != "enabledUser"}
    assert not [cell for cell in personal if f"'{cell}'" in text]
    assert "Lovelace" not in text
