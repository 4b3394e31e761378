"""The DAG that collects pulls stores beside folders; a store that refuses fails its own task, and says so, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from psycopg import sql

from lyceum.database import ConnectionTarget, connect, ensure_databases
from lyceum.organizations import add_organization, landing_folder
from lyceum.supervisor import AirflowServices
from record_stores.door import answers, open_door
from record_stores.made_to_order import StoreToOrder
from record_stores.plain_statements import statement, statements
from record_stores.pulling_product import connect_source
from warehouse import SharedServer

pytestmark = pytest.mark.timeout(600)

CLOCK = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)
RUN = """
import sys
from datetime import datetime
from pathlib import Path
from airflow.configuration import conf
from airflow.dag_processing.dagbag import BundleDagBag
folder = Path(conf.get("core", "dags_folder"))
bag = BundleDagBag(dag_folder=folder, bundle_path=folder, bundle_name="dags-folder", load_op_links=False)
bag.dags["collect_raw_data"].test(run_after=datetime.fromisoformat(sys.argv[1]), logical_date=None)
"""
"""A program of its own: importing Airflow changes a process."""
CONNECTION = json.dumps({"conn_type": "http", "login": "ada", "password": "of Airflow"})


@pytest.fixture(scope="module")
def outcome(
    shared_server: SharedServer, template: ConnectionTarget, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    """One run over a folder and three stores, of which one lets nobody in; then what became of it."""
    home = tmp_path_factory.mktemp("lyceum") / "home"
    with (
        shared_server.database(home, template) as lent,
        open_door() as of_airflow,
        open_door() as of_environment,
        open_door() as refusing,
        pytest.MonkeyPatch.context() as patch,
    ):
        # What `lyceum up` sees when it starts Airflow.
        patch.setenv("LYCEUM_CREDENTIALS_STORE_TWO", "grace:of the environment")
        metadata = f"airflow_{uuid4().hex[:12]}"
        warehouse = replace(lent, settings=replace(lent.settings, airflow_database=metadata))
        ensure_databases(warehouse.administrator, [metadata])
        try:
            services = AirflowServices(warehouse.settings)
            services.prepare(warehouse.administrator)
            with warehouse.connect() as connection:
                add_organization(connection, "acme", "Acme", "UTC", CLOCK)
            since = (CLOCK - timedelta(days=5)).isoformat()
            for number, (name, door) in enumerate({"one": of_airflow, "two": of_environment}.items()):
                store = StoreToOrder(CLOCK - timedelta(minutes=10))
                store.take(statements(range(number * 10, number * 10 + 10), store.now))
                store.now = CLOCK
                door.always = store
                connect_source(
                    warehouse, "acme", door.endpoint, CLOCK, name=name, credentials=f"store_{name}", since=since
                )
            refusing.always = answers(401)
            connect_source(
                warehouse, "acme", refusing.endpoint, CLOCK, name="three", credentials="store_two", since=since
            )
            folder = landing_folder(warehouse.settings, "acme", "xapi")
            folder.mkdir(parents=True)
            landed = folder / "statements.json"
            landed.write_text(json.dumps(statement(99, CLOCK - timedelta(hours=1))))
            os.utime(landed, (CLOCK.timestamp(), CLOCK.timestamp()))
            said = subprocess.run(
                [sys.executable, "-c", RUN, CLOCK.isoformat()],
                env={
                    **services.environment(warehouse.administrator),
                    "AIRFLOW_CONN_STORE_ONE": CONNECTION,
                },
                capture_output=True,
                text=True,
                check=False,
            )
            assert said.returncode == 0, said.stderr[-4000:]
            with connect(warehouse.administrator.with_database(metadata)) as connection:
                tasks = connection.execute(
                    "select coalesce(rendered_map_index, task_id), state, try_number from task_instance"
                ).fetchall()
                ((state,),) = connection.execute("select state from dag_run").fetchall()
            with warehouse.connect() as connection:
                events = connection.execute(
                    """
                    select sources.name, sum(batches.events_accepted)::integer
                    from ops.batches as batches inner join core.sources as sources using (organization_id, source_id)
                    group by sources.name
                    """
                ).fetchall()
            yield {
                "state": state,
                "said": said.stdout + said.stderr,
                "tasks": {name: (state, tries) for name, state, tries in tasks},
                "events": dict(events),
                "shown": {
                    "one": {asked.basic for asked in of_airflow.asked},
                    "two": {asked.basic for asked in of_environment.asked},
                },
            }
        finally:
            with connect(warehouse.administrator.with_database("postgres"), autocommit=True) as connection:
                connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(metadata)))


def test_stores_are_pulled_beside_folders(outcome: dict[str, Any]) -> None:
    assert outcome["events"] == {"xapi": 1, "one": 10, "two": 10}
    assert {name: outcome["tasks"][f"acme/{name}"][0] for name in ("xapi", "one", "two")} == dict.fromkeys(
        ("xapi", "one", "two"), "success"
    )


def test_a_store_that_refuses_fails_its_own_task_at_once_and_the_others_are_announced(outcome: dict[str, Any]) -> None:
    assert outcome["tasks"]["acme/three"] == ("failed", 1)
    assert outcome["state"] == "failed"
    assert outcome["tasks"]["announce"][0] == "success"
    assert "refuses who asks (401). Check the credentials 'store_two'" in outcome["said"]


def test_credentials_come_from_the_airflow_connection_or_else_from_the_environment(outcome: dict[str, Any]) -> None:
    assert outcome["shown"] == {"one": {"ada:of Airflow"}, "two": {"grace:of the environment"}}
    assert "of the environment" not in outcome["said"]
