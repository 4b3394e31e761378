"""Stores that cut, lose, or lie: a fake of the store, never of our part. The partition stays, and the error says what happened."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from archived_partitions import AS_OF, Archiving
from lyceum import partitions
from lyceum.archiving import ArchiveError, archive_files
from lyceum.archiving.files import LocalFiles, without_secrets
from lyceum.archiving.store import StoreFiles, open_store
from lyceum.errors import ConfigurationError, RetryableError
from lyceum.organizations import add_organization
from lyceum.sealing import ARCHIVED_TABLES, restore_week, seal_due_weeks
from lyceum.settings import Settings


class UnreliableFileSystem(MemoryFileSystem):
    """A store in memory that says that all went well. What it does instead is said by `fault`."""

    protocol: ClassVar[tuple[str, ...]] = ("unreliable",)  # type: ignore[misc]
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    fault: ClassVar[str] = ""

    def cp_file(self, path1: str, path2: str, **named: Any) -> None:
        """Copy, unless the fault is in copying."""
        if self.fault == "loses what it copies":
            return
        if self.fault == "cannot copy":
            raise NotImplementedError
        super().cp_file(path1, path2, **named)
        if self.fault == "cuts what it copies" and path2.endswith(".parquet"):
            self._change(path2, lambda content: content[:-1])
        if self.fault == "flips a bit of what it copies" and path2.endswith(".manifest.json"):
            self._change(path2, lambda content: content.replace(b'"rows": 2', b'"rows": 3'))

    def _open(self, path: str, mode: str = "rb", **named: Any) -> Any:  # type: ignore[override]
        if self.fault == "refuses to write" and "w" in mode:
            raise PermissionError("the key s3cr3t may not write")
        file = super()._open(path, mode, **named)
        if "w" in mode:
            close = file.close

            def close_badly() -> None:
                if self.fault == "cuts an upload" and ".json" not in path:
                    file.truncate(file.tell() // 2)
                close()

            file.close = close_badly
        return file

    def _change(self, path: str, change: Any) -> None:
        content = change(self.cat_file(path))
        self.store[self._strip_protocol(path)].seek(0)
        self.store[self._strip_protocol(path)].truncate()
        self.store[self._strip_protocol(path)].write(content)


@pytest.fixture
def unreliable(archiving: Archiving, monkeypatch: pytest.MonkeyPatch) -> Iterator[Archiving]:
    fsspec.register_implementation("unreliable", UnreliableFileSystem, clobber=True)
    yield archiving.at("unreliable://archives")
    UnreliableFileSystem.store.clear()
    UnreliableFileSystem.pseudo_dirs[:] = [""]
    UnreliableFileSystem.fault = ""


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("loses what it copies", "keeps nothing as unreliable://archives/aggregated_analytics/all/2013-"),
        ("cuts what it copies", r"keeps \d+ bytes with SHA-256 [0-9a-f]+ as .*\.parquet"),
        ("flips a bit of what it copies", r"manifest\.json, although it said"),
        ("cuts an upload", "cannot be read as Parquet"),
    ],
)
def test_what_a_store_does_not_keep_as_it_was_is_not_recorded(
    unreliable: Archiving, monkeypatch: pytest.MonkeyPatch, fault: str, said: str
) -> None:
    unreliable.fill_year()
    before = unreliable.rows()
    monkeypatch.setattr(UnreliableFileSystem, "fault", fault)

    with pytest.raises(ArchiveError, match=said):
        unreliable.archive()

    assert unreliable.records() == []
    assert unreliable.rows() == before
    monkeypatch.setattr(UnreliableFileSystem, "fault", "")
    unreliable.archive()
    assert unreliable.is_archived()
    assert len(unreliable.names()) == 2


def test_a_store_that_refuses_is_named_without_what_it_says(
    unreliable: Archiving, monkeypatch: pytest.MonkeyPatch
) -> None:
    unreliable.fill_year()
    monkeypatch.setattr(UnreliableFileSystem, "fault", "refuses to write")

    with pytest.raises(RetryableError, match="could not be written") as raised:
        unreliable.archive()

    assert "s3cr3t" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert unreliable.records() == []


def test_a_good_archive_survives_a_later_upload_that_the_store_cuts(
    unreliable: Archiving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same rows have the same name: what is there, and whole, is not copied over."""
    unreliable.fill_year()
    unreliable.archive()
    unreliable.connection.execute("delete from ops.partition_archives")
    monkeypatch.setattr(UnreliableFileSystem, "fault", "cuts what it copies")

    unreliable.archive()

    assert unreliable.is_archived()


def test_a_file_server_that_cannot_copy_keeps_archives_too(
    unreliable: Archiving, monkeypatch: pytest.MonkeyPatch
) -> None:
    unreliable.fill_year()
    monkeypatch.setattr(UnreliableFileSystem, "fault", "cannot copy")

    unreliable.archive()

    assert unreliable.is_archived()


def test_a_disk_that_refuses_is_named(archiving: Archiving) -> None:
    archiving.fill_year()
    (archiving.settings.home).mkdir(parents=True, exist_ok=True)
    archiving.settings.archives.write_text("a file where a folder should be")

    with pytest.raises(RetryableError, match="could not be written"):
        archiving.archive()

    assert archiving.records() == []


def test_weeks_are_sealed_and_restored_in_a_store_too(archiving: Archiving) -> None:
    monday = date(2026, 11, 2)
    settings = archiving.at("memory://archives-of-tests").settings
    organization = add_organization(archiving.connection, "ou", "OU", "Europe/London", AS_OF - timedelta(days=90))
    for table in ARCHIVED_TABLES:
        partitions.ensure_for_dates(archiving.connection, table, [monday])
    archiving.connection.execute(
        "insert into ops.week_states values (%s, %s, 'open', %s, null)", [organization.organization_id, monday, AS_OF]
    )
    archiving.connection.execute(
        "insert into stage_one.event_keys select %s, gen_random_uuid(), %s, number, 'x' from generate_series(1, 5) as number",
        [organization.organization_id, monday],
    )
    before = archiving.connection.execute("select * from stage_one.event_keys order by batch_id").fetchall()

    seal_due_weeks(archiving.warehouse.target, settings, AS_OF)

    assert archiving.connection.execute("select count(*) from stage_one.event_keys").fetchone() == (0,)
    assert not settings.archives.exists()
    with archiving.warehouse.connect() as batch:
        assert restore_week(batch, archiving.connection, settings, organization.organization_id, monday)
    assert archiving.connection.execute("select * from stage_one.event_keys order by batch_id").fetchall() == before


def test_a_url_of_a_folder_is_that_folder_and_nothing_means_the_home(archiving: Archiving) -> None:
    home = archiving.settings.home
    read = Settings.from_environment

    assert archive_files(read({"LYCEUM_HOME": str(home)}, home)) == LocalFiles(home / "archives")
    for value in (
        "elsewhere/deep",
        "file://elsewhere/deep",
        f"file://{home}/elsewhere/deep",
        str(home / "elsewhere/deep"),
    ):
        settings = read({"LYCEUM_HOME": str(home), "LYCEUM_ARCHIVES_URL": value}, home)
        assert archive_files(settings) == LocalFiles(home / "elsewhere" / "deep"), value
        assert read(settings.environment(), home / "another folder").archives == settings.archives


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense://user:s3cr3t@bucket/folder?token=s3cr3t", "does not know how to reach"),
        ("s3://key:s3cr3t@bucket/folder", "is not installed"),
    ],
)
def test_a_store_that_nothing_here_can_reach_is_named_without_its_secrets(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as raised:
        open_store(url)

    assert "s3cr3t" not in str(raised.value)
    assert "bucket/folder" in str(raised.value)


def test_nothing_that_is_printed_holds_a_secret() -> None:
    url = "memory://user:s3cr3t@bucket/folder?token=s3cr3t"

    assert without_secrets(url) == "memory://bucket/folder"
    files = open_store(url)
    assert isinstance(files, StoreFiles)
    assert "s3cr3t" not in files.address("a.parquet")
    assert "s3cr3t" not in repr(Settings(home=Path("/nowhere"), archives_url=url))


@pytest.mark.parametrize("place", ["", "memory://archives-of-tests"])
def test_only_files_of_the_very_period_are_found(archiving: Archiving, place: str) -> None:
    files = archive_files((archiving.at(place) if place else archiving).settings)
    for name in ("things/all/2013-a.parquet", "things/all/2013m02-b.parquet", "things/all/2013w05-c.parquet"):
        with files.stage(name) as sink:
            sink.write(b"x")

    assert files.find("things/all/2013") == ["things/all/2013-a.parquet.part"]
    assert files.find("nothing/all/2013") == []
