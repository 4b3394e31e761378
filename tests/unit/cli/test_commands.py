"""The commands on a real warehouse: each does what it says, and says it to people and to scripts."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from lyceum.cli import main
from lyceum.roster import sync_source
from warehouse import Warehouse

CLOCK = "2026-03-09T06:00:00Z"
Lyceum = Callable[..., Any]


@pytest.fixture
def lyceum(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Lyceum:
    """Calls the program; returns its JSON, or with `is_json=False` what people read on stdout."""
    for name, value in warehouse.settings.environment().items():
        monkeypatch.setenv(name, value)
    warehouse.settings.create_directories()

    def call(*arguments: str, code: int = 0, is_json: bool = True) -> Any:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([*arguments, "--json"] if is_json else arguments)
        said = capsys.readouterr()
        assert ended.value.code == code, said.err
        return json.loads(said.out) if is_json else said.out

    return call


@pytest.fixture
def college(lyceum: Lyceum) -> str:
    lyceum(
        "organization",
        "add",
        "harbor-college",
        "--name",
        "Harbor College",
        "--time-zone",
        "America/New_York",
        "--as-of",
        CLOCK,
    )
    return "harbor-college"


def statement(number: int, timestamp: str = "2026-03-08T12:00:00Z", **changes: object) -> dict[str, object]:
    return {
        "id": f"00000000-0000-4000-8000-{number:012}",
        "actor": {"mbox": "mailto:learner@example.org"},
        "verb": {"id": "http://adlnet.gov/expapi/verbs/interacted"},
        "object": {"id": "https://example.org/page"},
        "timestamp": timestamp,
        **changes,
    }


def write(file: Path, *statements: dict[str, object]) -> str:
    file.write_bytes(gzip.compress("".join(json.dumps(each) + "\n" for each in statements).encode()))
    return str(file)


def critical_outcomes(audits: dict[str, Any]) -> set[bool]:
    return {found["is_success"] for found in audits["expectations"] if found["severity"] == "critical"}


def test_an_added_organization_is_listed_and_has_a_folder_for_its_files(
    lyceum: Lyceum, college: str, warehouse: Warehouse
) -> None:
    assert lyceum("organization", "list") == [
        {"organization_id": 1, "slug": college, "name": "Harbor College", "time_zone": "America/New_York"}
    ]
    assert (warehouse.settings.landing / college / "xapi").is_dir()
    assert "Harbor College" in lyceum("organization", "list", is_json=False)


def test_an_organization_cannot_be_added_twice(lyceum: Lyceum, college: str) -> None:
    error = lyceum("organization", "add", college, code=2)["error"]

    assert error["kind"] == "ConfigurationError"


def test_a_time_zone_changes_from_a_future_day_on(lyceum: Lyceum, college: str) -> None:
    change = ("organization", "set-time-zone", college, "America/Chicago", "--as-of", CLOCK, "--from")

    assert lyceum(*change, "2026-04-01")["effective_from"] == "2026-04-01T04:00:00+00:00"
    assert "error" in lyceum(*change, "2026-03-01", code=2)


def test_a_file_is_collected_once_built_and_told(lyceum: Lyceum, college: str, tmp_path: Path) -> None:
    file = write(tmp_path / "day.ndjson.gz", statement(1), statement(2), statement(2), statement(3, timestamp="soon"))
    arguments = ("collect", file, "--organization", college, "--format", "xapi", "--as-of", CLOCK)

    first = lyceum(*arguments)
    second = lyceum(*arguments)
    built = lyceum("build", "--as-of", CLOCK)

    assert (first["records_read"], first["events_accepted"], first["duplicates"]) == (4, 2, 1)
    assert first["quarantined"] == {"invalid": 1}
    assert first["as_of"] == "2026-03-09T06:00:00+00:00"
    assert (second["inputs_known"], second["records_read"]) == (1, 0)
    assert built["scope"]["events"] == 2
    assert built["publication"]["organizations"] == [1]
    audits = lyceum("validate", "--build", str(built["scope"]["build_id"]))
    assert audits["state"] == "published"
    assert audits["checks"]
    assert critical_outcomes(audits) == {True}
    assert lyceum("build", "--as-of", CLOCK)["publication"] is None


def test_views_are_refreshed_once_and_told(lyceum: Lyceum, college: str, tmp_path: Path, warehouse: Warehouse) -> None:
    file = write(tmp_path / "day.ndjson.gz", statement(1), statement(2))
    lyceum("collect", file, "--organization", college, "--format", "xapi", "--as-of", CLOCK)
    lyceum("build", "--as-of", CLOCK)

    for view, name in (("learner", "mv_learner_analytics_summary"), ("organization", "mv_organization_metrics")):
        first = lyceum("refresh", view, "--as-of", CLOCK)
        assert (first["view"], first["organizations"], first["rows_added"]) == (name, 1, 1)
        assert first["as_of"] == "2026-03-09T06:00:00+00:00"
        assert lyceum("refresh", view, "--as-of", CLOCK)["organizations"] == 0
        assert lyceum("refresh", view, is_json=False) == f"stage_three.{name} is up to date.\n"

    with warehouse.connect() as connection:
        connection.execute(
            "update stage_three.aggregated_analytics set is_active = false where subject_type = 'learner'"
        )
        connection.execute("update ops.organization_watermarks set data_version = 2")
    assert lyceum("refresh", "organization", "--as-of", CLOCK, code=5)["error"]["kind"] == "AuditError"


def test_validate_fails_when_a_critical_expectation_did(
    lyceum: Lyceum, college: str, tmp_path: Path, warehouse: Warehouse
) -> None:
    file = write(tmp_path / "day.ndjson.gz", statement(1))
    lyceum("collect", file, "--organization", college, "--format", "xapi", "--as-of", CLOCK)
    build_id = lyceum("build", "--as-of", CLOCK)["scope"]["build_id"]
    with warehouse.connect() as connection:
        connection.execute(
            """
            update ops.expectation_results set is_success = false
            where (suite, expectation) = (
                select suite, expectation from ops.expectation_results where severity = 'critical' limit 1
            )
            """
        )

    assert lyceum("validate", "--build", str(build_id), code=5)["checks"]
    assert "✗" in lyceum("validate", "--build", str(build_id), code=5, is_json=False)


def test_validate_rehearses_a_build_and_publishes_nothing(
    lyceum: Lyceum, college: str, tmp_path: Path, warehouse: Warehouse
) -> None:
    file = write(tmp_path / "day.ndjson.gz", statement(1))
    lyceum("collect", file, "--organization", college, "--format", "xapi", "--as-of", CLOCK)

    rehearsed = lyceum("validate", "--as-of", CLOCK)

    assert rehearsed["state"] != "published"
    assert critical_outcomes(rehearsed) == {True}
    with warehouse.connect() as connection:
        assert connection.execute("select count(*) from stage_three.aggregated_analytics").fetchone() == (0,)
    assert lyceum("build", "--as-of", CLOCK)["scope"]["events"] == 1


def test_validate_says_when_a_build_was_not_audited(lyceum: Lyceum) -> None:
    assert "Build 99 was not audited" in lyceum("validate", "--build", "99", code=2)["error"]["message"]


def test_a_refused_record_can_be_listed_shown_and_discarded(lyceum: Lyceum, college: str, tmp_path: Path) -> None:
    file = write(tmp_path / "day.ndjson.gz", statement(1, timestamp="soon"))
    lyceum("collect", file, "--organization", college, "--format", "xapi", "--as-of", CLOCK)

    listed = lyceum("quarantine", "list", "--organization", college)
    (row,) = listed["rows"]
    shown = lyceum("quarantine", "show", str(row["quarantine_id"]), "--organization", college, is_json=False)

    assert [(count["reason"], count["rows"]) for count in listed["counts"]] == [("invalid", 1)]
    assert row["detail"] in " ".join(shown.split())
    assert "learner@example.org" not in shown
    assert "invalid" in lyceum("quarantine", "list", "--organization", college, is_json=False)
    discard = ("quarantine", "discard", str(row["quarantine_id"]), "--organization", college, "--as-of", CLOCK)
    assert lyceum(*discard) == {"discarded": 1}
    assert lyceum("quarantine", "list", "--organization", college)["rows"] == []
    assert len(lyceum("quarantine", "list", "--organization", college, "--resolved")["rows"]) == 1


def test_a_late_event_is_replayed_by_its_reason(lyceum: Lyceum, college: str, tmp_path: Path) -> None:
    file = write(tmp_path / "day.ndjson.gz", statement(1, timestamp="2025-01-08T12:00:00Z"))
    lyceum("collect", file, "--organization", college, "--format", "xapi", "--as-of", CLOCK)

    replayed = lyceum("quarantine", "replay", "--reason", "too_late", "--organization", college, "--as-of", CLOCK)

    assert (replayed["rows_considered"], replayed["events_accepted"]) == (1, 1)
    assert lyceum("quarantine", "list", "--organization", college)["rows"] == []


def test_replaying_nothing_in_particular_is_refused(lyceum: Lyceum, college: str) -> None:
    assert "Name the rows" in lyceum("quarantine", "replay", "--organization", college, code=2)["error"]["message"]


def test_an_unknown_reason_is_refused_with_those_that_exist(
    lyceum: Lyceum, college: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["quarantine", "list", "--organization", college, "--reason", "odd"])

    assert ended.value.code == 2
    assert "too_late" in capsys.readouterr().err


def test_a_week_that_is_due_is_sealed(lyceum: Lyceum, college: str, tmp_path: Path) -> None:
    file = write(tmp_path / "day.ndjson.gz", statement(1))
    lyceum("collect", file, "--organization", college, "--format", "xapi", "--as-of", CLOCK)
    lyceum("build", "--as-of", CLOCK)

    early = lyceum("seal", "--as-of", CLOCK)
    due = lyceum("seal", "--as-of", "2026-03-17T06:00:00Z")

    assert early["sealed"] == []
    assert [(week["organization"], week["week_start"]) for week in due["sealed"]] == [(college, "2026-03-02")]


def test_simulated_deliveries_land_where_they_are_collected_from(
    lyceum: Lyceum, college: str, warehouse: Warehouse
) -> None:
    made = lyceum("simulate", college, "--days", "2", "--learners", "5", "--courses", "1", "--as-of", CLOCK)

    folder = warehouse.settings.landing / college / "xapi" / "2026-03-08-seed-1"
    assert made["folders"] == [str(folder)]
    assert sorted(file.name for file in folder.iterdir()) == [
        f"{college}-2026-03-08.ndjson.gz",
        f"{college}-2026-03-09.ndjson.gz",
    ]


def test_simulated_rosters_are_applied_as_they_land_and_know_the_people(
    lyceum: Lyceum, college: str, warehouse: Warehouse
) -> None:
    size = ("--days", "2", "--learners", "20", "--courses", "2", "--unrostered", "0", "--late", "0")
    made = lyceum("simulate", college, *size, "--roster", "1.2", "--as-of", CLOCK)
    for folder in made["folders"]:
        if "/xapi/" in folder:
            lyceum("collect", folder, "--organization", college, "--format", "xapi", "--as-of", CLOCK)

    clock = datetime.fromisoformat(CLOCK)
    report = sync_source(warehouse.target, warehouse.settings, college, "roster", clock, "test")

    assert made["rosters"] == len(report.applied) >= 1
    assert report.unreadable == ()
    assert sum(one.users_claimed for one in report.applied) > 5
    again = lyceum("simulate", college, *size, "--seed", "2", "--roster", "1.1", "--as-of", CLOCK)
    assert again["rosters"] >= 1


def test_deliveries_can_be_simulated_without_a_warehouse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LYCEUM_HOME", str(tmp_path / "absent"))
    monkeypatch.delenv("LYCEUM_DATABASE_URL", raising=False)

    with pytest.raises(SystemExit) as ended:
        main(
            [
                "simulate",
                "--into",
                str(tmp_path),
                "--organizations",
                "3",
                "--days",
                "1",
                "--learners",
                "2",
                "--roster",
                "1.1",
                "--as-of",
                CLOCK,
            ]
        )

    assert ended.value.code == 0
    assert len(list(tmp_path.glob("*/xapi/*.ndjson.gz"))) == 3
    assert len(list(tmp_path.glob("*/roster/*-full.zip"))) == 3


def test_an_unknown_organization_names_those_that_are_alike(lyceum: Lyceum, college: str) -> None:
    error = lyceum("simulate", "harbour-college", "--as-of", CLOCK, code=2)["error"]

    assert college in error["message"]


def test_migrating_again_changes_nothing(lyceum: Lyceum) -> None:
    report = lyceum("migrate")

    assert report["migrations"] == report["repeatable"] == []


def test_psql_opens_the_warehouse_without_a_password_on_its_command_line(warehouse: Warehouse) -> None:
    query = "select current_database(), current_setting('application_name')"
    asked = ["psql", "--", "-At", "-c", query, "-c", r"\! tr '\0' ' ' < /proc/$PPID/cmdline"]

    said = subprocess.run(
        [sys.executable, "-c", "from lyceum.cli import main; main()", *asked],
        env={**os.environ, **warehouse.settings.environment()},
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    first, command_line = said.splitlines()[:2]
    assert first == f"{warehouse.target.dbname}|lyceum psql"
    assert "psql -At" in command_line
    assert warehouse.target.password is not None
    assert warehouse.target.password not in command_line


def test_what_the_server_refuses_is_told_without_the_row_that_it_quotes(
    lyceum: Lyceum, college: str, warehouse: Warehouse, tmp_path: Path
) -> None:
    with warehouse.connect() as connection:
        connection.execute(
            "alter table core.user_identities add constraint nobody check (octet_length(identity_hash) = 1) not valid"
        )
    file = write(tmp_path / "day.ndjson.gz", statement(1))

    error = lyceum("collect", file, "--organization", college, "--format", "xapi", "--as-of", CLOCK, code=1)["error"]

    assert "violates check constraint" in error["message"]
    assert "Failing row contains" not in error["message"]
