"""Connecting, and creating the databases."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import uuid4

import pytest
from psycopg import sql

from lyceum import database
from lyceum.database import ConnectionTarget
from lyceum.errors import ConfigurationError, RetryableError
from warehouse import Warehouse


@pytest.fixture
def fresh_names(empty_database: Warehouse) -> Iterator[list[str]]:
    """Names of two databases that do not exist; what the test makes of them is dropped afterwards."""
    names = [f"{empty_database.target.dbname}_{letter}" for letter in "ab"]
    yield names
    with empty_database.connect(autocommit=True) as connection:
        for name in names:
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def plain_login(empty_database: Warehouse) -> Iterator[ConnectionTarget]:
    """A login that may do nothing but connect."""
    login = f"plain_{uuid4().hex[:8]}"
    with empty_database.connect(autocommit=True) as connection:
        connection.execute(sql.SQL("create role {} login password 'plain'").format(sql.Identifier(login)))
        yield replace(empty_database.target, user=login, password="plain")
        connection.execute(sql.SQL("drop role {}").format(sql.Identifier(login)))


def test_callers_at_once_create_each_database_once(empty_database: Warehouse, fresh_names: list[str]) -> None:
    with ThreadPoolExecutor(4) as callers:
        created = list(callers.map(lambda _: database.ensure_databases(empty_database.target, fresh_names), range(4)))

    assert sorted(created, key=len) == [[], [], [], fresh_names]
    assert database.ensure_databases(empty_database.target, fresh_names) == []


def test_a_created_database_is_in_utf8_and_utc_and_orders_by_code_point(
    empty_database: Warehouse, fresh_names: list[str]
) -> None:
    database.ensure_databases(empty_database.target, fresh_names)

    with database.connect(empty_database.target.with_database(fresh_names[0])) as connection:
        assert connection.execute("show server_encoding").fetchone() == ("UTF8",)
        assert connection.execute("select 'B' < 'a', lower('Ä')").fetchone() == (True, "ä")
        settings = connection.execute(
            "select setconfig from pg_db_role_setting where setdatabase = (select oid from pg_database where datname = %s)",
            [fresh_names[0]],
        ).fetchone()
    assert settings == (["TimeZone=UTC"],)


def test_an_account_that_may_not_create_a_database_is_told_what_to_ask_for(
    plain_login: ConnectionTarget, fresh_names: list[str]
) -> None:
    with pytest.raises(ConfigurationError, match=f"create database {fresh_names[0]} owner {plain_login.user}"):
        database.ensure_databases(plain_login, fresh_names)


def test_a_refused_password_is_a_matter_of_configuration(plain_login: ConnectionTarget) -> None:
    with pytest.raises(ConfigurationError, match="authentication failed") as refusal:
        database.connect(replace(plain_login, password="guessed"))

    assert "guessed" not in str(refusal.value)


def test_an_absent_database_is_a_matter_of_configuration(empty_database: Warehouse, fresh_names: list[str]) -> None:
    with pytest.raises(ConfigurationError, match="does not exist"):
        database.connect(empty_database.target.with_database(fresh_names[0]))


def test_a_server_out_of_reach_may_be_tried_again(empty_database: Warehouse) -> None:
    with socket.socket() as bound:
        # Bound but not listening: connections to it are refused.
        bound.bind(("127.0.0.1", 0))
        nobody = replace(empty_database.target, host="127.0.0.1", port=bound.getsockname()[1])
        with pytest.raises(RetryableError, match="refused"):
            database.connect(nobody)


def test_a_server_that_is_too_old_is_refused(empty_database: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lyceum.database.connection._OLDEST_SERVER", 990_000)

    with pytest.raises(ConfigurationError, match="needs PostgreSQL 15 or later"):
        database.connect(empty_database.target)


def test_the_session_is_in_utc_whatever_the_database_says(empty_database: Warehouse) -> None:
    with empty_database.connect(autocommit=True) as connection:
        name = sql.Identifier(empty_database.target.dbname)
        connection.execute(sql.SQL("alter database {} set timezone to 'Asia/Tokyo'").format(name))

    with empty_database.connect() as connection:
        assert connection.execute("show timezone").fetchone() == ("UTC",)
