"""The program that the server keeps and fetches its log with: it never replaces, never ends a recovery by mistake."""

from __future__ import annotations

import gzip
import subprocess
from pathlib import Path

import pytest

from lyceum import database

PROGRAM = Path(database.__file__).parents[1] / "backup" / "wal_segment.sh"
NAME = "000000010000000000000001"


def call(*arguments: object) -> int:
    return subprocess.run(
        ["/bin/sh", str(PROGRAM), *map(str, arguments)], capture_output=True, check=False, env={"PATH": "/usr/bin:/bin"}
    ).returncode


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    folder = tmp_path / "the archive's place"
    folder.mkdir()
    return folder


@pytest.fixture
def segment(tmp_path: Path) -> Path:
    path = tmp_path / "segment"
    path.write_bytes(b"log " * 1000)
    return path


def test_what_is_kept_comes_back_and_nothing_else_is_left(archive: Path, segment: Path, tmp_path: Path) -> None:
    assert call("keep", archive, segment, NAME) == 0
    assert [path.name for path in archive.iterdir()] == [f"{NAME}.gz"]
    assert call("fetch", tmp_path / "back", NAME, archive) == 0
    assert (tmp_path / "back").read_bytes() == segment.read_bytes()
    assert (archive / f"{NAME}.gz").stat().st_mode & 0o777 == 0o600


def test_keeping_the_same_file_again_succeeds_and_another_one_is_refused(archive: Path, segment: Path) -> None:
    assert call("keep", archive, segment, NAME) == 0
    assert call("keep", archive, segment, NAME) == 0
    kept = (archive / f"{NAME}.gz").read_bytes()
    segment.write_bytes(b"another log")

    assert call("keep", archive, segment, NAME) == 2
    assert (archive / f"{NAME}.gz").read_bytes() == kept


def test_a_kept_file_that_was_damaged_is_refused_rather_than_believed(archive: Path, segment: Path) -> None:
    (archive / f"{NAME}.gz").write_bytes(gzip.compress(segment.read_bytes())[:-10])

    assert call("keep", archive, segment, NAME) == 2


def test_what_an_interruption_left_does_not_stand_in_the_way(archive: Path, segment: Path) -> None:
    (archive / f".{NAME}.17.part").write_bytes(b"half")

    assert call("keep", archive, segment, NAME) == 0


def test_a_segment_that_cannot_be_written_is_not_kept(archive: Path, tmp_path: Path) -> None:
    assert call("keep", archive, tmp_path / "absent", NAME) == 2
    assert list(archive.iterdir()) == []
    assert call("keep", tmp_path / "no archive", tmp_path / "absent", NAME) == 2


def test_what_nobody_has_ends_a_recovery_and_what_is_damaged_stops_it(
    archive: Path, segment: Path, tmp_path: Path
) -> None:
    back = tmp_path / "back"
    assert call("fetch", back, NAME, archive) == 1
    call("keep", archive, segment, NAME)
    kept = archive / f"{NAME}.gz"
    kept.write_bytes(kept.read_bytes()[:-12])

    assert call("fetch", back, NAME, archive) == 200
    assert not back.exists()


def test_what_was_never_archived_is_taken_from_another_folder(archive: Path, segment: Path, tmp_path: Path) -> None:
    log = tmp_path / "pg_wal"
    log.mkdir()
    (log / NAME).write_bytes(b"never archived")

    assert call("fetch", tmp_path / "back", NAME, archive, log) == 0
    assert (tmp_path / "back").read_bytes() == b"never archived"
    call("keep", archive, segment, NAME)
    assert call("fetch", tmp_path / "back", NAME, archive, log) == 0
    assert (tmp_path / "back").read_bytes() == segment.read_bytes(), "the archive's own copy comes first"


def test_probing_leaves_nothing(archive: Path, tmp_path: Path) -> None:
    assert call("probe", archive) == 0
    assert list(archive.iterdir()) == []
    assert call("probe", tmp_path / "absent") != 0
