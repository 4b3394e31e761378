"""What is lost or changed in the backup folder is found, named, and never restored as if it were whole."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import psycopg
import pyarrow
import pytest

from lyceum.alerts import open_alerts
from lyceum.backup import (
    BaseBackup,
    DamagedBackupError,
    create_backup,
    creation,
    prune_backups,
    restore,
    verify_backup,
)
from lyceum.backup.catalogue import RECORD, StoredPart
from lyceum.backup.manifest import compression_by_name, open_part
from lyceum.backup.stored_files import digest_of
from lyceum.backup.wal_archive import archive_up_to_now, failing_archiver, segments
from lyceum.database import connect, target
from lyceum.errors import ConfigurationError, RetryableError
from lyceum.monitoring import watch
from sql.backup.conftest import Home, numbers_in, restored_settings  # type: ignore[import-not-found]


@pytest.fixture(scope="module")
def backup(home: Home) -> BaseBackup:
    """A base backup with some segments of the log after it."""
    home.insert(1)
    report = create_backup(home.settings)
    assert report.wal_problem is None
    for number in (2, 3, 4):
        home.insert(number)
        switch(home)
    return report.backup


def switch(home: Home) -> None:
    with home.connect() as connection:
        connection.execute("select pg_switch_wal()")


@contextmanager
def changed(path: Path) -> Iterator[bytes]:
    """Lend the content of a file that the test changes, and bring it back."""
    content = path.read_bytes()
    owner = path.stat()
    try:
        yield content
    finally:
        path.write_bytes(content)
        os.chown(path, owner.st_uid, owner.st_gid)


def flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def test_a_flipped_bit_in_any_part_is_found_and_nothing_is_restored(home: Home, backup: BaseBackup) -> None:
    for part in backup.parts:
        path = home.folder.base(backup.name) / part.name
        place = home.new_home()
        with changed(path) as content:
            path.write_bytes(flip(content))
            with pytest.raises(DamagedBackupError, match=part.name):
                verify_backup(home.folder, backup)
            with pytest.raises(DamagedBackupError, match=part.name):
                restore(home.settings, place, at=None)
        assert not place.exists()
    verify_backup(home.folder, backup)


def test_a_file_of_the_server_that_its_manifest_does_not_know_is_found(home: Home, backup: BaseBackup) -> None:
    """The record fits the part, so that the manifest alone can tell."""
    folder = home.folder.base(backup.name)
    path = folder / "base.tar.zst"
    record = folder / RECORD
    with changed(path), changed(record):
        with open_part(path, compression_by_name(path.name)) as stream:
            content = stream.read()
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            at = tar.getmember("PG_VERSION").offset_data
        with pyarrow.CompressedOutputStream(str(path), "zstd") as sink:
            sink.write(content[:at] + b"16\n" + content[at + 3 :])
        parts = tuple(
            StoredPart(name=path.name, byte_length=path.stat().st_size, sha256=digest_of(path))
            if part.name == path.name
            else part
            for part in backup.parts
        )
        record.write_bytes(msgspec.json.encode(msgspec.structs.replace(backup, parts=parts)))
        place = home.new_home()

        with pytest.raises(DamagedBackupError, match="PG_VERSION"):
            verify_backup(home.folder, home.folder.backup(backup.name))
        with pytest.raises(ConfigurationError, match="not what its manifest says"):
            restore(home.settings, place, at=None)
    assert not place.exists()


def test_a_damaged_segment_stops_the_restore_rather_than_ending_it_too_early(home: Home, backup: BaseBackup) -> None:
    archive = home.folder.wal(str(backup.wal_archive))
    name = next(name for name in segments(archive) if name > backup.last_segment)
    place = home.new_home()
    with changed(archive / f"{name}.gz") as content:
        # Cut, as by a full disk. A flipped bit among the zeros behind a segment's rows may mean the same zeros.
        (archive / f"{name}.gz").write_bytes(content[:-100])
        with pytest.raises(ConfigurationError, match=name):
            verify_backup(home.folder, backup)
        with pytest.raises(ConfigurationError, match=name):
            restore(home.settings, place, at=None)
    assert not place.exists()


def test_a_gap_in_the_log_is_named_and_what_is_before_it_can_be_restored(home: Home, backup: BaseBackup) -> None:
    archive = home.folder.wal(str(backup.wal_archive))
    first, second = [name for name in segments(archive) if name > backup.last_segment][:2]
    instant = home.insert(50)
    switch(home)
    last = segments(archive)[-1]
    place = home.new_home()
    aside = archive.parent.parent / "aside.gz"
    (archive / f"{second}.gz").rename(aside)
    try:
        found = verify_backup(home.folder, backup)
        assert found.gap is not None
        assert found.gap.missing == second
        with pytest.raises(ConfigurationError, match=second):
            restore(home.settings, place, at=None)
        with pytest.raises(ConfigurationError, match=second):
            restore(home.settings, place, at=instant)
        assert not place.exists()
        restore(home.settings, place, at=backup.ended_at)
        assert numbers_in(restored_settings(home, place)) == [1]
    finally:
        aside.rename(archive / f"{second}.gz")
    assert verify_backup(home.folder, backup).gap is None
    assert first < second <= last


def test_two_backups_at_once_are_one_and_a_refusal(home: Home, backup: BaseBackup) -> None:
    with home.folder.locked(), pytest.raises(RetryableError, match="Another backup"):
        create_backup(home.settings)
    with home.folder.locked(is_shared=True), pytest.raises(RetryableError, match="Another backup"):
        prune_backups(home.folder, 1, None, datetime.now(UTC))

    outcomes: list[object] = []

    def make() -> None:
        try:
            outcomes.append(create_backup(home.settings).backup)
        except RetryableError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=make) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made = [outcome for outcome in outcomes if isinstance(outcome, BaseBackup)]
    assert made
    for one in made:
        verify_backup(home.folder, one)


def test_no_password_is_an_argument_or_in_a_log(home: Home, backup: BaseBackup) -> None:
    seen: set[bytes] = set()
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(path.read_bytes())
                except OSError:
                    continue

    looking = threading.Thread(target=look)
    looking.start()
    try:
        create_backup(home.settings)
    finally:
        done.set()
        looking.join()

    passwords = [path.read_bytes().strip() for path in home.settings.secrets.glob("*password")]
    assert home.settings.secrets / "lyceum_backup_password" in list(home.settings.secrets.iterdir())
    assert [line for line in seen if b"--wal-method=stream" in line], "the copy was seen at work"
    assert [line for line in seen if any(password in line for password in passwords)] == []
    logs = b"".join(path.read_bytes() for path in home.settings.server_logs.iterdir() if path.is_file())
    assert [password for password in passwords if password in logs] == []


def test_the_login_of_backups_may_copy_and_read_nothing(home: Home, backup: BaseBackup) -> None:
    with home.connect() as connection:
        rows = connection.execute(
            "select rolreplication, rolsuper, rolcreaterole, rolcreatedb, rolbypassrls, rolinherit from pg_roles "
            "where rolname = 'lyceum_backup'"
        ).fetchall()
        members = connection.execute(
            "select count(*) from pg_auth_members where member = 'lyceum_backup'::regrole"
        ).fetchone()
    assert rows == [(True, False, False, False, False, False)]
    assert members == (0,)


def test_pruning_keeps_what_is_kept_restorable(home: Home, backup: BaseBackup) -> None:
    leftover = home.folder.bases / "20200101T000000Z-0000.part"
    leftover.mkdir()
    newest = create_backup(home.settings).backup
    instant = home.insert(60)
    home.insert(61)
    archive = home.folder.wal(str(backup.wal_archive))
    assert archive_up_to_now(home.administrator(), archive, 60.0) is None
    half = archive / f".{backup.last_segment}.17.part"
    half.write_bytes(b"half")
    before = segments(archive)

    would = prune_backups(home.folder, 1, None, datetime.now(UTC), is_dry_run=True)
    assert segments(archive) == before
    report = prune_backups(home.folder, 1, None, datetime.now(UTC))

    assert report == would
    assert backup.name in report.removed
    assert [one.name for one in home.folder.backups()] == [newest.name] == list(report.kept)
    assert not leftover.exists()
    assert not half.exists()
    assert min(segments(archive)) == newest.first_segment
    assert min(path.name.lstrip(".")[:24] for path in archive.iterdir()) == newest.first_segment
    place = home.new_home()
    restore(home.settings, place, at=instant)
    numbers = numbers_in(restored_settings(home, place))
    assert 60 in numbers
    assert 61 not in numbers


def test_a_server_that_cannot_archive_is_not_backed_up_in_silence(home: Home) -> None:
    archive = home.server.wal_archive
    assert archive is not None
    owner = archive.stat()
    archive.chmod(0o500)
    try:
        with pytest.raises(ConfigurationError, match="cannot write to"):
            create_backup(home.settings)
    finally:
        archive.chmod(0o700)
        os.chown(archive, owner.st_uid, owner.st_gid)
    assert shutil.disk_usage(archive).free > 0
    with psycopg.connect(home.administrator().conninfo("postgres")) as connection:
        assert connection.execute("show archive_command").fetchone() != ("true",)


def archiving_alerts(home: Home) -> list[str]:
    """Return whom monitoring alerts of because the log is not archived, after a look at the server."""
    watch(home.settings, datetime.now(UTC))
    with connect(target(home.settings)) as connection:
        return [alert.subject for alert in open_alerts(connection) if alert.kind == "log_not_archived"]


def test_a_log_that_the_archive_does_not_take_is_told_and_kept(
    home: Home, backup: BaseBackup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else's file stands where the segment should go, as when two servers write into one archive."""
    monkeypatch.setattr(creation, "_ARCHIVE_SECONDS", 2.0)
    archive = home.folder.wal(str(backup.wal_archive))
    with home.connect() as connection:
        row = connection.execute("select pg_walfile_name(pg_current_wal_insert_lsn())").fetchone()
        assert row is not None
        kept = archive / f"{row[0]}.gz"
        kept.write_bytes(b"of another server")
        home.insert(70)

        assert "is not in" in str(archive_up_to_now(home.administrator(), archive, 2.0))
        report = create_backup(home.settings)

        assert report.wal_problem is not None
        assert str(row[0]) in report.wal_problem
        assert failing_archiver(home.administrator()) is not None
        assert archiving_alerts(home) == ["server"]
        assert kept.read_bytes() == b"of another server"
        kept.unlink()
        waiting = 1
        while waiting:
            connection.execute("select pg_switch_wal()")
            waiting = connection.execute("select from pg_ls_archive_statusdir() where name like '%.ready'").rowcount
    second = create_backup(home.settings)
    assert second.wal_problem is None
    assert archiving_alerts(home) == []
    assert verify_backup(home.folder, report.backup).gap is None, "the server kept what the archive did not take"
