"""The generated files on a real server: they may run on any database, in any state that they left, and converge."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lyceum.database import Connection, migrate
from lyceum.security.generation import rights_files
from sql.security.departures import check_security  # type: ignore[import-not-found]
from warehouse import Warehouse


@pytest.fixture
def connection(warehouse: Warehouse) -> Iterator[Connection]:
    with warehouse.connect() as connection:
        yield connection


def _run_all(connection: Connection) -> None:
    for text in rights_files().values():
        connection.execute(text.encode())


def test_running_every_file_again_changes_nothing(connection: Connection, warehouse: Warehouse) -> None:
    _run_all(connection)

    assert check_security(connection, warehouse.settings) == []


def test_what_was_changed_by_hand_is_put_right(connection: Connection, warehouse: Warehouse) -> None:
    for statement in (
        "alter table core.users disable row level security",
        "alter policy learner_select on core.courses using (true)",
        "create policy auditor_select on core.courses for select to lyceum_auditor using (true)",
        "grant all on core.users, stage_three.mv_organization_metrics, api.users to public, lyceum_trainer",
        "grant all on schema core, ops, partitions to public, lyceum_learner",
        "alter view api.users reset (security_invoker)",
        "alter materialized view stage_three.mv_organization_metrics owner to current_user",
        "drop view api.freshness",
        "revoke select on core.enrollments from lyceum_definer",
    ):
        connection.execute(statement.encode())
    assert len(check_security(connection, warehouse.settings)) > 9

    _run_all(connection)

    assert check_security(connection, warehouse.settings) == []


def test_migrating_a_migrated_database_runs_none_of_them(warehouse: Warehouse) -> None:
    report = migrate(warehouse.administrator, warehouse.settings)

    assert [name for name in report.repeatable if name.startswith("rights/")] == []
