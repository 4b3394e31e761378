"""An Airflow of the tests: a warehouse, a migrated metadata database, and nothing that runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import pytest
from psycopg import sql

from lyceum.database import ConnectionTarget, connect, ensure_databases
from lyceum.supervisor import AirflowServices
from warehouse import SharedServer, Warehouse


@pytest.fixture(scope="module")
def airflow(
    shared_server: SharedServer, template: ConnectionTarget, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Warehouse, dict[str, str]]]:
    """A warehouse and the environment of its Airflow, whose metadata database is migrated; nothing runs."""
    home = tmp_path_factory.mktemp("lyceum") / "home"
    with shared_server.database(home, template) as lent:
        metadata = f"airflow_{uuid4().hex[:12]}"
        warehouse = replace(lent, settings=replace(lent.settings, airflow_database=metadata))
        ensure_databases(warehouse.administrator, [metadata])
        try:
            services = AirflowServices(warehouse.settings)
            services.prepare(warehouse.administrator)
            # What tasks see of the settings does not name the administrator, who reads more than they may.
            administrator = {"LYCEUM_TEST_ADMINISTRATOR_URL": warehouse.administrator.url()}
            yield warehouse, {**services.environment(warehouse.administrator), **administrator}
        finally:
            with connect(warehouse.administrator.with_database("postgres"), autocommit=True) as connection:
                connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(metadata)))
