"""The commands: what they print, when they fail, and the rows that they leave in the audit trail."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lyceum import database
from lyceum.audit import list_accesses
from lyceum.cli import main
from lyceum.database import connect
from rosters import Roster
from sql.backup.conftest import Home, numbers_in, restored_settings  # type: ignore[import-not-found]

Call = Callable[..., Any]


@pytest.fixture
def lyceum(home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Call the program on the home; return what it prints as JSON."""
    for name, value in home.settings.environment().items():
        monkeypatch.setenv(name, value)

    def call(*arguments: str, code: int = 0) -> Any:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["--json", *arguments])
        printed = capsys.readouterr()
        assert ended.value.code == code, printed.err
        return json.loads(printed.out) if printed.out else None

    return call


def actions(home: Home) -> list[tuple[str, str]]:
    with connect(database.target(home.settings), autocommit=True) as connection:
        found = reversed(list_accesses(connection, limit=1000))
        return [(row.action, row.decision) for row in found if "backup" in row.action]


def test_a_backup_is_made_listed_verified_and_restored_and_each_is_told(home: Home, lyceum: Call) -> None:
    assert lyceum("backup", "list") == []
    lyceum("backup", "verify", code=2)
    lyceum("restore", "--drill", code=2)
    made = lyceum("backup", "create")["backup"]
    instant = home.insert(1)
    home.insert(2)

    (listed,) = lyceum("backup", "list")
    assert (listed["name"], listed["missing_segment"]) == (made["name"], None)
    assert [one["name"] for one in lyceum("backup", "verify", "--all")] == [made["name"]]
    place = home.new_home()
    restored = lyceum("restore", "--at", instant.isoformat(), "--into", str(place))
    assert (restored["backup"], restored["problems"]) == (made["name"], [])
    assert numbers_in(restored_settings(home, place)) == [1]
    assert lyceum("restore", "--drill")["problems"] == []
    second = lyceum("backup", "create")["backup"]
    assert lyceum("backup", "prune", "--keep", "1", "--dry-run")["removed"] == [made["name"]]
    assert lyceum("backup", "prune", "--keep", "1")["kept"] == [second["name"]]

    assert actions(home) == [
        ("backup_drill_begun", "allowed"),
        ("backup_drill_ended", "failed"),
        ("backup_begun", "allowed"),
        ("backup_created", "allowed"),
        ("backup_restore_begun", "allowed"),
        ("backup_restored", "allowed"),
        ("backup_drill_begun", "allowed"),
        ("backup_drill_ended", "allowed"),
        ("backup_begun", "allowed"),
        ("backup_created", "allowed"),
        ("backup_pruning_begun", "allowed"),
        ("backups_pruned", "allowed"),
    ]
    with connect(home.administrator()) as connection:
        rows = connection.execute("select kind, is_success, backup from ops.backup_runs order by begun_at").fetchall()
    assert rows == [
        ("drill", False, None),
        ("backup", True, made["name"]),
        ("drill", True, made["name"]),
        ("backup", True, second["name"]),
        ("prune", True, None),
    ]


def test_a_restore_tries_the_keys_and_says_when_they_open_no_name(home: Home, lyceum: Call, tmp_path: Path) -> None:
    as_of = "2024-05-15T12:30:00Z"
    delivery = Roster([("u1", "student", "ada", "ada@school.example")], [("math", "Mathematics")]).write(
        tmp_path / "sis"
    )
    lyceum("organization", "add", "school", "--as-of", as_of)
    lyceum("roster", str(delivery), "--organization", "school", "--identity", "mbox", "--as-of", as_of)
    lyceum("backup", "create")
    others = tmp_path / "other keys"
    shutil.copytree(home.settings.keys, others)
    for path in others.rglob("*"):
        if path.is_file() and path.stat().st_size == 32:
            path.write_bytes(bytes(32))
    place = home.new_home()

    right = lyceum("restore", "--latest", "--into", str(home.new_home()))
    wrong = lyceum("restore", "--latest", "--into", str(place), "--keys", str(others), code=1)

    assert (right["problems"], right["notes"]) == ([], [])
    (problem,) = wrong["problems"]
    assert "names cannot be read" in problem
    assert "ada" not in problem.lower()
    assert place.exists(), "what was restored stays, for somebody to look at"


@pytest.mark.parametrize(
    "arguments",
    [
        ("restore", "--into", "/nowhere"),
        ("restore", "--latest"),
        ("restore", "--latest", "--at", "2026-01-01T00:00:00Z", "--into", "/nowhere"),
        ("restore", "--drill", "--latest"),
        ("backup", "verify", "20200101T000000Z-0000", "--all"),
        ("backup", "prune", "--keep", "0"),
    ],
)
def test_what_does_not_go_together_is_refused(lyceum: Call, arguments: tuple[str, ...]) -> None:
    assert lyceum(*arguments, code=2) is None
