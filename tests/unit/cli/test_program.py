"""The program answers at once, explains itself, and turns errors into messages and exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from lyceum.cli import main
from lyceum.cli.program import lyceum
from lyceum.errors import AuditError, ConfigurationError, InputError, LyceumError, RetryableError

HEAVY = ("airflow", "dbt", "great_expectations", "psycopg", "pyarrow", "numpy", "rich", "httpx")


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


COMMANDS = dict(commands(lyceum))


def exit_code(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.fixture
def no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home in which nothing was ever started."""
    home = tmp_path / "home"
    monkeypatch.setenv("LYCEUM_HOME", str(home))
    monkeypatch.delenv("LYCEUM_DATABASE_URL", raising=False)
    return home


def test_the_commands_that_the_documentation_names_exist() -> None:
    assert {" ".join(path) for path in COMMANDS} >= {
        "run",
        "up",
        "down",
        "status",
        "migrate",
        "psql",
        "organization add",
        "organization list",
        "organization unmatched",
        "collect",
        "simulate",
        "build",
        "seal",
        "validate",
        "quarantine list",
        "quarantine show",
        "quarantine replay",
        "quarantine discard",
    }


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_and_every_option_explains_itself(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(*path, "--help") == 0

    command = COMMANDS[path]
    assert command.help
    assert command.help.partition("\n")[0] in " ".join(capsys.readouterr().out.split()).replace("\n", " ")
    undocumented = [option.name for option in command.params if isinstance(option, click.Option) and not option.help]
    assert undocumented == []


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from lyceum.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
    )

    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "Usage: lyceum" in found.stdout
    assert found.stderr.strip() == "[]"


def test_an_error_is_a_message_and_its_exit_code(no_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("organization", "list") == ConfigurationError.exit_code

    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("lyceum: The embedded server of ")
    assert "lyceum up" in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize("arguments", [("--json", "organization", "list"), ("organization", "list", "--json")])
def test_a_script_gets_the_error_as_json(
    no_home: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert exit_code(*arguments) == 2

    error = json.loads(capsys.readouterr().out)["error"]
    assert error["kind"] == "ConfigurationError"
    assert "is not running" in error["message"]


def test_every_kind_of_error_has_an_exit_code_of_its_own() -> None:
    kinds = (LyceumError, ConfigurationError, InputError, RetryableError, AuditError)

    assert sorted(kind.exit_code for kind in kinds) == [1, 2, 3, 4, 5]


def test_asking_for_the_status_of_a_home_that_does_not_exist_makes_none(
    no_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code("status", "--json") == 1

    state = json.loads(capsys.readouterr().out)
    assert not state["database"]["is_running"]
    assert {service["health"] for service in state["services"]} == {"stopped"}
    assert not no_home.exists()


def test_stopping_where_nothing_runs_is_no_error(no_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("down", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"stopped": []}
    assert not no_home.exists()


def test_an_unreadable_setting_is_told_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LYCEUM_DATABASE_URL", "mysql://somebody:secret@example.org/lyceum")

    assert exit_code("status") == 2

    said = capsys.readouterr().err
    assert "LYCEUM_DATABASE_URL" in said
    assert "secret" not in said


def test_a_reader_that_goes_away_is_no_error_message() -> None:
    program = "import sys; from lyceum.cli import main; main(['--help'])"
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        assert child.stderr.read() == b""
