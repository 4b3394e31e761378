"""What is archived is listed, and what is not whole any more is found, by people and by scripts."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from archived_partitions import AS_OF, MONTH, TRAIL, YEAR, YEARS, Archiving, flip_a_byte, lose
from lyceum.archiving import restored_partitions
from lyceum.archiving.listing import list_archives, verify_archives
from lyceum.cli import main
from lyceum.organizations import add_organization
from lyceum.sealing import seal_due_weeks

Lyceum = Callable[..., Any]


@pytest.fixture
def lyceum(archiving: Archiving, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Lyceum:
    """Calls the program; returns its JSON, or with `is_json=False` what people read on stdout."""
    for name, value in archiving.settings.environment().items():
        monkeypatch.setenv(name, value)

    def call(*arguments: str, code: int = 0, is_json: bool = True) -> Any:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([*arguments, "--json"] if is_json else arguments)
        said = capsys.readouterr()
        assert ended.value.code == code, said.err
        return json.loads(said.out) if is_json and said.out else said.out

    return call


@pytest.fixture
def stocked(archiving: Archiving) -> Archiving:
    """A year, a month, and a sealed week without events of one organization."""
    archiving.fill_year()
    archiving.archive()
    archiving.fill_month()
    archiving.archive(TRAIL, MONTH, AS_OF + timedelta(hours=1))
    organization = add_organization(archiving.connection, "harbor-college", "HC", "UTC", AS_OF - timedelta(days=90))
    archiving.connection.execute(
        "insert into ops.week_states values (%s, '2026-11-02', 'open', %s, null)", [organization.organization_id, AS_OF]
    )
    seal_due_weeks(archiving.warehouse.target, archiving.settings, AS_OF + timedelta(hours=2))
    return archiving


def test_everything_archived_is_listed_by_table_and_time(stocked: Archiving, lyceum: Lyceum) -> None:
    listed = lyceum("archive", "list")

    assert [(entry["name"], entry["organization"]) for entry in listed] == [
        (MONTH, None),
        ("event_keys_p2026w45", "harbor-college"),
        (YEAR, None),
        ("learner_day_states_p2026w45", "harbor-college"),
        ("learner_video_day_states_p2026w45", "harbor-college"),
        ("trainer_day_states_p2026w45", "harbor-college"),
    ]
    assert [entry["name"] for entry in lyceum("archive", "list", "--table", "audit_logs")] == [MONTH]
    assert len(lyceum("archive", "list", "--organization", "harbor-college")) == 4
    shown = lyceum("archive", "list", is_json=False)
    assert f"{YEAR}" in shown
    assert "6 archives: 264 rows" in shown


def test_verifying_reads_every_file_and_exits_with_a_code_of_its_own(stocked: Archiving, lyceum: Lyceum) -> None:
    assert lyceum("archive", "verify", "--all")["archives"] == 6
    (entry,) = list_archives(stocked.connection, name=YEAR)
    stocked.damage(entry.uri, flip_a_byte)

    report = lyceum("archive", "verify", "--all", code=6)

    assert [found["entry"]["name"] for found in report["damaged"]] == [YEAR]
    assert "SHA-256" in report["damaged"][0]["problem"]
    assert "1 is not whole" in lyceum("archive", "verify", "--all", code=6, is_json=False)
    assert lyceum("archive", "verify", MONTH)["archives"] == 1


def test_samples_reach_every_archive_in_turn(stocked: Archiving) -> None:
    def sample(number: int) -> set[str]:
        as_of = AS_OF + timedelta(days=number)
        verify_archives(stocked.pipeline, stocked.settings, as_of, sample=2)
        return {entry.uri for entry in list_archives(stocked.connection) if entry.verified_at == as_of}

    samples = [sample(number) for number in range(1, 4)]

    assert [len(found) for found in samples] == [2, 2, 2]
    assert len(set.union(*samples)) == 6


def test_what_is_not_whole_is_looked_at_again_by_the_next_sample(stocked: Archiving) -> None:
    (entry,) = list_archives(stocked.connection, name=YEAR)
    stocked.damage(entry.uri, lose)

    for number in (1, 2):
        report = verify_archives(stocked.pipeline, stocked.settings, AS_OF + timedelta(days=number), sample=1)
        assert [found.entry.name for found in report.damaged] == [YEAR]
        assert "1 is not whole" in str(report)


def test_a_damaged_archive_is_written_again_as_long_as_its_partition_is_there(
    stocked: Archiving, lyceum: Lyceum
) -> None:
    (entry,) = list_archives(stocked.connection, name=YEAR)
    stocked.damage(entry.uri, flip_a_byte)

    (rewritten,) = lyceum("archive", "rewrite", YEAR)

    assert rewritten["uri"] == entry.uri
    assert lyceum("archive", "verify", YEAR)["damaged"] == []
    stocked.damage(entry.uri, flip_a_byte)
    stocked.drop()
    lyceum("archive", "rewrite", YEAR, code=2)
    lyceum("archive", "verify", YEAR, code=6)


@pytest.mark.parametrize("arguments", [[], ["--all", "--sample", "3"], [YEAR, "--all"], ["--sample", "0"]])
def test_verify_wants_to_be_told_what(lyceum: Lyceum, arguments: list[str]) -> None:
    lyceum("archive", "verify", *arguments, code=2, is_json=False)


def test_a_restore_is_told_to_people_and_scripts(stocked: Archiving, lyceum: Lyceum) -> None:
    before = stocked.rows()
    stocked.drop()

    restored = lyceum("archive", "restore", YEAR, "--keep-days", "3", "--as-of", AS_OF.isoformat())

    assert (restored["rows"], restored["was_there"]) == (len(before), False)
    assert stocked.rows() == before
    (kept,) = restored_partitions(stocked.connection, AS_OF)
    assert kept.restored_until == AS_OF + timedelta(days=3)
    again = lyceum("archive", "restore", YEAR, "--as-of", AS_OF.isoformat(), is_json=False)
    assert f"{YEAR} was there already with its {len(before)} rows, in {YEARS}." in " ".join(again.split())
    assert "2026-12-20 06:00 UTC" in " ".join(again.split())


def test_only_names_on_record_are_restored_or_verified(stocked: Archiving, lyceum: Lyceum) -> None:
    for arguments in (("restore", "aggregated_analytics_p1999"), ("verify", "aggregated_analytics_p1999")):
        lyceum("archive", *arguments, code=2)
    # A week is one of an organization: its events bring it back.
    lyceum("archive", "restore", "event_keys_p2026w45", code=2)


def test_a_warehouse_without_archives_says_so(lyceum: Lyceum) -> None:
    assert "Nothing is archived" in lyceum("archive", "list", is_json=False)
    assert lyceum("archive", "verify", "--all")["archives"] == 0
