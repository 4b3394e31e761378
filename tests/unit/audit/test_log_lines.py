"""What a line of the server's log means, and what is never taken from it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from lyceum.audit.log_lines import LogEntry, interpret, parse_line
from lyceum.errors import InputError

LOGINS = {"postgres", "lyceum_pipeline", "ada"}

# As PostgreSQL 15 and 17 write them.
LINE: dict[str, Any] = {
    "timestamp": "2026-11-22 20:55:36.127 UTC",
    "user": "ada",
    "dbname": "lyceum",
    "pid": 32603,
    "session_id": "6b0356c8.7f5b",
    "line_num": 6,
    "ps": "SELECT",
    "session_start": "2026-11-22 20:55:36 UTC",
    "error_severity": "LOG",
    "message": "",
    "backend_type": "client backend",
}


def read(**content: object) -> LogEntry | None:
    return interpret(parse_line({**LINE, **content}), "lyceum", LOGINS)


def test_a_line_is_known_by_its_session_and_number() -> None:
    line = parse_line(LINE)

    assert (line.session_id, line.line_number) == ("6b0356c8.7f5b", 6)
    assert line.occurred_at == datetime(2026, 11, 22, 20, 55, 36, 127_000, UTC)
    assert line.session_begun_at == datetime(2026, 11, 22, 20, 55, 36, tzinfo=UTC)


@pytest.mark.parametrize(
    "broken", [{"line_num": None}, {"session_id": ...}, {"timestamp": "2026-11-22 20:55:36.127 CET"}, {"timestamp": 3}]
)
def test_a_line_without_what_every_line_has_is_refused(broken: dict[str, object]) -> None:
    content = {name: value for name, value in {**LINE, **broken}.items() if value is not ...}

    with pytest.raises(InputError, match="log_timezone"):
        parse_line(content)


def test_a_log_in_to_the_warehouse_is_an_entry_and_one_to_another_database_is_none() -> None:
    message = "connection authorized: user=ada database=lyceum application_name=psql"

    entry = read(ps="authentication", message=message)

    assert entry is not None
    assert (entry.action, entry.actor_login, entry.decision, entry.source) == ("log_in", "ada", "allowed", "server_log")
    assert read(ps="authentication", message=message, dbname="airflow") is None


@pytest.mark.parametrize("code", ["28P01", "28000", "3D000", "42501"])
def test_a_refused_log_in_is_denied_wherever_it_wanted_to(code: str) -> None:
    entry = read(error_severity="FATAL", state_code=code, message="no", dbname="other", detail="pg_hba.conf line 1")

    assert entry is not None
    assert (entry.action, entry.decision, entry.actor_login) == ("log_in", "denied", "ada")
    assert entry.detail == {"sqlstate": code, "is_known_login": True}


def test_what_somebody_typed_as_a_name_is_not_taken_over() -> None:
    entry = read(error_severity="FATAL", state_code="28P01", user="my secret password", message="no")

    assert entry is not None
    assert entry.actor_login is None
    assert "secret" not in repr(entry)


def test_a_server_that_is_full_refuses_nobody() -> None:
    assert read(error_severity="FATAL", state_code="53300", message="sorry, too many clients already") is None


@pytest.mark.parametrize(
    ("message", "action", "resource"),
    [
        ("starting PostgreSQL 17.10 on x86_64", "server_started", "server"),
        ("database system is shut down", "server_stopped", "server"),
        ('parameter "log_connections" changed to "off"', "setting_changed", "setting log_connections"),
        (
            'parameter "log_connections" removed from configuration file, reset to default',
            "setting_changed",
            "setting log_connections",
        ),
    ],
)
def test_what_the_server_says_of_itself_is_an_entry(message: str, action: str, resource: str) -> None:
    entry = read(backend_type="postmaster", message=message)

    assert entry is not None
    assert (entry.action, entry.resource) == (action, resource)
    assert read(message=message) is None, "a client says so"


PGAUDIT = (
    "AUDIT: SESSION,7,2,WRITE,INSERT,TABLE,core.users,\"insert into core.users values ('Ada\nLovelace', 1)\",<none>,3"
)


def test_a_statement_that_pgaudit_tells_is_an_entry_without_its_text() -> None:
    entry = read(message=PGAUDIT)

    assert entry is not None
    assert (entry.source, entry.action, entry.resource, entry.row_count) == ("pgaudit", "insert", "core.users", 3)
    assert entry.detail == {"class": "write", "statement": 7, "substatement": 2, "object_type": "table"}
    assert "Lovelace" not in repr(entry)


@pytest.mark.parametrize(
    ("kind", "command", "action"), [("ROLE", "ALTER ROLE", "alter_role"), ("DDL", "CREATE TABLE AS", "create_table_as")]
)
def test_a_command_of_several_words_is_one_action(kind: str, command: str, action: str) -> None:
    entry = read(message=f"AUDIT: SESSION,1,1,{kind},{command},,,<not logged>,<not logged>")

    assert entry is not None
    assert (entry.action, entry.resource, entry.row_count) == (action, kind.lower(), None)


def test_statements_in_other_databases_are_none_but_changes_of_roles_are() -> None:
    assert read(dbname="airflow", message=PGAUDIT) is None
    assert read(dbname="airflow", message="AUDIT: SESSION,1,1,ROLE,GRANT,,,<not logged>,<not logged>") is not None


@pytest.mark.parametrize(
    "content",
    [
        {"message": PGAUDIT},
        {"message": "connection authorized: user=postgres database=lyceum", "ps": "authentication"},
        {"message": 'parameter "log_connections" changed to "off"', "backend_type": "postmaster"},
    ],
)
def test_nobody_forges_a_line_with_raise_log(content: dict[str, object]) -> None:
    assert read(**content) is not None, "without the context it would count"
    assert read(**content, context="PL/pgSQL function inline_code_block line 1 at RAISE") is None


@pytest.mark.parametrize(
    "message",
    ["AUDIT: ", "AUDIT: SESSION", "AUDIT: SESSION,x,1,READ,SELECT,,,", "AUDIT: OTHER,1,1,READ,SELECT,,,", "hello"],
)
def test_a_line_that_only_looks_alike_is_none(message: str) -> None:
    assert read(message=message) is None
