"""Whole partitions on a real server: archived exactly, proven before they go, brought back as they were."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta

import psycopg
import pytest

from archived_partitions import AS_OF, MONTH, TRAIL, YEAR, YEARS, Archiving, cut, flip_a_byte, lose
from lyceum import faults, partitions
from lyceum.archiving import ArchiveError, restored_partitions, table_rows
from lyceum.archiving.parquet_file import csv_of
from lyceum.archiving.table_rows import copied_segments
from lyceum.errors import ConfigurationError, RetryableError
from lyceum.security.gate import check_security

KINDS = pytest.mark.parametrize(("table", "name"), [(YEARS, YEAR), (TRAIL, MONTH)])
PLACES = pytest.mark.parametrize("place", ["", "memory://archives-of-tests/a folder"])


def _fill(archiving: Archiving, table: str) -> None:
    if table == YEARS:
        archiving.fill_year()
    else:
        archiving.fill_month()


@pytest.mark.parametrize("segment_rows", [7, 200_000])
@PLACES
@KINDS
def test_a_partition_is_archived_dropped_and_restored_to_exactly_its_rows(
    archiving: Archiving, monkeypatch: pytest.MonkeyPatch, table: str, name: str, place: str, segment_rows: int
) -> None:
    monkeypatch.setattr(table_rows, "_SEGMENT_ROWS", segment_rows)
    archiving = archiving.at(place) if place else archiving
    _fill(archiving, table)
    before = archiving.rows(table, name)
    assert len(before) >= 60

    stored = archiving.archive(table, name)

    assert stored.rows == len(before)
    assert archiving.rows(table, name) == before
    assert archiving.is_archived(table, name)
    archiving.drop(table, name)
    assert archiving.rows(table, name) == []

    restored = archiving.restore(table, name)

    assert archiving.rows(table, name) == before
    assert (restored.rows, restored.was_there) == (len(before), False)
    assert archiving.is_archived(table, name)


def test_a_restored_partition_has_leaves_constraints_indexes_and_row_security_like_any_other(
    archiving: Archiving,
) -> None:
    archiving.fill_year()
    archiving.archive()
    before = _structure(archiving)
    archiving.drop()

    archiving.restore()

    assert _structure(archiving) == before
    assert {relation for relation, *_ in before} == {YEAR, f"{YEAR}_h0", f"{YEAR}_h1"}
    assert check_security(archiving.connection, archiving.settings) == []


def test_the_trail_of_a_restored_month_is_append_only_again(archiving: Archiving) -> None:
    archiving.fill_month()
    archiving.archive(TRAIL, MONTH)
    archiving.drop(TRAIL, MONTH)
    archiving.restore(TRAIL, MONTH)

    for relation in (TRAIL, f"partitions.{MONTH}"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
            archiving.connection.execute(f"delete from {relation} where occurred_at < '2013-03-01'")


def test_an_archive_says_of_what_it_is_and_lies_under_its_partition(archiving: Archiving) -> None:
    archiving.fill_year()

    stored = archiving.archive()

    row = archiving.connection.execute(
        """
        select organization_id, period_lower, period_upper, uri, row_count, byte_length, sha256, manifest, archived_at, verified_at
        from ops.partition_archives
        """
    ).fetchone()
    assert row is not None
    organization_id, lower, upper, uri, rows, byte_length, sha256, manifest, archived_at, verified_at = row
    assert (organization_id, lower, upper) == (None, date(2013, 1, 1), date(2014, 1, 1))
    path = archiving.settings.archives / uri
    assert path.parent == archiving.settings.archives / "aggregated_analytics" / "all"
    assert (rows, byte_length, archived_at, verified_at) == (stored.rows, path.stat().st_size, AS_OF, AS_OF)
    assert json.loads(path.with_name(path.stem + ".manifest.json").read_text()) == manifest
    assert manifest["sha256"] == sha256.hex()
    assert manifest["format"] == 2
    columns = {column["name"]: column for column in manifest["columns"]}
    assert (columns["stickiness"]["minimum"], columns["stickiness"]["maximum"]) == ("Infinity", "Infinity")
    assert columns["video_seconds_watched"]["maximum"] == "NaN"
    assert columns["course_id"]["nulls"] == 3 * 21


def test_a_partition_without_rows_has_an_archive_without_rows(archiving: Archiving) -> None:
    partitions.ensure_for_dates(archiving.pipeline, YEARS, [date(2013, 1, 1)])
    assert not archiving.is_archived()

    archiving.archive()

    assert archiving.records() == [(YEAR, 0)]
    assert archiving.is_archived()
    archiving.drop()
    assert archiving.restore().rows == 0


def test_a_detached_partition_is_archived_and_proven_like_an_attached_one(archiving: Archiving) -> None:
    archiving.fill_year()
    count = len(archiving.rows())
    archiving.connection.execute(f"alter table {YEARS} detach partition partitions.{YEAR} concurrently")

    assert archiving.archive().rows == count
    assert archiving.is_archived()


CHANGES = {
    "a row more": f"insert into {YEARS} (organization_id, subject_id, period_start, subject_type, period_type, scope) values "
    "(1, 5000, '2013-02-01', 'learner', 'day', 'all_courses')",
    "a row less": f"delete from {YEARS} where organization_id = 2 and subject_id = 7",
    "another scale": f"update {YEARS} set video_seconds_watched = 0.1 where video_seconds_watched::text = '0.10'",
    "a null": f"update {YEARS} set is_active = null where subject_id = 9",
    "two rows that swap a value": f"update {YEARS} set event_count = 3000 - event_count where subject_id in (1, 2)",
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_partition_that_has_changed_since_is_not_archived_until_it_is_archived_anew(
    archiving: Archiving, change: str
) -> None:
    archiving.fill_year()
    archiving.archive()
    first = archiving.names()

    archiving.connection.execute(change)

    assert not archiving.is_archived()
    archiving.archive()
    assert archiving.is_archived()
    assert len(archiving.names()) == len(first) == 2
    assert archiving.names() != first


def test_a_partition_with_a_further_column_is_not_archived(archiving: Archiving) -> None:
    archiving.fill_year()
    archiving.archive()
    assert archiving.is_archived()

    archiving.connection.execute(f"alter table {YEARS} add column further integer")

    assert not archiving.is_archived()


def test_archiving_again_writes_nothing_and_says_when_it_looked(archiving: Archiving) -> None:
    archiving.fill_year()
    archiving.archive()
    (file, *_) = (archiving.settings.archives / name for name in archiving.names())
    written = file.stat().st_mtime_ns

    archiving.archive(as_of=AS_OF + timedelta(days=1))

    assert file.stat().st_mtime_ns == written
    row = archiving.connection.execute("select archived_at, verified_at from ops.partition_archives").fetchone()
    assert row == (AS_OF, AS_OF + timedelta(days=1))


DAMAGES = pytest.mark.parametrize(
    ("ending", "change", "said"),
    [
        (".parquet", flip_a_byte, "SHA-256"),
        (".parquet", cut, "bytes with SHA-256"),
        (".parquet", lose, r"\.parquet is missing"),
        (".manifest.json", flip_a_byte, "manifest"),
        (".manifest.json", lose, r"\.manifest\.json is missing"),
    ],
)


@DAMAGES
@PLACES
def test_a_damaged_archive_proves_nothing_restores_nothing_and_is_named(
    archiving: Archiving, place: str, ending: str, change: Callable[[bytes], bytes | None], said: str
) -> None:
    archiving = archiving.at(place) if place else archiving
    archiving.fill_year()
    before = archiving.rows()
    stored = archiving.archive()
    archiving.damage(stored.uri.removesuffix(".parquet") + ending, change)

    with pytest.raises(ArchiveError, match=said):
        archiving.is_archived()
    assert archiving.rows() == before
    archiving.drop()
    with pytest.raises(ArchiveError, match=said):
        archiving.restore()
    assert archiving.rows() == []
    assert restored_partitions(archiving.connection, AS_OF) == ()


def test_a_damaged_archive_is_written_again_while_the_partition_is_there(archiving: Archiving) -> None:
    archiving.fill_year()
    archiving.damage(archiving.archive().uri, cut)

    archiving.archive()

    assert archiving.is_archived()


def test_a_partition_that_was_made_anew_never_displaces_what_was_archived(archiving: Archiving) -> None:
    archiving.fill_year()
    before = archiving.rows()
    archiving.archive()
    archiving.drop()
    partitions.ensure_for_dates(archiving.pipeline, YEARS, [date(2013, 1, 1)])

    archiving.archive()
    assert archiving.records() == [(YEAR, len(before))]

    archiving.connection.execute(CHANGES["a row more"])
    with pytest.raises(ArchiveError, match="made anew"):
        archiving.archive()
    with pytest.raises(ArchiveError, match="never replaced"):
        archiving.restore()
    assert archiving.records() == [(YEAR, len(before))]
    assert len(archiving.rows()) == 1

    archiving.connection.execute(f"delete from {YEARS} where subject_id = 5000")
    archiving.restore()
    assert archiving.rows() == before


def test_what_was_corrected_in_a_restored_partition_is_archived(archiving: Archiving) -> None:
    archiving.fill_year()
    archiving.archive()
    archiving.drop()
    archiving.restore()
    archiving.connection.execute(CHANGES["a row less"])
    corrected = archiving.rows()

    archiving.archive()
    archiving.drop()
    archiving.restore()

    assert archiving.rows() == corrected


def test_restoring_rows_that_are_there_loads_nothing_and_keeps_them_longer(archiving: Archiving) -> None:
    archiving.fill_year()
    before = archiving.rows()
    archiving.archive()

    restored = archiving.restore(keep=timedelta(days=5))

    assert restored.was_there
    assert archiving.rows() == before
    (kept,) = restored_partitions(archiving.connection, AS_OF)
    assert (kept.parent_table, kept.name, kept.restored_until) == (YEARS, YEAR, AS_OF + timedelta(days=5))
    assert restored_partitions(archiving.connection, AS_OF + timedelta(days=5)) == ()


def test_an_interrupted_drop_is_undone_by_a_restore(archiving: Archiving) -> None:
    archiving.fill_year()
    before = archiving.rows()
    archiving.archive()
    archiving.connection.execute(f"alter table {YEARS} detach partition partitions.{YEAR} concurrently")

    assert archiving.restore().was_there

    assert archiving.rows() == before


def test_a_restore_is_audited_with_its_rows(archiving: Archiving) -> None:
    archiving.fill_year()
    count = archiving.archive().rows
    archiving.drop()

    archiving.restore()

    row = archiving.connection.execute(
        "select resource, row_count, decision, detail ->> 'loaded' from audit.audit_logs where action = 'archive_restored'"
    ).fetchall()
    assert row == [(f"partitions.{YEAR}", count, "allowed", str(count))]


def test_readers_go_on_while_a_partition_is_archived_and_restored_and_hold_nobody_up(archiving: Archiving) -> None:
    archiving.fill_year()
    before = archiving.rows()
    with archiving.warehouse.connect() as reader, archiving.warehouse.connect() as writer:
        reader.execute(f"select count(*) from {YEARS}")
        writer.execute(CHANGES["a row more"])

        archiving.archive()

        assert archiving.records() == [(YEAR, len(before))]
        writer.rollback()
        reader.rollback()
    archiving.drop()
    partitions.ensure_for_dates(archiving.pipeline, YEARS, [date(2013, 1, 1)])
    with archiving.warehouse.connect() as reader:
        assert reader.execute(f"select count(*) from {YEARS}").fetchone() == (0,)

        archiving.restore()

        assert reader.execute(f"select count(*) from {YEARS}").fetchone() == (len(before),)


def test_a_restore_takes_no_lock_that_a_reader_meets(archiving: Archiving, monkeypatch: pytest.MonkeyPatch) -> None:
    archiving.fill_year()
    archiving.archive()
    archiving.drop()
    seen: set[tuple[str, str]] = set()

    def look(point: str) -> None:
        if point == "partition_restore.rows_loaded":
            found = archiving.connection.execute(
                """
                select relation::regclass::text, mode
                from pg_locks
                where locktype = 'relation' and pid = %s and relation::regclass::text ~ 'aggregated_analytics'
                """,
                [archiving.pipeline.info.backend_pid],
            ).fetchall()
            seen.update((relation, mode) for relation, mode in found)

    monkeypatch.setattr(faults, "reach", look)
    archiving.restore()

    assert (f"partitions.{YEAR}_h0", "ShareRowExclusiveLock") in seen
    assert "AccessExclusiveLock" not in {mode for _, mode in seen}
    assert {mode for relation, mode in seen if relation == YEARS} <= {"AccessShareLock", "RowExclusiveLock"}


def test_a_restore_gives_up_where_somebody_keeps_writing(archiving: Archiving, monkeypatch: pytest.MonkeyPatch) -> None:
    archiving.fill_year()
    archiving.archive()
    archiving.drop()
    partitions.ensure_for_dates(archiving.pipeline, YEARS, [date(2013, 1, 1)])
    monkeypatch.setattr("lyceum.archiving.partitions._WRITERS_TIMEOUT", "50ms")
    with archiving.warehouse.connect() as writer:
        writer.execute(CHANGES["a row more"])

        with pytest.raises(RetryableError, match="writing to it"):
            archiving.restore()

    assert restored_partitions(archiving.connection, AS_OF) == ()


def test_two_sessions_archive_a_partition_once(archiving: Archiving) -> None:
    archiving.fill_year()
    with archiving.warehouse.connect(autocommit=True) as second, ThreadPoolExecutor(2) as pool:
        sessions = (archiving, replace(archiving, pipeline=second))
        stored = list(pool.map(lambda session: session.archive(), sessions))

    assert stored[0].uri == stored[1].uri
    assert archiving.is_archived()
    assert len(archiving.names()) == 2


def test_a_type_that_no_archive_can_hold_is_refused_before_anything_is_written(archiving: Archiving) -> None:
    archiving.fill_year()
    archiving.connection.execute(f"alter table {YEARS} add column place point")

    with pytest.raises(ArchiveError, match=r"point \(place\)"):
        archiving.archive()

    assert archiving.names() == []
    assert archiving.records() == []


def test_a_table_without_a_key_is_refused(archiving: Archiving) -> None:
    archiving.fill_year()
    archiving.connection.execute(f"alter table {YEARS} drop constraint aggregated_analytics_key")

    with pytest.raises(ArchiveError, match="no primary key"):
        archiving.archive()


@pytest.mark.parametrize("name", ["aggregated_analytics_p2013m13", "audit_logs_p2013m02", "nonsense", ""])
def test_a_name_of_no_partition_is_refused(archiving: Archiving, name: str) -> None:
    with pytest.raises(ConfigurationError, match="no name of a partition"):
        archiving.archive(YEARS, name)


def test_what_is_not_there_can_neither_be_archived_nor_restored(archiving: Archiving) -> None:
    with pytest.raises(ConfigurationError, match="no partition"):
        archiving.archive(YEARS, "aggregated_analytics_p1999")
    with pytest.raises(ConfigurationError, match="no archive"):
        archiving.restore(YEARS, "aggregated_analytics_p1999")


def test_a_file_that_differs_from_the_partition_is_never_published(
    archiving: Archiving, monkeypatch: pytest.MonkeyPatch
) -> None:
    archiving.fill_year()

    def copied_with_another_score(*arguments: object) -> list[bytes]:
        # What a defect on the way into the file would do: the table says 0.10 where the file says 0.1.
        return [segment.replace(b",0.10,", b",0.1,") for segment in copied_segments(*arguments)]  # type: ignore[arg-type]

    monkeypatch.setattr("lyceum.archiving.archive.copied_segments", copied_with_another_score)

    with pytest.raises(ArchiveError, match="the values of video_seconds_watched differ"):
        archiving.archive()

    assert archiving.records() == []
    assert all(name.endswith(".part") for name in archiving.names())


def test_rows_that_differ_from_the_archive_are_never_shown(
    archiving: Archiving, monkeypatch: pytest.MonkeyPatch
) -> None:
    archiving.fill_year()
    archiving.archive()
    archiving.drop()

    def csv_with_another_score(*arguments: object) -> bytes:
        # What a defect on the way out of the file would do: numerics of another scale.
        return bytes(csv_of(*arguments)).replace(b'"0.10"', b'"0.1"')  # type: ignore[arg-type]

    monkeypatch.setattr("lyceum.archiving.archive.csv_of", csv_with_another_score)

    with pytest.raises(ArchiveError, match="the values of video_seconds_watched differ"):
        archiving.restore()

    assert archiving.rows() == []
    assert restored_partitions(archiving.connection, AS_OF) == ()
    monkeypatch.undo()
    assert archiving.restore().rows > 0


@pytest.mark.parametrize(
    "point", [name for name in faults.POINTS if name.startswith(("archive.", "partition_archive."))]
)
def test_a_crash_while_archiving_leaves_no_half_archive_and_the_next_call_completes_it(
    archiving: Archiving, point: str
) -> None:
    archiving.fill_year()
    before = archiving.rows()

    _run_until(archiving, point, _ARCHIVE)

    assert archiving.records() in ([], [(YEAR, len(before))])
    archiving.archive()
    assert archiving.is_archived()
    assert len(archiving.names()) == 2 or point == "partition_archive.recorded"
    archiving.drop()
    archiving.restore()
    assert archiving.rows() == before


@pytest.mark.parametrize("point", [name for name in faults.POINTS if name.startswith("partition_restore.")])
def test_a_crash_while_restoring_shows_nobody_a_part_of_the_rows_and_the_next_call_completes_it(
    archiving: Archiving, point: str
) -> None:
    archiving.fill_year()
    before = archiving.rows()
    archiving.archive()
    archiving.drop()

    _run_until(archiving, point, _RESTORE)

    assert archiving.rows() == []
    # From the first moment on no clean-up takes away what is being brought back.
    assert [kept.name for kept in restored_partitions(archiving.connection, AS_OF)] == [YEAR]
    assert not archiving.restore().was_there
    assert archiving.rows() == before
    assert archiving.is_archived()


def _structure(archiving: Archiving) -> list[tuple[object, ...]]:
    """What the catalogue says of the partition and its leaves, names of indexes aside."""
    return archiving.connection.execute(
        """
        select
            relations.relname,
            relations.relkind,
            relations.relowner::regrole::text,
            relations.relacl::text,
            relations.relrowsecurity,
            relations.relforcerowsecurity,
            pg_get_expr(relations.relpartbound, relations.oid),
            array(
                select pg_get_constraintdef(oid) from pg_constraint where conrelid = relations.oid and contype <> 'n' order by 1
            ),
            array(
                select regexp_replace(pg_get_indexdef(indexrelid), 'INDEX \\S+ ', '') from pg_index where indrelid = relations.oid
                order by 1
            ),
            array(
                select attname || ' ' || atttypid::regtype::text || ' ' || attnotnull::text
                from pg_attribute where attrelid = relations.oid and attnum > 0 order by attnum
            )
        from pg_class as relations
        where relations.relnamespace = 'partitions'::regnamespace and relations.relname like %s and relations.relkind in ('r', 'p')
        order by 1
        """,
        [f"{YEAR}%"],
    ).fetchall()


_PROGRAM = """
import os, sys
from datetime import datetime
from pathlib import Path
from lyceum import database
from lyceum.archiving import archive_partition, restore_partition
from lyceum.settings import Settings
settings = Settings.from_environment(os.environ, Path.cwd())
with database.connect(database.target(settings), autocommit=True) as connection:
    {}(connection, settings, sys.argv[1], sys.argv[2], datetime.fromisoformat(sys.argv[3]))
"""
_ARCHIVE = _PROGRAM.format("archive_partition")
_RESTORE = _PROGRAM.format("restore_partition")


def _run_until(archiving: Archiving, point: str, program: str) -> None:
    """Run the program in a process that is killed at the point."""
    ended = subprocess.run(
        [sys.executable, "-c", program, YEARS, YEAR, AS_OF.isoformat()],
        env={**os.environ, **archiving.settings.environment(), faults.VARIABLE: point},
        check=False,
        capture_output=True,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
