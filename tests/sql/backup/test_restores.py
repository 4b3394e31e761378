"""Restores: exactly the rows of an instant, everything that was committed before a crash, and what must stay erased."""

from __future__ import annotations

import base64
import gzip
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from archived_partitions import AS_OF, MONTH, TRAIL, keep_week_of_format_1
from lyceum import database
from lyceum.archiving import archive_partition
from lyceum.audit import (
    Access,
    FindingKind,
    ensure_audit_partitions,
    heads_of_home,
    record_access,
    seal_audit_batches,
    verify_trail,
)
from lyceum.backup import (
    BaseBackup,
    create_backup,
    drill,
    register_erasure,
    registered_erasures,
    restore,
    restore_warehouse,
    verify_backup,
)
from lyceum.backup.manifest import compression_by_name, open_part
from lyceum.backup.operations import UnsoundRestoreError
from lyceum.backup.stored_files import store_files
from lyceum.database import EmbeddedServer, connect
from lyceum.errors import ConfigurationError
from lyceum.organizations import add_organization
from lyceum.partitions import ensure_for_dates
from lyceum.security.tokens.internal import KEY_FILE as TOKEN_KEY
from lyceum.settings import Settings
from lyceum.vault import open_person_keys
from sql.backup.conftest import Home, numbers_in, restored_settings  # type: ignore[import-not-found]

ARCHIVES = 5
"""Four of a sealed week, one of a month of the trail."""


def seal(settings: Settings) -> None:
    """Write a row into the audit trail and seal it."""
    with connect(database.target(settings), autocommit=True) as connection:
        ensure_audit_partitions(connection)
        record_access(connection, Access("report_read", "report 1"))
        seal_audit_batches(connection, heads_of_home(settings))


@pytest.fixture(scope="module")
def backup(home: Home) -> BaseBackup:
    """The base backup of the file, made over the number 1, the archives of a week and of a month, and a sealed trail."""
    home.insert(1)
    with connect(home.administrator(), autocommit=True) as connection:
        add_organization(connection, "ou", "OU", "Europe/London", AS_OF)
        keep_week_of_format_1(connection, home.settings.archives)
        ensure_for_dates(connection, TRAIL, [date(2013, 2, 1)])
        archive_partition(connection, home.settings, TRAIL, MONTH, AS_OF)
    seal(home.settings)
    report = create_backup(home.settings)
    assert report.wal_problem is None
    return report.backup


def test_an_instant_comes_back_with_exactly_its_rows(home: Home, backup: BaseBackup) -> None:
    instant = home.insert(2, 3)
    home.insert(666)
    with home.connect() as connection:
        connection.execute("delete from numbers where number = 1")
    seal(home.settings)
    place = home.new_home()

    report = restore(home.settings, place, at=instant)

    assert report.problems == ()
    assert report.reached is not None
    assert report.reached <= instant
    assert report.archives == ARCHIVES
    assert [note for note in report.notes if "older state" in note], "the heads outside the database are newer"
    assert numbers_in(restored_settings(home, place)) == [1, 2, 3]
    restored = restored_settings(home, place)
    EmbeddedServer(restored).ensure_started()
    try:
        # Its trail goes on, and says for ever that it was set back.
        seal(restored)
        with connect(database.target(restored), autocommit=True) as connection:
            findings = verify_trail(connection, heads_of_home(restored)).findings
        assert {finding.kind for finding in findings} == {FindingKind.RESTORED}
    finally:
        EmbeddedServer(restored).stop()
    with home.connect() as connection:
        connection.execute("insert into numbers values (1)")
        connection.execute("delete from numbers where number = 666")


def test_a_restored_home_has_passwords_of_its_own_and_archives_into_nobody_elses_log(
    home: Home, backup: BaseBackup
) -> None:
    place = home.new_home()
    restore(home.settings, place, at=None)

    ours = {path.name: path.read_bytes() for path in home.settings.secrets.glob("*password")}
    theirs = {path.name: path.read_bytes() for path in (place / "secrets").glob("*password")}
    assert theirs.keys() & ours.keys() >= {"server_password", "lyceum_pipeline_password"}
    assert all(theirs[name] != ours[name] for name in theirs.keys() & ours.keys())
    restored = restored_settings(home, place)
    before = sorted(home.folder.wal(str(backup.wal_archive)).iterdir())
    target = EmbeddedServer(restored).ensure_started()
    try:
        with psycopg.connect(target.conninfo("postgres"), autocommit=True) as connection:
            connection.execute("create table elsewhere (number integer)")
            connection.execute("select pg_switch_wal()")
            assert connection.execute("show archive_command").fetchone() == ("true",)
        assert EmbeddedServer(restored).wal_archive is None
        second = create_backup(restored).backup
        assert second.wal_archive != backup.wal_archive
        assert second.timeline > backup.timeline
    finally:
        EmbeddedServer(restored).stop()
    assert [path for path in home.folder.wal(str(backup.wal_archive)).iterdir() if "00000002" in path.name[:8]] == []
    assert before


def test_a_killed_server_loses_nothing_that_it_acknowledged(home: Home, backup: BaseBackup) -> None:
    acknowledged: list[int] = []
    enough = threading.Event()

    def write() -> None:
        with home.connect() as connection:
            for number in range(10_000, 1_000_000):
                try:
                    connection.execute("insert into numbers values (%s)", [number])
                except psycopg.OperationalError:
                    return
                acknowledged.append(number)
                if len(acknowledged) == 300:
                    enough.set()

    writer = threading.Thread(target=write)
    writer.start()
    assert enough.wait(60)
    pid = home.server.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    writer.join(60)
    assert not writer.is_alive()
    place = home.new_home()

    report = restore(home.settings, place, at=None)

    assert report.problems == ()
    found = [number for number in numbers_in(restored_settings(home, place)) if number >= 10_000]
    assert found[: len(acknowledged)] == acknowledged
    assert len(found) <= len(acknowledged) + 1
    home.server.ensure_started()
    with home.connect() as connection:
        connection.execute("delete from numbers where number >= 10000")


def test_whoever_was_erased_since_is_erased_again(home: Home, backup: BaseBackup) -> None:
    now = datetime.now(UTC)
    with (
        connect(home.administrator(), autocommit=True) as connection,
        open_person_keys(home.settings, connection) as keys,
    ):
        before = keys.ensure(1, [7, 8])
        second = create_backup(home.settings).backup
        register_erasure(home.settings, 1, 7, now)
        register_erasure(home.settings, 1, 7, now)
        keys.destroy(1, 7, now)
    assert [(one.organization_id, one.user_id) for one in registered_erasures(home.settings)] == [(1, 7)]
    # The home's own register is lost with the home; the one in the backup folder is not.
    (home.settings.home / "erasures.jsonl").unlink()
    place = home.new_home()

    report = restore(home.settings, place, at=second.ended_at + timedelta(milliseconds=1), name=second.name)

    assert report.erased_again == 1
    restored = restored_settings(home, place)
    target = EmbeddedServer(restored).ensure_started()
    try:
        with (
            connect(target, autocommit=True) as connection,
            open_person_keys(restored, connection) as keys,
        ):
            assert keys.fetch(1, [7, 8]) == {8: before[8]}
            assert keys.ensure(1, [7]) == {}, "nobody who was erased gets another key"
    finally:
        EmbeddedServer(restored).stop()


def test_no_backup_holds_a_key_or_a_password(home: Home, backup: BaseBackup) -> None:
    settings = home.settings
    secrets = {
        path: content.strip()
        for folder in (settings.keys, settings.secrets)
        for path in folder.rglob("*")
        # The database verifies tokens by this key, so it holds it, and so does every copy (decision 0021).
        if path.is_file() and path.name != TOKEN_KEY and len(content := path.read_bytes()) >= 16
    }
    assert {path.parent for path in secrets} >= {settings.keys, settings.secrets}
    forms = {
        form: path
        for path, content in secrets.items()
        for form in (content, content.hex().encode(), base64.b64encode(content).rstrip(b"="))
    }

    searched = 0
    for name, content in contents(home.folder.root):
        searched += 1
        assert [str(path) for form, path in forms.items() if form in content] == [], name
    assert searched > 4


def contents(root: Path) -> Iterator[tuple[str, bytes]]:
    """Yield every file of the backup folder as it lies there, and what is in those that are compressed."""
    for path in sorted(root.rglob("*")):
        if not path.is_file():
            continue
        yield path.name, path.read_bytes()
        if path.name.endswith(".zst"):
            with open_part(path, compression_by_name(path.name)) as stream:
                yield f"in {path.name}", stream.read()
        elif path.name.endswith(".gz"):
            yield f"in {path.name}", gzip.decompress(path.read_bytes())


def test_an_instant_before_the_first_backup_or_after_the_log_is_refused_and_nothing_is_left(
    home: Home, backup: BaseBackup
) -> None:
    place = home.new_home()
    with pytest.raises(ConfigurationError, match="oldest backup"):
        restore(home.settings, place, at=backup.begun_at)
    with pytest.raises(ConfigurationError, match="--latest"):
        restore(home.settings, place, at=datetime.now(UTC) + timedelta(days=1))

    assert not place.exists()


def test_a_home_that_exists_is_never_restored_over(home: Home, backup: BaseBackup) -> None:
    with pytest.raises(ConfigurationError, match="is not empty"):
        restore(home.settings, home.settings.home, at=None)

    assert home.server.status().is_running


def test_a_drill_says_what_is_missing_and_leaves_nothing_behind(home: Home, backup: BaseBackup) -> None:
    report = drill(home.settings)

    assert report.is_sound
    assert list((home.settings.home / "drills").iterdir()) == []
    with connect(home.administrator()) as connection:
        connection.execute(
            "update ops.archives set row_count = row_count + 1 where table_name = 'stage_one.event_keys'"
        )
        connection.execute("update ops.partition_archives set row_count = row_count + 1")
    with pytest.raises(UnsoundRestoreError, match=r"audit_logs.+ lost or damaged.+event_keys.+ lost or damaged"):
        drill(home.settings)
    with connect(home.administrator()) as connection:
        connection.execute(
            "update ops.archives set row_count = row_count - 1 where table_name = 'stage_one.event_keys'"
        )
        connection.execute("update ops.partition_archives set row_count = row_count - 1")
        rows = connection.execute(
            "select kind, is_success from ops.backup_runs order by begun_at desc limit 2"
        ).fetchall()
    assert rows == [("drill", False), ("drill", True)]


def test_archives_with_a_place_of_their_own_are_not_copied_and_are_looked_at_there(
    home: Home, backup: BaseBackup, tmp_path: Path
) -> None:
    place = tmp_path / "archives"
    shutil.copytree(home.settings.archives, place)
    settings = replace(home.settings, archives_url=place.as_uri())

    assert not [file.path for file in store_files(settings, home.folder) if file.path.endswith(".parquet")]
    next(place.rglob("*.parquet")).unlink()
    with pytest.raises(UnsoundRestoreError, match=f"is lost or damaged: {place}.+ is missing"):
        drill(settings)


def test_a_home_that_is_lost_comes_back_from_the_backup_folder_and_the_keys(home: Home, backup: BaseBackup) -> None:
    elsewhere = home.new_home()
    keys = elsewhere.parent / "keys kept apart"
    keys.mkdir(parents=True)
    for path in home.settings.keys.iterdir():
        if path.is_file():
            (keys / path.name).write_bytes(path.read_bytes())
    home.insert(40)
    create_backup(home.settings)
    other = Settings(home=elsewhere, backup_folder=home.settings.backups, server_options=home.settings.server_options)
    place = home.new_home()

    report = restore_warehouse(other, place, at=None, keys=keys)

    assert report.problems == ()
    assert report.archives == ARCHIVES
    assert 40 in numbers_in(restored_settings(home, place))
    assert sorted(path.name for path in (place / "keys").iterdir()) >= sorted(path.name for path in keys.iterdir())
    assert verify_backup(home.folder, backup).gap is None
