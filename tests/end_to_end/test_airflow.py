"""What only the real scheduler, triggerer and DAG processor do: pools, schedules, deadlines and alerts, in one start of Airflow."""

from __future__ import annotations

import gzip
import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from psycopg import sql

from lyceum.alert_settings import AlertSettings
from lyceum.database import connect, ensure_databases
from lyceum.organizations import add_organization
from lyceum.pools import POOLS, PUBLISHING, Pool
from lyceum.supervisor import AirflowServices
from lyceum.supervisor.airflow_api import AirflowApi, DagRun
from lyceum.supervisor.lifecycle import wait_for_airflow
from warehouse import SharedServer, Warehouse
from webhook import Webhook, webhook

pytestmark = [pytest.mark.exhaustive, pytest.mark.timeout(900)]

# A run that is over only once it has been told that it is late.
LATE = """
import os, time
from datetime import timedelta
from pathlib import Path

from airflow.sdk import dag, task

from lyceum.orchestration.deadlines import due_within
from lyceum.orchestration.task_policy import resolve_alerts_of_dag, task_defaults
from lyceum.pools import PUBLISHING


@dag(
    schedule=None,
    default_args=task_defaults(timedelta(minutes=5), PUBLISHING),
    deadline=due_within(timedelta(seconds=1)),
    on_success_callback=resolve_alerts_of_dag,
)
def late_for_once():
    @task
    def wait_for_the_alert():
        while not Path(os.environ["LYCEUM_HOME"], "told").exists():
            time.sleep(0.2)

    wait_for_the_alert()


late_for_once()
"""


class Silence:
    """Tells nobody anything."""

    def step(self, title: str) -> nullcontext[Silence]:
        return nullcontext(self)

    waiting = step

    def detail(self, text: str) -> None:
        """Say nothing."""

    def heading(self, text: str) -> None:
        """Say nothing."""

    def task(self, title: str, outcome: str, seconds: float | None = None, detail: str = "") -> None:
        """Say nothing."""


@dataclass(frozen=True)
class Airflow:
    """A running Airflow that has the project's DAGs and one that is late."""

    warehouse: Warehouse
    services: AirflowServices
    api: AirflowApi
    hook: Webhook

    def alerts(self) -> list[tuple[str, str, bool]]:
        """Kind, subject and whether it is open, the oldest first."""
        with self.warehouse.connect() as connection:
            return connection.execute(
                "select kind, subject, resolved_at is null from ops.alerts order by alert_id"
            ).fetchall()

    def wait(self, what: str, is_there: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 240
        while not is_there():
            assert time.monotonic() < deadline, f"waited in vain for {what}; alerts: {self.alerts()}"
            time.sleep(0.2)

    def finished(self, run: DagRun) -> str:
        self.wait(f"the end of {run.dag_id}", lambda: self.api.dag_run(run.dag_id, run.run_id).is_finished)
        return self.api.dag_run(run.dag_id, run.run_id).state


@pytest.fixture(scope="module")
def airflow(shared_server: SharedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    folder = tmp_path_factory.mktemp("lyceum")
    root = folder / "project"
    shutil.copytree(Path(__file__).parents[2] / "dags", root / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "dags" / "late_for_once.py").write_text(LATE)
    metadata = f"airflow_{uuid4().hex[:12]}"
    with webhook() as hook, shared_server.database(folder / "home", shared_server.make_template()) as lent:
        (root / "plugins").symlink_to(lent.settings.plugins)
        settings = replace(
            lent.settings, project_root=root, airflow_database=metadata, alerts=AlertSettings(hook.address)
        )
        ensure_databases(lent.administrator, [metadata])
        services = AirflowServices(settings)
        try:
            services.prepare(lent.administrator)
            services.start(lent.administrator)
            wait_for_airflow(settings, Silence())
            with services.api() as api:
                yield Airflow(replace(lent, settings=settings), services, api, hook)
        finally:
            services.stop()
            with connect(lent.administrator.with_database("postgres"), autocommit=True) as connection:
                connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(metadata)))


def test_airflow_has_the_pools_of_the_library_and_keeps_them_as_they_are_defined(airflow: Airflow) -> None:
    assert {pool.name: pool for pool in POOLS}.items() <= airflow.api.pools().items()
    assert airflow.services.ensure_pools() == []

    airflow.api.ensure_pools([Pool(PUBLISHING.name, 7, "somebody's idea")])

    assert airflow.services.ensure_pools() == [PUBLISHING.name]
    assert airflow.api.pools()[PUBLISHING.name] == PUBLISHING
    assert "default_pool" in airflow.api.pools()


def test_no_dag_is_paused(airflow: Airflow) -> None:
    assert airflow.api.dag_ids() >= {file.stem for file in (Path(__file__).parents[2] / "dags").glob("*.py")}
    assert airflow.api.paused_dag_ids() == set()


def test_a_missed_deadline_raises_an_alert_while_the_run_goes_on_and_its_success_resolves_it(airflow: Airflow) -> None:
    run = airflow.api.trigger("late_for_once")
    late = ("run_late", "late_for_once")

    airflow.wait("the alert", lambda: (*late, True) in airflow.alerts())
    airflow.wait("its post", lambda: len(airflow.hook.posted) > 0)
    assert not airflow.api.dag_run(run.dag_id, run.run_id).is_finished
    posted = airflow.hook.posted.pop()
    assert (posted["kind"], posted["subject"], posted["state"]) == (*late, "raised")
    assert run.run_id in posted["message"]

    (airflow.warehouse.settings.home / "told").touch()

    assert airflow.finished(run) == "success"
    airflow.wait("its end", lambda: (*late, False) in airflow.alerts())
    assert (*late, True) not in airflow.alerts()
    airflow.wait("its post", lambda: len(airflow.hook.posted) > 0)
    assert airflow.hook.posted.pop()["state"] == "resolved"


def test_a_task_that_fails_for_good_raises_an_alert_which_the_next_success_resolves(airflow: Airflow) -> None:
    clock = datetime.now(UTC)
    statement = {
        "id": str(uuid4()),
        "actor": {"mbox": "mailto:learner@example.org"},
        "verb": {"id": "http://adlnet.gov/expapi/verbs/completed"},
        "object": {"id": "https://lms.example/course"},
        "timestamp": (clock - timedelta(hours=1)).isoformat(),
    }
    file = airflow.warehouse.settings.home / "statements.ndjson.gz"
    file.write_bytes(gzip.compress(json.dumps(statement).encode() + b"\n"))
    params = {"organization": "harbor-college", "path": str(file), "format": "xapi"}
    failed = ("task_failed", "load_history.collect_history")

    assert airflow.finished(airflow.api.trigger("load_history", params)) == "failed"
    airflow.wait("the alert", lambda: (*failed, True) in airflow.alerts())
    airflow.wait("its post", lambda: len(airflow.hook.posted) > 0)
    told = airflow.hook.posted.pop()["message"]
    assert "UnknownOrganizationError" in told
    assert "learner@example.org" not in told

    with airflow.warehouse.connect() as connection:
        add_organization(connection, "harbor-college", "Harbor College", "America/New_York", clock - timedelta(days=1))
    assert airflow.finished(airflow.api.trigger("load_history", params)) == "success"
    airflow.wait("its end", lambda: (*failed, False) in airflow.alerts())
    assert (*failed, True) not in airflow.alerts()
