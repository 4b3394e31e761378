"""Sealing and restoring on a real server and a real disk: nothing is dropped before it is proven, nothing comes back altered."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from lyceum import faults, partitions
from lyceum.archiving import table_rows
from lyceum.archiving.table_rows import copied_segments
from lyceum.database import Connection
from lyceum.organizations import add_organization
from lyceum.sealing import ARCHIVED_TABLES, ArchiveError, SealReport, restore_week, seal_due_weeks
from warehouse import Warehouse

MONDAY = date(2026, 11, 2)
# The week ends on Monday 2026-11-09 at midnight of London, which is UTC in November.
DUE = datetime(2026, 11, 16, tzinfo=UTC)
STATES, VIDEOS, REVIEWS, KEYS = ARCHIVED_TABLES
PARTITIONS = (
    "event_keys_p2026w45",
    "learner_day_states_p2026w45",
    "learner_video_day_states_p2026w45",
    "trainer_day_states_p2026w45",
)


@dataclass(frozen=True, slots=True)
class Sealing:
    """A warehouse with a connection to it, and what the tests do with both."""

    warehouse: Warehouse
    connection: Connection

    def organization(self, slug: str, time_zone: str = "Europe/London") -> int:
        created = add_organization(self.connection, slug, slug, time_zone, DUE - timedelta(days=90))
        return created.organization_id

    def open_week(self, organization_id: int, week_start: date = MONDAY) -> None:
        """Open the week and fill its four tables with rows of every kind."""
        for table in ARCHIVED_TABLES:
            partitions.ensure_for_dates(self.connection, table, [week_start])
        self.connection.execute(
            "insert into ops.week_states values (%s, %s, 'open', %s, null)", [organization_id, week_start, DUE]
        )
        self.connection.execute(_ROWS, {"organization_id": organization_id, "monday": week_start})

    def seal(self, as_of: datetime = DUE, organization: str | None = None) -> SealReport:
        return seal_due_weeks(self.warehouse.target, self.warehouse.settings, as_of, organization)

    def restore(self, organization_id: int, week_start: date = MONDAY) -> bool:
        with self.warehouse.connect() as batch:
            return restore_week(batch, self.connection, self.warehouse.settings, organization_id, week_start)

    def remember(self, suffix: str = "before") -> None:
        """Copy the tables aside."""
        for table in ARCHIVED_TABLES:
            self.connection.execute(f"create table public.{table.split('.')[1]}_{suffix} as select * from {table}")

    def differences(self, suffix: str = "before") -> int:
        """Count the rows that the tables have now and had not then, or the other way round; text tells 1.0 from 1.00."""
        total = 0
        for table in ARCHIVED_TABLES:
            then, now = f"public.{table.split('.')[1]}_{suffix}", table
            for left, right in ((then, now), (now, then)):
                query = f"select count(*) from (select t::text from {left} as t except all select t::text from {right} as t)"
                row = self.connection.execute(f"{query} as differences").fetchone()  # type: ignore[arg-type]
                assert row is not None
                total += row[0]
        return total

    def counts(self) -> list[int]:
        rows = [self.connection.execute(f"select count(*) from {table}").fetchone() for table in ARCHIVED_TABLES]
        return [row[0] for row in rows if row is not None]

    def partitions(self) -> tuple[str, ...]:
        rows = self.connection.execute(
            "select relname from pg_class where relnamespace = 'partitions'::regnamespace and relname ~ 'w[0-9]{2}$' order by 1"
        ).fetchall()
        return tuple(name for (name,) in rows)

    def states(self) -> list[tuple[int, str]]:
        rows = self.connection.execute(
            "select organization_id, state from ops.week_states order by 1, week_start"
        ).fetchall()
        return [(organization_id, state) for organization_id, state in rows]

    def files(self, kind: str = "*") -> list[Path]:
        return sorted(path for path in self.warehouse.settings.archives.rglob(kind) if path.is_file())


@pytest.fixture
def sealing(warehouse: Warehouse) -> Iterator[Sealing]:
    with warehouse.connect(autocommit=True) as connection:
        yield Sealing(warehouse, connection)


def test_a_sealed_week_leaves_the_database_and_comes_back_as_it_was(sealing: Sealing) -> None:
    organization_id = sealing.organization("ou")
    sealing.open_week(organization_id)
    sealing.remember()
    counts = sealing.counts()
    assert min(counts) >= 40

    report = sealing.seal()

    assert sealing.counts() == [0, 0, 0, 0]
    assert report.dropped_partitions == PARTITIONS
    assert [(week.organization, week.week_start, week.rows) for week in report.sealed] == [("ou", MONDAY, sum(counts))]
    assert sealing.states() == [(organization_id, "sealed")]

    assert sealing.restore(organization_id)

    assert sealing.differences() == 0
    assert sealing.states() == [(organization_id, "open")]


def test_a_week_of_many_segments_comes_back_as_it_was(sealing: Sealing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_rows, "_SEGMENT_ROWS", 7)
    organization_id = sealing.organization("ou")
    sealing.open_week(organization_id)
    sealing.remember()

    sealing.seal()
    (path,) = sealing.files("learner_day_states/*/*.parquet")
    parquet = pq.ParquetFile(path)
    assert parquet.num_row_groups == -(-parquet.metadata.num_rows // 7)
    sealing.restore(organization_id)

    assert sealing.differences() == 0


def test_restoring_an_open_week_changes_nothing(sealing: Sealing) -> None:
    organization_id = sealing.organization("ou")
    sealing.open_week(organization_id)
    sealing.seal()

    assert sealing.restore(organization_id)
    counts = sealing.counts()

    assert not sealing.restore(organization_id)
    assert sealing.counts() == counts


def test_a_restored_week_seals_again_and_replaces_its_archive(sealing: Sealing) -> None:
    organization_id = sealing.organization("ou")
    sealing.open_week(organization_id)
    sealing.seal()
    first_files = sealing.files()
    sealing.restore(organization_id)
    sealing.connection.execute(f"delete from {STATES} where learner_id = 3")
    sealing.remember()

    report = sealing.seal()

    assert report.dropped_partitions == PARTITIONS
    assert len(sealing.files()) == len(first_files) == 8
    changed = {path.name for path in sealing.files()} - {path.name for path in first_files}
    assert len(changed) == 2
    sealing.restore(organization_id)
    assert sealing.differences() == 0


def test_an_archive_is_described_truly_by_its_manifest_and_its_row(sealing: Sealing) -> None:
    organization_id = sealing.organization("ou")
    sealing.open_week(organization_id)
    stated = sealing.connection.execute(
        f"""
        select count(*), min(first_event_at)::text, max(first_event_at)::text, max(score_sum), count(course_completed_at)
        from {STATES}
        """
    ).fetchone()
    assert stated is not None

    sealing.seal()

    row = sealing.connection.execute(
        "select uri, row_count, byte_length, sha256, manifest, archived_at from ops.archives where table_name = %s",
        [STATES],
    ).fetchone()
    assert row is not None
    uri, rows, byte_length, sha256, manifest, archived_at = row
    path = sealing.warehouse.settings.archives / uri
    assert path.name.startswith("2026w45-")
    assert path.parent == sealing.warehouse.settings.archives / "learner_day_states" / str(organization_id)
    assert json.loads(path.with_name(path.stem + ".manifest.json").read_text()) == manifest
    assert (rows, byte_length, archived_at) == (stated[0], path.stat().st_size, DUE)
    assert sha256.hex() == manifest["sha256"]
    columns = {column["name"]: column for column in manifest["columns"]}
    assert (columns["first_event_at"]["minimum"], columns["first_event_at"]["maximum"]) == stated[1:3]
    assert columns["course_completed_at"]["nulls"] == stated[0] - stated[4]
    table = pq.read_table(path)
    assert table.num_rows == rows
    types = {field.name: str(field.type) for field in table.schema}
    assert types["first_event_at"] == "timestamp[us, tz=UTC]"
    assert types["viewed_object_ids"] == "list<element: int32>"
    assert types["activity_date"] == "date32[day]"


def test_a_week_is_due_seven_days_after_its_local_end_and_not_a_moment_before(sealing: Sealing) -> None:
    honolulu, apia = sealing.organization("honolulu", "Pacific/Honolulu"), sealing.organization("apia", "Pacific/Apia")
    for organization_id in (honolulu, apia):
        sealing.open_week(organization_id)

    def sealed_at(as_of: datetime) -> list[str]:
        return [week.organization for week in sealing.seal(as_of).sealed]

    moment = timedelta(microseconds=1)
    apia_due = datetime(2026, 11, 15, 11, tzinfo=UTC)
    honolulu_due = datetime(2026, 11, 16, 10, tzinfo=UTC)
    assert sealed_at(apia_due - moment) == []
    assert sealed_at(apia_due) == ["apia"]
    assert sealed_at(honolulu_due - moment) == []
    assert sealed_at(honolulu_due) == ["honolulu"]


def test_pending_hours_hold_the_weeks_of_their_organization_only(sealing: Sealing) -> None:
    first, second = sealing.organization("first"), sealing.organization("second")
    for organization_id in (first, second):
        sealing.open_week(organization_id)
    sealing.connection.execute("insert into ops.pending_hours values (%s, '2026-11-15 10:00+00')", [first])

    report = sealing.seal()

    assert [week.organization for week in report.sealed] == ["second"]
    assert [(week.organization, week.week_start) for week in report.held] == [("first", MONDAY)]
    assert "1 collected hours wait to be built" in str(report)
    assert sealing.states() == [(first, "open"), (second, "sealed")]


def test_a_batch_that_commits_while_sealing_waits_is_seen(sealing: Sealing) -> None:
    """The snapshot must be younger than the lock: the batch's pending hour holds the week."""
    organization_id = sealing.organization("ou")
    sealing.open_week(organization_id)
    with sealing.warehouse.connect() as batch:
        batch.execute("select pg_advisory_xact_lock(hashtext('lyceum.organization'), %s::int)", [organization_id])
        batch.execute("insert into ops.pending_hours values (%s, '2026-11-16 10:00+00')", [organization_id])
        waiting = subprocess.Popen(
            [sys.executable, "-c", _SEAL, DUE.isoformat()],
            env={**os.environ, **sealing.warehouse.settings.environment()},
            stdout=subprocess.PIPE,
            text=True,
        )
        while not _someone_waits_for_the_organization(sealing.connection):
            assert waiting.poll() is None
        batch.commit()
    output, _ = waiting.communicate(timeout=60)

    assert "Sealed 0 weeks" in output
    assert sealing.states() == [(organization_id, "open")]


def test_two_seals_at_once_share_the_work(sealing: Sealing) -> None:
    first, second = sealing.organization("first"), sealing.organization("second")
    weeks = [MONDAY - timedelta(weeks=number) for number in range(3)]
    for organization_id, week in itertools.product((first, second), weeks):
        sealing.open_week(organization_id, week)
    sealing.remember()

    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(lambda _: sealing.seal(), range(2)))

    assert sorted(week.week_start for report in reports for week in report.sealed) == sorted(weeks * 2)
    sealing.seal()
    assert sealing.partitions() == ()
    assert len(sealing.files("*.parquet")) == 2 * 3 * 4
    for organization_id, week in itertools.product((first, second), weeks):
        sealing.restore(organization_id, week)
    assert sealing.differences() == 0


def test_an_organization_that_is_still_open_keeps_the_partition_of_both(sealing: Sealing) -> None:
    first, second = sealing.organization("first"), sealing.organization("second")
    for organization_id in (first, second):
        sealing.open_week(organization_id)
    sealing.remember()

    report = sealing.seal(organization="first")

    assert report.dropped_partitions == ()
    assert [(held.name, held.needs_attention) for held in report.held_partitions] == [
        (name, False) for name in PARTITIONS
    ]
    assert sealing.differences() == 0
    assert sealing.states() == [(first, "sealed"), (second, "open")]
    assert sealing.seal().dropped_partitions == PARTITIONS


def test_a_week_whose_rows_are_still_there_reopens_without_its_files(sealing: Sealing) -> None:
    first, second = sealing.organization("first"), sealing.organization("second")
    for organization_id in (first, second):
        sealing.open_week(organization_id)
    sealing.remember()
    sealing.seal(organization="first")
    for path in sealing.files():
        path.unlink()

    assert sealing.restore(first)

    assert sealing.differences() == 0
    assert sealing.seal().dropped_partitions == PARTITIONS


def test_restoring_one_organization_leaves_another_sealed(sealing: Sealing) -> None:
    first, second = sealing.organization("first"), sealing.organization("second")
    for organization_id in (first, second):
        sealing.open_week(organization_id)
    per_organization = [count // 2 for count in sealing.counts()]
    sealing.seal()

    sealing.restore(second)

    assert sealing.counts() == per_organization
    owners = {row[0] for row in sealing.connection.execute(f"select distinct organization_id from {STATES}").fetchall()}
    assert owners == {second}
    assert sealing.states() == [(first, "sealed"), (second, "open")]


def test_an_empty_week_seals_into_archives_of_no_row_and_can_be_restored(sealing: Sealing) -> None:
    organization_id = sealing.organization("ou")
    sealing.connection.execute(
        "insert into ops.week_states values (%s, %s, 'open', %s, null)", [organization_id, MONDAY, DUE]
    )

    report = sealing.seal()

    assert [week.rows for week in report.sealed] == [0]
    assert len(sealing.files("*.parquet")) == 4
    assert sealing.restore(organization_id)
    assert sealing.counts() == [0, 0, 0, 0]


def test_a_partition_ahead_of_the_clock_stays_and_one_that_nobody_used_goes(sealing: Sealing) -> None:
    sealing.organization("ou")
    for day in (MONDAY, MONDAY + timedelta(days=7)):
        partitions.ensure_for_dates(sealing.connection, KEYS, [day])

    assert sealing.seal(datetime(2026, 11, 16, 23, tzinfo=UTC)).dropped_partitions == ()
    assert sealing.seal(datetime(2026, 11, 17, tzinfo=UTC)).dropped_partitions == ("event_keys_p2026w45",)
    assert sealing.partitions() == ("event_keys_p2026w46",)


def _flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def _remove_manifest(path: Path) -> None:
    path.with_name(path.stem + ".manifest.json").unlink()


def _change_manifest(path: Path) -> None:
    manifest = path.with_name(path.stem + ".manifest.json")
    manifest.write_text(manifest.read_text().replace('"nulls": 0', '"nulls": 1', 1))


def _garble_manifest(path: Path) -> None:
    path.with_name(path.stem + ".manifest.json").write_text("{")


DAMAGES = pytest.mark.parametrize(
    "damage", [_flip_a_byte, _cut, Path.unlink, _remove_manifest, _change_manifest, _garble_manifest]
)


@DAMAGES
def test_a_damaged_archive_keeps_the_partition_and_is_named(sealing: Sealing, damage: Callable[[Path], None]) -> None:
    first, second = sealing.organization("first"), sealing.organization("second")
    for organization_id in (first, second):
        sealing.open_week(organization_id)
    sealing.seal(organization="first")
    sealing.remember()
    (path,) = sealing.files(f"learner_day_states/{first}/*.parquet")
    damage(path)

    report = sealing.seal()

    assert report.dropped_partitions == tuple(name for name in PARTITIONS if name != "learner_day_states_p2026w45")
    (held,) = report.held_partitions
    assert (held.name, held.needs_attention) == ("learner_day_states_p2026w45", True)
    assert path.name in held.reason
    row = sealing.connection.execute(f"select count(*) from {STATES}").fetchone()
    before = sealing.connection.execute("select count(*) from public.learner_day_states_before").fetchone()
    assert row == before


@DAMAGES
def test_a_damaged_archive_is_not_restored_and_changes_nothing(
    sealing: Sealing, damage: Callable[[Path], None]
) -> None:
    organization_id = sealing.organization("ou")
    sealing.open_week(organization_id)
    sealing.seal()
    (path,) = sealing.files("event_keys/*/*.parquet")
    damage(path)

    with pytest.raises(ArchiveError, match=path.stem):
        sealing.restore(organization_id)

    assert sealing.counts() == [0, 0, 0, 0]
    assert sealing.states() == [(organization_id, "sealed")]


def test_an_archive_without_its_row_is_not_restored(sealing: Sealing) -> None:
    organization_id = sealing.organization("ou")
    sealing.open_week(organization_id)
    sealing.seal()
    sealing.connection.execute("delete from ops.archives where table_name = %s", [VIDEOS])

    with pytest.raises(ArchiveError, match=r"no row for stage_two\.learner_video_day_states"):
        sealing.restore(organization_id)

    assert sealing.counts() == [0, 0, 0, 0]


def test_a_file_that_differs_from_the_table_is_never_published(
    sealing: Sealing, monkeypatch: pytest.MonkeyPatch
) -> None:
    organization_id = sealing.organization("ou")
    sealing.open_week(organization_id)
    sealing.remember()

    def copied_with_another_score(connection: Connection, *arguments: object) -> list[bytes]:
        # What a defect on the way into the file would do: the table says 0.10 where the file says 0.1.
        connection.execute("savepoint defect")
        connection.execute(f"update {STATES} set score_sum = 0.1 where score_sum = 0.10")
        segments = list(copied_segments(connection, *arguments))  # type: ignore[arg-type]
        connection.execute("rollback to savepoint defect")
        return segments

    monkeypatch.setattr("lyceum.archiving.archive.copied_segments", copied_with_another_score)

    with pytest.raises(ArchiveError, match="the values of score_sum differ"):
        sealing.seal()

    assert sealing.states() == [(organization_id, "open")]
    assert sealing.files("*.parquet") == []
    assert sealing.differences() == 0


def test_rows_that_appear_after_the_seal_keep_the_partition(sealing: Sealing) -> None:
    first, second = sealing.organization("first"), sealing.organization("second")
    for organization_id in (first, second):
        sealing.open_week(organization_id)
    sealing.seal(organization="first")
    sealing.connection.execute(f"insert into {KEYS} values (%s, gen_random_uuid(), %s, 9, 'x')", [first, MONDAY])

    report = sealing.seal()

    (held,) = report.held_partitions
    assert held.name == "event_keys_p2026w45"
    assert held.needs_attention
    with pytest.raises(ArchiveError, match="other rows"):
        sealing.restore(first)


def test_rows_of_an_organization_that_never_opened_the_week_keep_the_partition(sealing: Sealing) -> None:
    first, second = sealing.organization("first"), sealing.organization("second")
    sealing.open_week(first)
    sealing.connection.execute(f"insert into {KEYS} values (%s, gen_random_uuid(), %s, 9, 'x')", [second, MONDAY])

    report = sealing.seal()

    assert [held.name for held in report.held_partitions] == ["event_keys_p2026w45"]
    assert f"organization {second}" in report.held_partitions[0].reason


def test_rows_of_an_organization_whose_week_has_no_state_keep_the_partition(sealing: Sealing) -> None:
    first, second = sealing.organization("first"), sealing.organization("second")
    for organization_id in (first, second):
        sealing.open_week(organization_id)
    sealing.seal(organization="first")
    sealing.connection.execute("delete from ops.week_states where organization_id = %s", [first])

    report = sealing.seal()

    assert report.dropped_partitions == ()
    assert all(f"[{first}], which have not sealed the week" in held.reason for held in report.held_partitions)
    assert len(report.held_partitions) == len(PARTITIONS)


def test_a_week_that_is_being_opened_keeps_the_partition(sealing: Sealing, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = sealing.organization("first"), sealing.organization("second")
    sealing.open_week(first)
    monkeypatch.setattr("lyceum.sealing.release._GUARD_TIMEOUT", "50ms")
    with sealing.warehouse.connect() as batch:
        batch.execute("insert into ops.week_states values (%s, %s, 'open', %s, null)", [second, MONDAY, DUE])

        report = sealing.seal()

        assert report.dropped_partitions == ()
        assert not any(held.needs_attention for held in report.held_partitions)


def test_a_reader_of_the_week_keeps_its_rows_and_the_drop_goes_on_later(
    sealing: Sealing, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealing.open_week(sealing.organization("ou"))
    monkeypatch.setattr("lyceum.sealing.release._PATIENCE", partitions.Patience(attempts=1, lock_timeout_seconds=0.05))
    with sealing.warehouse.connect() as reader:
        reader.execute("set transaction isolation level repeatable read")
        before = reader.execute(f"select count(*) from {STATES}").fetchone()

        report = sealing.seal()

        assert [week.organization for week in report.sealed] == ["ou"]
        assert "learner_day_states_p2026w45" in {held.name for held in report.held_partitions}
        assert reader.execute(f"select count(*) from {STATES}").fetchone() == before

    monkeypatch.undo()
    assert sealing.seal().held_partitions == ()
    assert sealing.partitions() == ()


def test_an_interrupted_drop_is_undone_by_a_restore(sealing: Sealing) -> None:
    organization_id = sealing.organization("ou")
    sealing.open_week(organization_id)
    sealing.remember()
    _run_until(sealing, "partitions.detached")
    assert len(sealing.partitions()) == 4

    assert sealing.restore(organization_id)

    assert sealing.differences() == 0


def test_an_interrupted_detachment_is_undone_by_a_restore(sealing: Sealing, monkeypatch: pytest.MonkeyPatch) -> None:
    organization_id = sealing.organization("ou")
    sealing.open_week(organization_id)
    sealing.remember()
    monkeypatch.setattr("lyceum.sealing.release._PATIENCE", partitions.Patience(attempts=1, lock_timeout_seconds=0.05))
    with sealing.warehouse.connect() as reader:
        reader.execute(f"lock table {STATES}, {KEYS}, {VIDEOS}, {REVIEWS} in access share mode")
        assert sealing.seal().dropped_partitions == ()
    assert sealing.counts() == [0, 0, 0, 0]

    assert sealing.restore(organization_id)

    assert sealing.differences() == 0


SEAL_POINTS = [name for name in faults.POINTS if name.startswith(("archive.", "seal.", "partitions."))]


@pytest.mark.parametrize("point", SEAL_POINTS)
def test_a_crash_while_sealing_loses_nothing_and_the_next_call_completes_it(sealing: Sealing, point: str) -> None:
    first, second = sealing.organization("first"), sealing.organization("second")
    for organization_id, week in itertools.product((first, second), (MONDAY, MONDAY - timedelta(days=7))):
        sealing.open_week(organization_id, week)
    sealing.remember()

    _run_until(sealing, point)
    sealing.seal()

    assert sealing.counts() == [0, 0, 0, 0]
    assert sealing.partitions() == ()
    assert len(sealing.files("*.parquet")) == 2 * 2 * 4
    assert len(sealing.files()) == 2 * 2 * 4 * 2
    for organization_id, week in itertools.product((first, second), (MONDAY, MONDAY - timedelta(days=7))):
        assert sealing.restore(organization_id, week)
    assert sealing.differences() == 0


@pytest.mark.parametrize("point", [name for name in faults.POINTS if name.startswith("restore.")])
def test_a_crash_while_restoring_leaves_the_week_sealed_and_restorable(sealing: Sealing, point: str) -> None:
    organization_id = sealing.organization("ou")
    sealing.open_week(organization_id)
    sealing.remember()
    sealing.seal()

    _run_until(sealing, point, _RESTORE, str(organization_id), MONDAY.isoformat())

    assert sealing.states() == [(organization_id, "sealed")]
    assert sealing.counts() == [0, 0, 0, 0]
    assert sealing.restore(organization_id)
    assert sealing.differences() == 0


_SEAL = """
import os, sys
from datetime import datetime
from pathlib import Path
from lyceum import database
from lyceum.sealing import seal_due_weeks
from lyceum.settings import Settings
settings = Settings.from_environment(os.environ, Path.cwd())
print(seal_due_weeks(database.target(settings), settings, datetime.fromisoformat(sys.argv[1])))
"""

_RESTORE = """
import os, sys
from datetime import date
from pathlib import Path
from lyceum import database
from lyceum.sealing import restore_week
from lyceum.settings import Settings
settings = Settings.from_environment(os.environ, Path.cwd())
target = database.target(settings)
with database.connect(target) as connection, database.connect(target, autocommit=True) as maintenance:
    restore_week(connection, maintenance, settings, int(sys.argv[1]), date.fromisoformat(sys.argv[2]))
"""


def _run_until(sealing: Sealing, point: str, program: str = _SEAL, *arguments: str) -> None:
    """Run the program in a process that is killed at the point."""
    ended = subprocess.run(
        [sys.executable, "-c", program, *(arguments or [DUE.isoformat()])],
        env={**os.environ, **sealing.warehouse.settings.environment(), faults.VARIABLE: point},
        check=False,
        capture_output=True,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()


def _someone_waits_for_the_organization(connection: Connection) -> bool:
    row = connection.execute(
        "select exists (select from pg_locks where locktype = 'advisory' and not granted)"
    ).fetchone()
    return row == (True,)


_ROWS = """
with learners as (
    select number, %(monday)s::date + number %% 7 as activity_date, (%(monday)s::date + number %% 7)::timestamptz as midnight
    from generate_series(1, 40) as number
),

states as (
    insert into stage_two.learner_day_states
    select
        %(organization_id)s, number, 1 + number %% 3, midnight + interval '2 hours', activity_date,
        number, number, number %% 4, number %% 5, 0, number * 3000000000,
        midnight + number * interval '1.25 seconds',
        midnight + number * interval '1 minute' + number * interval '1 microsecond',
        case when number %% 7 = 0 then midnight end,
        case when number %% 2 = 0 then midnight + interval '0.1 seconds' end,
        null,
        (array[0, 0.10, 0.1, 1.000, -0.5, 12345678901234567890.123456789, 1e-20])[1 + number %% 7],
        case when number %% 3 > 0 then int4multirange(int4range(number, number + 5), int4range(number + 9, number + 10)) end,
        case number %% 4 when 0 then null when 1 then '{}' when 2 then array[number] else array[7, number, null] end,
        case when number %% 5 = 0 then array[2147483647, -2147483648] end,
        null
    from learners
    returning 1
),

videos as (
    insert into stage_two.learner_video_day_states
    select
        %(organization_id)s, number, 1 + number %% 3, midnight + interval '2 hours', 100 + number, activity_date,
        number %% 2 = 0, number %% 3 = 0,
        case when number %% 4 > 0 then number / 7.0 end,
        case number %% 3
            when 0 then null
            when 1 then '{}'
            else nummultirange(numrange(0.0, number + 0.50), numrange(number + 1, number + 2.25))
        end
    from learners
    returning 1
),

reviews as (
    insert into stage_two.trainer_day_states
    select %(organization_id)s, number, 1 + number %% 3, midnight + interval '2 hours', activity_date, number
    from learners
    returning 1
)

insert into stage_one.event_keys
select
    %(organization_id)s, md5(format('%%s %%s %%s', %(organization_id)s, number, %(monday)s::date))::uuid, activity_date, number,
    sha256(number::text::bytea)
from learners
"""
