"""What monitoring alerts of was seen to fire and to clear: something is really so, and then no longer."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, TypeAlias
from uuid import uuid4

import psycopg
import pytest

from lyceum.alerts import Kind, open_alerts
from lyceum.audit import Access, ensure_audit_partitions, record_access, seal_and_tell
from lyceum.database import Connection, connect
from lyceum.monitoring import Sample, keep, rules, watch
from lyceum.organizations import add_organization
from lyceum.settings import Settings
from tenants import AS_OF, Tenant, deliver, event, refusal
from warehouse import Warehouse

Step: TypeAlias = Literal["quiet", "wrong", "mended"]
STEPS: tuple[Step, ...] = ("quiet", "wrong", "mended")


@pytest.fixture
def connection(warehouse: Warehouse) -> Iterator[Connection]:
    with warehouse.connect(autocommit=True) as connection:
        yield connection


def seen(
    settings: Settings, connection: Connection, kind: Kind, become: Callable[[Step], None], begin: datetime = AS_OF
) -> list[list[str]]:
    """Return the subjects of the open alerts of a kind after each step, five minutes apart."""
    found = []
    for number, step in enumerate(STEPS):
        become(step)
        watch(settings, begin + number * timedelta(minutes=5))
        found.append([alert.subject for alert in open_alerts(connection) if alert.kind == kind])
    return found


def test_a_view_that_nobody_has_refreshed(warehouse: Warehouse, connection: Connection) -> None:
    ages = {"quiet": 7, "wrong": 9, "mended": 1}

    def become(step: Step) -> None:
        connection.execute("delete from ops.view_refreshes")
        connection.execute(
            """
            insert into ops.view_refreshes (view_name, as_of, run_id, state, definition)
            values ('mv_learner_analytics_summary', %s, 'test', 'published', '')
            """,
            [AS_OF - timedelta(hours=ages[step])],
        )

    assert seen(warehouse.settings, connection, "view_stale", become) == [[], ["mv_learner_analytics_summary"], []]


def test_records_that_are_refused(warehouse: Warehouse, connection: Connection) -> None:
    tenant = Tenant(warehouse, add_organization(connection, "college", "College", "UTC", AS_OF))
    numbers = iter(range(1_000_000))

    def become(step: Step) -> None:
        refused, accepted = {"quiet": (5, 1), "wrong": (120, 0), "mended": (0, 3000)}[step]
        records = [refusal() for _ in range(refused)] + [event(next(numbers)) for _ in range(accepted)]
        tenant.collect(deliver(*records, name=step), as_of=AS_OF - timedelta(hours=1))

    assert seen(warehouse.settings, connection, "records_refused", become) == [[], ["college"], []]


def test_a_backup_that_is_old(warehouse: Warehouse, connection: Connection) -> None:
    def become(step: Step) -> None:
        ages = {"quiet": [], "wrong": [60], "mended": [60, 3]}[step]
        connection.execute("delete from ops.backup_runs")
        for age in ages:
            instant = AS_OF - timedelta(hours=age)
            connection.execute(
                "insert into ops.backup_runs (run_id, kind, begun_at, ended_at, is_success) values (%s, 'backup', %s, %s, true)",
                [uuid4(), instant, instant],
            )

    assert seen(warehouse.settings, connection, "backup_old", become) == [[], ["backup_warehouse"], []]


def test_a_trail_that_is_not_sealed(warehouse: Warehouse, connection: Connection) -> None:
    ensure_audit_partitions(connection)

    def become(step: Step) -> None:
        record_access(connection, Access("report_read", f"report of {step}"))
        if step != "wrong":
            with connect(warehouse.target, autocommit=True) as pipeline:
                seal_and_tell(pipeline, warehouse.target, warehouse.settings)

    # The trail has the server's clock: the looks are a quarter of an hour after it, and more.
    begin = datetime.now(UTC) + timedelta(minutes=20)
    assert seen(warehouse.settings, connection, "trail_unsealed", become, begin) == [[], ["audit"], []]


def test_a_lock_that_somebody_waits_for(
    warehouse: Warehouse, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Who waits for a minute is found as who waits at all.
    monkeypatch.setattr(rules, "LOCK_WAIT_SECONDS", 0.0)
    settings = replace(warehouse.settings, monitor_database_url=warehouse.administrator.url())
    with warehouse.connect() as holder, waiting(warehouse, holder) as waits:

        def become(step: Step) -> None:
            if step == "wrong":
                waits.start()
                while not connection.execute("select from pg_locks where waitstart is not null").fetchall():
                    waits.join(0.05)
                    assert waits.is_alive()
            if step == "mended":
                holder.rollback()
                waits.join()

        # Another test of the same server may wait, too: who is told of is not counted here.
        quiet, wrong, mended = seen(settings, connection, "server_busy", become)
    assert wrong == ["locks"]
    assert "connections" not in quiet + mended


@contextmanager
def waiting(warehouse: Warehouse, holder: Connection) -> Iterator[threading.Thread]:
    holder.execute("lock table core.verbs")

    def wait() -> None:
        with warehouse.connect() as waiter:
            try:
                waiter.execute("select from core.verbs")
            except psycopg.Error:
                return

    thread = threading.Thread(target=wait)
    try:
        yield thread
    finally:
        holder.rollback()
        if thread.is_alive():
            thread.join()


def test_a_disk_that_will_be_full(warehouse: Warehouse, connection: Connection) -> None:
    def become(step: Step) -> None:
        connection.execute("delete from ops.metrics")
        if step == "wrong":
            free = shutil.disk_usage(warehouse.settings.home).free
            for days in (6, 3):
                lost = Sample("lyceum_disk_free_bytes", (), free * (1 + days))
                keep(connection, [lost], AS_OF - timedelta(days=days))

    warehouse.settings.create_directories()
    found = seen(warehouse.settings, connection, "disk_filling", become)
    if shutil.disk_usage(warehouse.settings.home).free < 0.06 * shutil.disk_usage(warehouse.settings.home).total:
        pytest.skip("The disk of this machine is full itself.")
    assert found == [[], ["home"], []]


def test_a_query_of_monitoring_that_fails(warehouse: Warehouse, connection: Connection, tmp_path: Path) -> None:
    shutil.copytree(warehouse.settings.queries, tmp_path / "sql" / "queries")
    query = tmp_path / "sql" / "queries" / "monitoring" / "warehouse" / "builds.sql"
    sound = query.read_text()

    def become(step: Step) -> None:
        query.write_text("select 1 / 0" if step == "wrong" else sound)

    settings = replace(warehouse.settings, project_root=tmp_path)
    assert seen(settings, connection, "monitoring_failed", become) == [[], ["builds"], []]
