"""An archive goes when its policy is over and nothing can ask for its rows any more, and never before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta

import pytest

from archived_partitions import AS_OF, YEAR, Archiving
from lyceum import partitions
from lyceum.archiving.listing import list_archives
from lyceum.archiving.retention import expired_archives, remove_expired_archives
from lyceum.organizations import add_organization
from lyceum.sealing import seal_due_weeks

MOMENT = timedelta(microseconds=1)
# The week of 2012-12-31 lies in two years; stage three keeps the later one until 2021 has begun.
MONDAY = datetime(2012, 12, 31, tzinfo=UTC)
NEEDED_UNTIL = datetime(2021, 1, 2, tzinfo=UTC)


@pytest.fixture
def weeks(archiving: Archiving) -> Archiving:
    """A sealed week without events, which has four archives."""
    organization = add_organization(archiving.connection, "ou", "OU", "UTC", MONDAY - timedelta(days=90))
    archiving.connection.execute(
        "insert into ops.week_states values (%s, %s, 'open', %s, null)",
        [organization.organization_id, MONDAY.date(), MONDAY],
    )
    seal_due_weeks(archiving.warehouse.target, archiving.settings, MONDAY + timedelta(days=30))
    return archiving


def _expired(archiving: Archiving, as_of: datetime) -> int:
    return len(expired_archives(archiving.connection, as_of))


@pytest.mark.parametrize("retention", ["8 years", "1 day"])
def test_a_weeks_archives_stay_as_long_as_stage_three_has_a_year_of_it(weeks: Archiving, retention: str) -> None:
    weeks.connection.execute("update ops.archive_policies set retention = %s where retention is not null", [retention])
    until = max(NEEDED_UNTIL, datetime(2021, 1, 8, tzinfo=UTC)) if retention == "8 years" else NEEDED_UNTIL

    assert _expired(weeks, until - MOMENT) == 0
    assert _expired(weeks, until) == 4


def test_a_week_that_is_open_again_keeps_its_archives(weeks: Archiving) -> None:
    weeks.connection.execute("update ops.week_states set state = 'open', sealed_at = null")

    assert _expired(weeks, NEEDED_UNTIL + timedelta(days=3650)) == 0


def test_without_a_retention_an_archive_stays_for_good(archiving: Archiving) -> None:
    archiving.fill_year()
    archiving.archive()
    archiving.drop()

    assert _expired(archiving, datetime(9000, 1, 1, tzinfo=UTC)) == 0


def test_an_archive_whose_partition_is_there_or_was_asked_for_stays(archiving: Archiving) -> None:
    archiving.connection.execute("update ops.archive_policies set retention = '1 year'")
    archiving.fill_year()
    archiving.archive()
    assert _expired(archiving, AS_OF) == 0
    archiving.drop()
    assert _expired(archiving, AS_OF) == 1

    archiving.restore()
    assert _expired(archiving, AS_OF) == 0
    archiving.drop()
    assert _expired(archiving, AS_OF + timedelta(days=30) - MOMENT) == 0
    assert _expired(archiving, AS_OF + timedelta(days=30)) == 1


def test_what_has_expired_goes_with_its_files_and_its_record(weeks: Archiving) -> None:
    weeks.connection.execute("update ops.archive_policies set retention = '1 year'")
    weeks.fill_year()
    weeks.archive()
    weeks.drop()
    kept = weeks.names()

    removed = remove_expired_archives(weeks.pipeline, weeks.settings, datetime(2014, 6, 1, tzinfo=UTC))
    assert removed == []
    removed = remove_expired_archives(weeks.pipeline, weeks.settings, NEEDED_UNTIL)

    assert len(removed) == 5
    assert list_archives(weeks.connection) == []
    assert kept
    assert [path for path in weeks.settings.archives.rglob("*") if path.is_file()] == []
    assert remove_expired_archives(weeks.pipeline, weeks.settings, NEEDED_UNTIL) == []


def test_a_crash_between_the_files_and_the_record_leaves_what_the_next_call_removes(archiving: Archiving) -> None:
    archiving.connection.execute("update ops.archive_policies set retention = '1 year'")
    archiving.fill_year()
    archiving.archive()
    archiving.drop()
    program = """
import os, signal
from datetime import datetime
from pathlib import Path
from lyceum import database
from lyceum.archiving import files
from lyceum.archiving.retention import remove_expired_archives
from lyceum.settings import Settings
remove = files.LocalFiles.remove
def remove_one_and_die(self, names):
    remove(self, list(names)[:1])
    os.kill(os.getpid(), signal.SIGKILL)
files.LocalFiles.remove = remove_one_and_die
settings = Settings.from_environment(os.environ, Path.cwd())
with database.connect(database.target(settings), autocommit=True) as connection:
    remove_expired_archives(connection, settings, datetime.fromisoformat("2026-11-20T06:00:00+00:00"))
"""
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **archiving.settings.environment()},
        check=False,
        capture_output=True,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    assert [name for name, _ in archiving.records()] == [YEAR]
    assert len(archiving.names()) == 1

    remove_expired_archives(archiving.pipeline, archiving.settings, AS_OF)

    assert archiving.records() == []
    assert archiving.names() == []


def test_a_partition_that_was_made_anew_keeps_the_archive(archiving: Archiving) -> None:
    archiving.connection.execute("update ops.archive_policies set retention = '1 year'")
    archiving.fill_year()
    archiving.archive()
    archiving.drop()
    partitions.ensure_for_dates(archiving.pipeline, "stage_three.aggregated_analytics", [date(2013, 5, 1)])

    assert _expired(archiving, AS_OF) == 0
