"""A delivery that cannot be read as a whole, or must not be trusted, says so before anything of it counts."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from lyceum.adapters.oulad import open_inputs
from lyceum.adapters.untrusted_zip import MAXIMUM_DIRECTORY_BYTES
from lyceum.errors import ConfigurationError, InputError
from unit.adapters.oulad.oulad_set import (
    HEADERS,
    TWO_PRESENTATIONS,
    files_of,
    table_text,
    with_rows,
    write_folder,
    write_zip,
)


def refused(path: Path) -> str:
    with pytest.raises(InputError) as error:
        open_inputs(path)
    return str(error.value)


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert f"{tmp_path / 'none.zip'} is neither a file nor a folder" in refused(tmp_path / "none.zip")


def test_a_file_that_is_no_zip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "set.zip").write_bytes(b"code_module,code_presentation\n" * 100)

    assert "is not a readable zip" in refused(tmp_path / "set.zip")


@pytest.mark.parametrize("write", [write_zip, write_folder])
def test_every_missing_table_is_named_at_once(tmp_path: Path, write: Callable[..., Path]) -> None:
    files = files_of()
    del files["vle.csv"], files["studentInfo.csv"]

    message = refused(write(tmp_path / "set", files))

    assert "lacks vle.csv, studentInfo.csv; expected the OULAD layout" in message


def test_a_table_in_two_places_is_refused(tmp_path: Path) -> None:
    files = files_of()

    assert "studentVle.csv twice" in refused(write_zip(tmp_path / "set.zip", {**files, "old/StudentVLE.csv": b""}))
    assert "studentVle.csv twice" in refused(write_folder(tmp_path / "set", {**files, "old/studentVle.csv": b""}))


def test_other_members_are_ignored(tmp_path: Path) -> None:
    others = {"README.txt": b"hello", "__MACOSX/._studentVle.csv": b"\0" * 100, "more/": b""}

    assert len(open_inputs(write_zip(tmp_path / "set.zip", {**files_of(), **others}))) == 11


@pytest.mark.parametrize("table", HEADERS)
def test_a_table_without_its_header_is_refused_and_no_cell_of_it_is_told(tmp_path: Path, table: str) -> None:
    rows = b"".join(table_text(table, TWO_PRESENTATIONS[table]).splitlines(keepends=True)[1:])

    message = refused(write_folder(tmp_path, files_of(contents={table: rows})))

    assert f"{table}.csv of {tmp_path} does not begin with its header" in message
    cells = {cell for row in TWO_PRESENTATIONS[table] for cell in row if len(cell) > 2}
    assert not [cell for cell in cells if cell in message.replace(str(tmp_path), "")]


@pytest.mark.parametrize(
    "content",
    [
        b"\n",
        b"code_module;code_presentation;id_student;id_site;date;sum_click\n",
        b"code_module,code_presentation,id_student,id_site,date\n",
        b"code_module,code_presentation,id_student,id_site,date,sum_click,date\n",
        "code_module,code_presentation,id_student,id_site,date,sum_click\n".encode("utf-16"),
        b"x" * 200_000,
    ],
)
def test_a_header_that_names_not_every_column_once_is_refused(tmp_path: Path, content: bytes) -> None:
    message = refused(write_folder(tmp_path, files_of(contents={"studentVle": content})))

    assert "does not begin with its header" in message
    assert len(message) < 1000


@pytest.mark.parametrize(
    "name",
    ["../studentVle.csv", "/studentVle.csv", "a/../../studentVle.csv", "..\\studentVle.csv", "C:\\studentVle.csv"],
)
def test_a_member_that_points_outside_is_refused(tmp_path: Path, name: str) -> None:
    message = refused(write_zip(tmp_path / "set.zip", {**files_of(), name: b"x"}))

    assert "points outside" in message


def test_a_member_that_unpacks_to_far_more_than_it_is_is_refused(tmp_path: Path) -> None:
    bomb = table_text("studentVle", []) + b"\n" * 20_000_000

    message = refused(write_zip(tmp_path / "set.zip", files_of(contents={"studentVle": bomb})))

    assert "would unpack" in message
    assert "studentVle.csv of " in message


def test_a_member_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    content = table_text("studentVle", TWO_PRESENTATIONS["studentVle"])
    path = write_zip(tmp_path / "set.zip", files_of(contents={"studentVle": content + b"\n" * 2_000_000}))
    data = path.read_bytes()
    told, real = struct.pack("<L", len(content)), struct.pack("<L", len(content) + 2_000_000)
    assert data.count(real) == 2
    path.write_bytes(data.replace(real, told))

    assert "studentVle.csv" in refused(path)


def test_a_table_of_contents_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "set.zip", files_of())
    data = bytearray(path.read_bytes())
    end = data.rfind(b"PK\5\6")
    data[end + 12 : end + 16] = struct.pack("<L", MAXIMUM_DIRECTORY_BYTES + 1)
    path.write_bytes(data)

    assert "table of contents of 1,048,577 bytes" in refused(path)


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "set.zip", files_of())
    data = bytearray(path.read_bytes())
    at = data.rfind(b"studentVle.csv") - 46  # its record in the table of contents
    assert data[at : at + 4] == b"PK\1\2"
    data[at + 8] |= 1
    path.write_bytes(data)

    assert "is encrypted. Expected a zip without a password" in refused(path)


def test_a_compression_method_without_bounds_is_refused(tmp_path: Path) -> None:
    message = refused(write_zip(tmp_path / "set.zip", files_of(), zipfile.ZIP_BZIP2))

    assert "compression method 12" in message


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_zip_is_refused(tmp_path: Path, share: float) -> None:
    path = write_zip(tmp_path / "set.zip", files_of())
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])

    assert "is not a readable zip" in refused(path)


@pytest.mark.parametrize("table", HEADERS)
def test_a_damaged_member_is_refused_as_a_whole(tmp_path: Path, table: str) -> None:
    path = write_zip(tmp_path / "set.zip", files_of(), zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    content = files_of()[f"{table}.csv"]
    at = data.find(content) + len(content) - 4
    data[at] = ord("7") if data[at] != ord("7") else ord("8")
    path.write_bytes(data)

    assert f"{table}.csv of {path} is damaged" in refused(path)


def test_damaged_deflate_data_is_refused(tmp_path: Path) -> None:
    rows = [("AAA", "2013J", str(index * 7919 % 100_003), "546652", "1", "1") for index in range(5000)]
    path = write_zip(tmp_path / "set.zip", files_of(with_rows(studentVle=rows)))
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo("studentVle.csv")
    data = bytearray(path.read_bytes())
    middle = member.header_offset + 30 + len(member.filename) + member.compress_size // 2
    data[middle : middle + 40] = bytes(40)
    path.write_bytes(data)

    assert "studentVle.csv" in refused(path)


def test_a_scratch_folder_that_is_not_there_is_a_matter_of_configuration(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "set", files_of())

    with pytest.raises(ConfigurationError, match="No temporary file can be made"):
        open_inputs(path, tmp_path / "absent")
