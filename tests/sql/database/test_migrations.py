"""The migrations runner, on projects made for the test."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from lyceum import database
from lyceum.database import MigrationReport
from lyceum.errors import ConfigurationError
from warehouse import Warehouse

Write = Callable[[str, str], Path]


def _migration(statements: str) -> str:
    return f"-- migrate:up\n{statements}\n-- migrate:down\n"


FIRST = _migration("create table public.course (name text);")
SECOND = _migration(
    "alter table public.course add column credits integer; insert into public.course values ('Logic', 6);"
)
BROKEN = SECOND.replace("-- migrate:down", "select * from nowhere;\n-- migrate:down")


@pytest.fixture
def project(empty_database: Warehouse, tmp_path: Path) -> Warehouse:
    """An empty database and a project without any SQL."""
    return replace(empty_database, settings=replace(empty_database.settings, project_root=tmp_path / "project"))


@pytest.fixture
def write(project: Warehouse) -> Write:
    def write_file(name: str, text: str) -> Path:
        path = project.settings.project_root / "sql" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write_file


def _migrate(project: Warehouse) -> MigrationReport:
    return database.migrate(project.administrator, project.settings)


def _rows(project: Warehouse, query: str) -> list[tuple[object, ...]]:
    with project.connect() as connection:
        return connection.execute(query.encode()).fetchall()


def test_migrations_run_once_in_the_order_of_their_versions(project: Warehouse, write: Write) -> None:
    write("migrations/20260102000000_second.sql", SECOND)
    write("migrations/20260101000000_first.sql", FIRST)

    assert _migrate(project).migrations == ("20260101000000_first.sql", "20260102000000_second.sql")
    assert _migrate(project).migrations == ()
    assert _rows(project, "select name, credits from public.course") == [("Logic", 6)]


def test_the_history_stays_out_of_the_public_schema(project: Warehouse, write: Write) -> None:
    write("migrations/20260101000000_first.sql", FIRST)
    _migrate(project)

    assert _rows(project, "select relname from pg_class where relnamespace = 'public'::regnamespace") == [("course",)]


def test_migrations_run_in_utc_whatever_the_database_says(project: Warehouse, write: Write) -> None:
    write(
        "migrations/20260101000000_zone.sql",
        _migration("create table public.z as select current_setting('TimeZone') as z;"),
    )
    with project.connect() as connection:
        name = psycopg.sql.Identifier(project.target.dbname)
        connection.execute(psycopg.sql.SQL("alter database {} set timezone to 'Asia/Tokyo'").format(name))
    _migrate(project)

    assert _rows(project, "select z from public.z") == [("UTC",)]


def test_bootstrap_comes_before_migrations_and_repeatable_files_after(project: Warehouse, write: Write) -> None:
    write("bootstrap/extension.sql", "create extension if not exists citext;")
    write("migrations/20260101000000_first.sql", _migration("create table public.course (name citext);"))
    write("repeatable/names.sql", "create or replace view public.names as select name from public.course;")

    report = _migrate(project)

    assert (report.bootstrap, report.repeatable) == (("extension.sql",), ("names.sql",))
    assert _rows(project, "select count(*) from public.names") == [(0,)]


def test_a_repeatable_file_runs_again_when_its_content_changes(project: Warehouse, write: Write) -> None:
    write("migrations/20260101000000_runs.sql", _migration("create table public.runs (name text);"))
    write("repeatable/b.sql", "insert into public.runs values ('b');")
    write("repeatable/a/c.sql", "insert into public.runs values ('a/c');")
    _migrate(project)
    write("repeatable/b.sql", "insert into public.runs values ('b, changed: 100%');")

    assert _migrate(project).repeatable == ("b.sql",)
    assert _migrate(project).repeatable == ()
    assert _rows(project, "select name from public.runs") == [("a/c",), ("b",), ("b, changed: 100%",)]


def test_a_failing_migration_leaves_nothing_of_itself(project: Warehouse, write: Write) -> None:
    write("migrations/20260101000000_first.sql", FIRST)
    broken = write("migrations/20260102000000_second.sql", BROKEN)

    with pytest.raises(ConfigurationError, match=r"20260102000000_second\.sql.*nowhere"):
        _migrate(project)
    assert _rows(project, "select * from public.course") == []

    broken.write_text(SECOND, encoding="utf-8")
    assert _migrate(project).migrations == ("20260102000000_second.sql",)


def test_a_failing_repeatable_file_is_named_with_its_line_and_tried_again(project: Warehouse, write: Write) -> None:
    write("repeatable/a.sql", "create table public.kept ();")
    broken = write("repeatable/b.sql", "create table public.gone ();\n\nselect nothing\nfrom nowhere;\n")

    with pytest.raises(ConfigurationError, match=r'b\.sql:4 failed.*"nowhere" does not exist'):
        _migrate(project)
    assert _rows(project, "select to_regclass('public.gone'), to_regclass('public.kept')::text") == [(None, "kept")]

    broken.write_text("select 1;", encoding="utf-8")
    assert _migrate(project).repeatable == ("b.sql",)


def test_a_failure_quotes_no_row(project: Warehouse, write: Write) -> None:
    write(
        "repeatable/a.sql",
        "create table public.people (name text check (length(name) < 3)); insert into people values ('Ada L.');",
    )

    with pytest.raises(ConfigurationError, match="violates check constraint") as failure:
        _migrate(project)

    assert "Ada" not in str(failure.value)


def test_a_migration_that_changed_after_it_was_applied_is_refused(project: Warehouse, write: Write) -> None:
    write("migrations/20260101000000_first.sql", FIRST)
    _migrate(project)
    write("migrations/20260101000000_first.sql", FIRST.replace("name", "title"))

    with pytest.raises(ConfigurationError, match=r"20260101000000_first\.sql was changed after it was applied"):
        _migrate(project)


def test_a_database_of_a_newer_checkout_is_refused(project: Warehouse, write: Write) -> None:
    write("migrations/20260101000000_first.sql", FIRST)
    newer = write("migrations/20260102000000_second.sql", SECOND)
    _migrate(project)
    newer.unlink()

    with pytest.raises(ConfigurationError, match="does not have: 20260102000000"):
        _migrate(project)


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"migrations/20260101_short.sql": FIRST}, "no migration's name"),
        ({"migrations/20260101000000_first.sql": "create table public.course ();"}, "lacks a line '-- migrate:up'"),
        ({"migrations/20260101000000_first.sql": "-- migrate:up\ncreate table public.course ();"}, "'-- migrate:down'"),
        ({"migrations/20260101000000_a.sql": FIRST, "migrations/20260101000000_b.sql": SECOND}, "Two migrations"),
    ],
)
def test_a_file_that_would_be_passed_over_is_refused(
    project: Warehouse, write: Write, files: dict[str, str], problem: str
) -> None:
    for name, text in files.items():
        write(name, text)

    with pytest.raises(ConfigurationError, match=problem):
        _migrate(project)


def test_an_interruption_between_applying_and_remembering_is_mended(project: Warehouse, write: Write) -> None:
    write("migrations/20260101000000_first.sql", FIRST)
    _migrate(project)
    with project.connect() as connection:
        connection.execute("delete from schema_history.files")

    assert _migrate(project).migrations == ()
    write("migrations/20260101000000_first.sql", FIRST.replace("name", "title"))
    with pytest.raises(ConfigurationError, match="changed after it was applied"):
        _migrate(project)


def test_what_is_pending_can_be_asked_without_changing_anything(project: Warehouse, write: Write) -> None:
    write("migrations/20260101000000_first.sql", FIRST)
    write("repeatable/a.sql", "select 1;")

    plan = database.pending_migrations(project.target, project.settings)

    assert [file.name for file in (*plan.migrations, *plan.repeatable)] == ["20260101000000_first.sql", "a.sql"]
    assert _rows(project, "select to_regclass('schema_history.files')") == [(None,)]
    _migrate(project)
    assert database.pending_migrations(project.target, project.settings).is_empty


def test_callers_at_once_apply_everything_once(project: Warehouse, write: Write) -> None:
    write("migrations/20260101000000_first.sql", FIRST)
    write("migrations/20260102000000_second.sql", SECOND)
    # Not idempotent on purpose: a second run would fail.
    write("repeatable/a.sql", "create table public.once ();")

    with ThreadPoolExecutor(4) as callers:
        reports = list(callers.map(lambda _: _migrate(project), range(4)))

    assert sorted(len(report.migrations) for report in reports) == [0, 0, 0, 2]
    assert sorted(len(report.repeatable) for report in reports) == [0, 0, 0, 1]
    assert _rows(project, "select name from public.course") == [("Logic",)]


def test_bootstrapping_databases_of_one_server_at_once_succeeds(
    project: Warehouse, warehouse: Warehouse, write: Write
) -> None:
    role = f"{project.target.dbname}_role"
    # What belongs to the whole server is changed from both databases, over and over.
    for number in range(20):
        write(
            f"bootstrap/{number:02}.sql",
            f"do $$ begin if to_regrole('{role}') is null then create role {role}; end if; end $$;"
            f" alter role {role} set statement_timeout = '{number + 1}s';",
        )
    elsewhere = replace(warehouse, settings=project.settings)
    with warehouse.connect(autocommit=True) as connection:
        connection.execute("drop schema schema_history cascade")
    try:
        with ThreadPoolExecutor(2) as callers:
            reports = list(callers.map(_migrate, [project, elsewhere]))
        assert [len(report.bootstrap) for report in reports] == [20, 20]
    finally:
        with project.connect() as connection:
            connection.execute(psycopg.sql.SQL("drop role {}").format(psycopg.sql.Identifier(role)))


def test_the_password_is_no_argument_of_dbmate(
    project: Warehouse, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("migrations/20260101000000_first.sql", FIRST)
    # In dbmate's place, a program that tells its arguments.
    teller = tmp_path / "dbmate"
    teller.write_text(
        f"#!{sys.executable}\nimport os, sys\nprint(sys.argv, sorted(os.environ))\nsys.exit(1)\n", encoding="utf-8"
    )
    teller.chmod(0o755)
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))

    with pytest.raises(ConfigurationError, match="DATABASE_URL") as failure:
        _migrate(project)

    assert project.target.password is not None
    assert project.target.password not in str(failure.value)
