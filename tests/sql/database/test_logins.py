"""Every part of the product connects as a role that may do what that part does, and no more."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest

from lyceum import database
from lyceum.database import Login
from lyceum.database.logins import provision_backup
from lyceum.errors import ConfigurationError
from lyceum.settings import Settings
from warehouse import SharedServer, Warehouse


def _login(warehouse: Warehouse, shared_server: SharedServer, login: Login) -> psycopg.Connection[tuple[object, ...]]:
    if shared_server.database_url is not None:
        pytest.skip("not run: on a server of one's own the logins have no password that the tests know")
    return database.connect(
        database.login_target(warehouse.administrator, shared_server.settings, login), autocommit=True
    )


def test_no_login_of_the_product_is_above_the_rules_of_the_server(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        rows = connection.execute(
            """
            select rolname, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls
            from pg_roles
            where rolname = any(%s)
            order by rolname
            """,
            [[login.value for login in Login if login not in (Login.AIRFLOW, Login.BACKUP)]],
        ).fetchall()

    assert rows == [
        ("lyceum_authenticator", False, False, False, False, False),
        ("lyceum_monitor", False, False, False, False, False),
        ("lyceum_pipeline", False, False, False, False, True),
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "create role intruder",
        "create database elsewhere",
        "alter role lyceum_pipeline superuser",
        "select * from auth.signing_keys",
        "insert into auth.logins (login_name, role, organization_id) values ('lyceum_pipeline', 'org_admin', 1)",
        "set role lyceum_definer",
        "set role lyceum_org_admin",
        "create or replace function auth.claims() returns jsonb language sql as 'select null::jsonb'",
        "select pg_read_file('postgresql.conf')",
        "copy core.organizations to program 'true'",
    ],
)
def test_the_pipeline_is_refused_what_it_does_not_need(
    warehouse: Warehouse, shared_server: SharedServer, statement: str
) -> None:
    with (
        _login(warehouse, shared_server, Login.PIPELINE) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement)  # type: ignore[call-overload]


@pytest.mark.parametrize("login", [Login.API, Login.MONITOR])
@pytest.mark.parametrize("relation", ["core.users", "stage_three.aggregated_analytics", "auth.signing_keys"])
def test_services_and_monitoring_read_no_table_of_themselves(
    warehouse: Warehouse, shared_server: SharedServer, login: Login, relation: str
) -> None:
    with _login(warehouse, shared_server, login) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(f"select * from {relation}")  # type: ignore[call-overload]


def test_what_the_product_makes_belongs_to_roles_that_cannot_log_in(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        owners = connection.execute(
            """
            select schemas.nspname, relations.relowner::regrole::text, count(*)
            from pg_class as relations
            inner join pg_namespace as schemas on schemas.oid = relations.relnamespace
            where schemas.nspname in ('core', 'stage_one', 'stage_two', 'stage_three', 'ops', 'partitions', 'reporting')
            group by 1, 2
            """
        ).fetchall()

    assert {owner for _, owner, _ in owners} == {"lyceum_owner", "lyceum_definer"}
    assert {schema for schema, owner, _ in owners if owner == "lyceum_definer"} == {"stage_three"}


def test_a_second_migration_changes_no_owner_and_no_password(own_server: Settings) -> None:
    administrator = database.ensure_available(own_server)
    database.migrate(administrator, own_server)

    def state() -> list[tuple[object, ...]]:
        with database.connect(administrator) as connection:
            return connection.execute(
                """
                select rolname, rolpassword from pg_authid where rolname like 'lyceum%'
                union all
                select oid::regclass::text, relowner::regrole::text from pg_class
                order by 1, 2
                """
            ).fetchall()

    before = state()
    database.migrate(database.ensure_available(own_server), own_server)

    assert state() == before
    assert [
        name for name, password in before if name == "lyceum_pipeline" and str(password).startswith("SCRAM-SHA-256$")
    ]


def test_airflow_owns_its_metadata_and_reads_nothing_of_the_warehouse(own_server: Settings) -> None:
    administrator = database.ensure_available(own_server)
    database.migrate(administrator, own_server)
    airflow = database.airflow_target(own_server)

    with database.connect(airflow.with_database(own_server.airflow_database), autocommit=True) as connection:
        connection.execute("create table public.dag (dag_id text)")
    with (
        database.connect(airflow.with_database(own_server.warehouse_database)) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("select * from core.organizations")


def test_no_password_reaches_a_log_of_the_server(own_server: Settings) -> None:
    administrator = database.ensure_available(own_server)
    database.migrate(administrator, own_server)
    provision_backup(administrator, own_server)
    passwords = [database.login_target(administrator, own_server, login).password or "" for login in Login]

    logs = "".join(path.read_text() for path in own_server.server_logs.iterdir() if path.is_file())
    assert "connection authorized" in logs
    assert [password for password in passwords if re.search(re.escape(password), logs)] == []


def test_making_the_logins_leaves_no_refused_one_on_the_record(own_server: Settings) -> None:
    administrator = database.ensure_available(own_server)
    database.migrate(administrator, own_server)
    provision_backup(administrator, own_server)

    logs = "".join(path.read_text() for path in own_server.server_logs.iterdir() if path.is_file())
    assert "connection authorized" in logs
    assert [line for line in logs.splitlines() if "authentication failed" in line or "FATAL" in line] == []


def test_a_password_that_was_changed_on_the_server_is_given_again(own_server: Settings) -> None:
    administrator = database.ensure_available(own_server)
    database.migrate(administrator, own_server)
    with database.connect(administrator, autocommit=True) as connection:
        connection.execute("alter role lyceum_pipeline password 'somebody''s own'")

    database.migrate(administrator, own_server)

    with database.connect(database.target(own_server)) as connection:
        assert connection.execute("select session_user").fetchone() == ("lyceum_pipeline",)


def test_a_login_without_a_password_says_how_to_make_one(own_server: Settings, tmp_path: Path) -> None:
    database.ensure_available(own_server)

    with pytest.raises(ConfigurationError, match="lyceum migrate"):
        database.target(own_server)
