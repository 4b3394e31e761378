"""The commands: what they print and exit with, and that those which change or read what is guarded are recorded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lyceum.audit import list_accesses
from lyceum.organizations import add_organization
from sql.audit.conftest import Program, Trail  # type: ignore[import-not-found]


def recorded(trail: Trail) -> list[tuple[str, str, str | None, str]]:
    """Return action, resource, organization and decision of the rows, the oldest first."""
    rows = list_accesses(trail.connection, limit=1000)
    return [(row.action, row.resource, row.organization, row.decision) for row in reversed(rows)]


def test_a_whole_trail_is_said_to_be_whole(trail: Trail, lyceum: Program) -> None:
    trail.record(3)
    trail.seal()

    told = lyceum.json("audit", "verify")

    assert (told["is_whole"], told["batches"], told["rows"], told["findings"]) == (True, 1, 3, [])
    assert "The trail is whole: 1 batches, 3 rows" in lyceum("audit", "verify")


def test_a_changed_trail_ends_with_one_and_names_the_batch(trail: Trail, lyceum: Program) -> None:
    add_organization(trail.connection, "harbor", "Harbor", "UTC", datetime.now(UTC))
    trail.record(3, organization_id=1)
    trail.seal()
    trail.tamper("delete from audit.audit_logs where audit_id = 2")

    told = lyceum.json("audit", "verify", "--organization", "harbor", code=1)

    assert [(finding["batch_id"], finding["kind"]) for finding in told["findings"]] == [(1, "deleted")]
    assert told["rows_of_organization"] == 2
    assert "1 of them are gone" in lyceum("audit", "verify", code=1)


def test_listing_shows_the_rows_and_is_one(trail: Trail, lyceum: Program) -> None:
    trail.record(3)

    assert len(lyceum.json("audit", "list")) == 3
    assert "audit_listed" in lyceum("audit", "list")
    assert recorded(trail)[-1][:2] == ("audit_listed", "audit.audit_logs")


def test_an_export_is_recorded_in_itself_and_in_a_file_of_its_owner(
    trail: Trail, lyceum: Program, tmp_path: Path
) -> None:
    trail.record(3)
    now = datetime.now(UTC)
    window = ["--from", (now - timedelta(hours=1)).isoformat(), "--to", (now + timedelta(hours=1)).isoformat()]
    output = tmp_path / "trail.ndjson"

    lyceum("audit", "export", *window, "--output", str(output))
    printed = lyceum("audit", "export", *window, "--format", "csv")

    lines = [json.loads(line) for line in output.read_text().splitlines()]
    assert [line["row"]["action"] for line in lines if line["record"] == "row"] == [
        *["report_read"] * 3,
        "audit_exported",
    ]
    assert [line["record"] for line in lines[:2]] == ["chain", "batch"]
    assert output.stat().st_mode & 0o777 == 0o600
    assert printed.splitlines()[0].startswith("record,batch_id,row_hash,")
    assert [action for action, *_ in recorded(trail)].count("audit_exported") == 2
    lyceum("audit", "export", *window, "--output", str(output), code=2)


def test_collecting_by_hand_says_what_it_did(trail: Trail, lyceum: Program) -> None:
    trail.record(2)

    told = lyceum.json("audit", "collect")

    assert told["lines"] is None, "the tests' server is not the home's own"
    assert told["changes_of_rights"] == 1
    assert told["rows_sealed"] + told["rows_waiting"] == 3


def test_gaps_are_acknowledged_with_a_reason(trail: Trail, lyceum: Program) -> None:
    assert lyceum.json("audit", "acknowledge", "--reason", "the disk was replaced") == {"gaps": 0}
    assert recorded(trail) == [("gaps_acknowledged", "server log", None, "allowed")]


def test_commands_that_change_who_delivers_what_are_recorded(trail: Trail, lyceum: Program, tmp_path: Path) -> None:
    sources = tmp_path / "sources.toml"
    sources.write_text('[[source]]\norganization = "harbor"\nname = "clicks"\nchannel = "files"\nformat = "oulad"\n')

    lyceum("organization", "add", "harbor", "--time-zone", "UTC")
    lyceum("organization", "set-time-zone", "harbor", "Europe/Oslo", "--from", "2199-01-01")
    lyceum("source", "add", "more", "--organization", "harbor")
    lyceum("source", "apply", str(sources))
    lyceum("source", "remove", "more", "--organization", "harbor")

    assert recorded(trail) == [
        ("organization_added", "organization harbor", "harbor", "allowed"),
        ("time_zone_changed", "organization harbor", "harbor", "allowed"),
        ("source_added", "source harbor/more", "harbor", "allowed"),
        ("sources_applied", "core.sources", None, "allowed"),
        ("source_removed", "source harbor/more", "harbor", "allowed"),
    ]


def test_a_command_that_fails_is_recorded_as_failed(trail: Trail, lyceum: Program) -> None:
    lyceum("organization", "add", "harbor")
    lyceum("organization", "add", "harbor", code=2)
    lyceum("quarantine", "show", "4711", "--organization", "harbor", code=2)

    assert [(action, decision) for action, _, _, decision in recorded(trail)] == [
        ("organization_added", "allowed"),
        ("organization_added", "failed"),
        ("quarantine_read", "failed"),
    ]


def test_opening_psql_is_recorded_with_nothing_of_what_it_is_asked(trail: Trail, lyceum: Program) -> None:
    environment = {**os.environ, **trail.warehouse.settings.environment()}
    command = [sys.executable, "-c", "from lyceum.cli import main; main()", "psql", "--", "-Atc", "select 'Lovelace'"]

    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert said.stdout == "Lovelace\n", said.stderr
    database = trail.warehouse.target.dbname
    assert recorded(trail) == [("psql_opened", f"database {database}", None, "allowed")]
    assert "Lovelace" not in repr(list_accesses(trail.connection))
