"""Monitoring of a real warehouse: it measures what is there, keeps it, and what fails costs only itself."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from lyceum import organizations
from lyceum.alerts import open_alerts
from lyceum.audit import Access, ensure_audit_partitions, record_access
from lyceum.cli import main
from lyceum.database import Connection
from lyceum.lifecycle import run_cleanup
from lyceum.monitoring import BY_NAME, Sample, keep, latest, measure, text_for_prometheus, watch
from lyceum.monitoring.store import days_until_full
from lyceum.partitions import ensure_for_dates
from lyceum.settings import Settings
from tenants import AS_OF, Tenant, deliver, event, refusal
from warehouse import Warehouse

QUERIES = {
    "audit",
    "builds",
    "capacity",
    "collecting",
    "database",
    "freshness",
    "retention",
    "sessions",
    "statements",
}


@pytest.fixture
def connection(warehouse: Warehouse) -> Iterator[Connection]:
    with warehouse.connect(autocommit=True) as connection:
        yield connection


@pytest.fixture
def tenant(warehouse: Warehouse, connection: Connection) -> Tenant:
    return Tenant(warehouse, organizations.add_organization(connection, "college", "College", "UTC", AS_OF))


def look(warehouse: Warehouse, as_of: datetime = AS_OF, settings: Settings | None = None) -> tuple[Sample, ...]:
    # The administrator sees of the server what a member of pg_monitor sees.
    return measure(warehouse.target, warehouse.administrator, settings or warehouse.settings, as_of)


def values(samples: tuple[Sample, ...], name: str) -> dict[tuple[str, ...], float]:
    return {
        tuple(dict(sample.labels)[label] for label in BY_NAME[name].labels): sample.value
        for sample in samples
        if sample.name == name
    }


def test_every_sample_is_one_of_the_catalogue_with_its_labels(warehouse: Warehouse, tenant: Tenant) -> None:
    samples = look(warehouse)

    assert samples
    for sample in samples:
        assert sorted(label for label, _ in sample.labels) == sorted(BY_NAME[sample.name].labels), sample.name
    assert len({(sample.name, sample.labels) for sample in samples}) == len(samples)
    failed = values(samples, "lyceum_monitoring_failed")
    assert set(failed) == {(query,) for query in QUERIES}
    assert {query for (query,), value in failed.items() if value} == set()


def test_every_metric_of_the_catalogue_is_measured_by_somebody(warehouse: Warehouse) -> None:
    text = (
        "".join(path.read_text() for path in (warehouse.settings.queries / "monitoring").rglob("*.sql"))
        + Path(measure.__code__.co_filename).read_text()
    )

    assert [name for name in BY_NAME if f"'{name}'" not in text and f'"{name}"' not in text] == []


def test_records_are_counted_by_what_became_of_them(warehouse: Warehouse, tenant: Tenant) -> None:
    tenant.collect(deliver(event(1), event(2), event(2), refusal("missing_timestamp")))

    samples = look(warehouse, AS_OF + timedelta(minutes=1))

    assert values(samples, "lyceum_records") == {
        ("college", "accepted"): 2,
        ("college", "duplicate"): 1,
        ("college", "quarantined"): 1,
    }
    assert values(samples, "lyceum_quarantine_rows") == {("college", "missing_timestamp"): 1}
    assert values(samples, "lyceum_pending_hours") == {("college",): 1}
    assert values(look(warehouse, AS_OF + timedelta(hours=25)), "lyceum_records") == {}


def test_what_the_trail_has_not_sealed_is_counted(warehouse: Warehouse, connection: Connection) -> None:
    ensure_audit_partitions(connection)
    record_access(connection, Access("report_read", "report 1"))
    record_access(connection, Access("report_read", "report 2"))
    now = datetime.now(UTC) + timedelta(seconds=1)

    samples = look(warehouse, now)

    assert values(samples, "lyceum_unsealed_audit_rows") == {(): 2}
    assert values(samples, "lyceum_audited_accesses")[("report_read", "allowed")] == 2
    assert values(samples, "lyceum_failed_logins") == {(): 0}


def test_partitions_are_counted_with_their_table(warehouse: Warehouse, connection: Connection) -> None:
    ensure_for_dates(connection, "stage_two.learner_analytics", [AS_OF.date()])

    sizes = values(look(warehouse), "lyceum_table_bytes")

    assert ("stage_two.learner_analytics",) in sizes
    assert ("core.organizations",) in sizes
    assert ("partitions of nobody",) not in sizes
    assert all(size > 0 for size in sizes.values())


def test_a_query_that_fails_costs_only_itself_and_is_told(
    warehouse: Warehouse, tenant: Tenant, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "checkout"
    shutil.copytree(warehouse.settings.queries, root / "sql" / "queries")
    (root / "sql" / "queries" / "monitoring" / "warehouse" / "builds.sql").write_text("select 1 / 0")

    samples = look(warehouse, settings=replace(warehouse.settings, project_root=root))

    failed = values(samples, "lyceum_monitoring_failed")
    assert {query for (query,), value in failed.items() if value} == {"builds"}
    assert values(samples, "lyceum_pending_hours") == {("college",): 0}
    assert "not measured: builds (SQLSTATE 22012)" in caplog.text


def test_a_server_that_does_not_answer_is_told_and_the_warehouse_is_measured(
    warehouse: Warehouse, tenant: Tenant
) -> None:
    nobody = replace(warehouse.target, user="nobody_at_all")

    samples = measure(warehouse.target, nobody, warehouse.settings, AS_OF)

    failed = values(samples, "lyceum_monitoring_failed")
    assert {query for (query,), value in failed.items() if value} == {"database", "sessions", "statements"}
    assert values(samples, "lyceum_pending_hours") == {("college",): 0}


def test_measurements_are_kept_once_a_clock_and_the_newest_are_found(
    warehouse: Warehouse, connection: Connection
) -> None:
    first = (Sample("lyceum_sessions", (("state", "idle"),), 1.0), Sample("lyceum_connections", (), 2.0))
    second = (Sample("lyceum_connections", (), 3.0), Sample("lyceum_sessions", (("state", "idle"),), 4.0))

    assert latest(connection) == (None, ())
    keep(connection, second, AS_OF)
    keep(connection, second, AS_OF)
    keep(connection, first, AS_OF - timedelta(minutes=5))

    assert latest(connection) == (AS_OF, second)
    keep(connection, first, AS_OF)
    assert set(latest(connection)[1]) == set(first)
    counted = connection.execute(
        "select count(*), (select count(*) from ops.metric_series) from ops.metrics"
    ).fetchone()
    assert counted == (4, 2)


def test_the_daily_clean_up_removes_measurements_of_a_month_ago(warehouse: Warehouse, connection: Connection) -> None:
    for days in (31, 29):
        keep(connection, [Sample("lyceum_connections", (), 1.0)], AS_OF - timedelta(days=days))

    run_cleanup(warehouse.target, warehouse.settings, "daily", AS_OF)

    assert connection.execute("select measured_at from ops.metrics").fetchall() == [(AS_OF - timedelta(days=29),)]


def test_the_day_is_told_on_which_the_disk_is_full(connection: Connection) -> None:
    for hours in range(0, 49, 4):
        free = 1000.0 - 10 * hours
        keep(connection, [Sample("lyceum_disk_free_bytes", (), free)], AS_OF + timedelta(hours=hours))

    # 520 are left after two days, and 240 go each day.
    assert days_until_full(connection, AS_OF + timedelta(hours=48)) == pytest.approx(520 / 240)
    assert days_until_full(connection, AS_OF + timedelta(hours=20)) is None, "less than a day says nothing"
    assert days_until_full(connection, AS_OF - timedelta(days=1)) is None


def test_an_alert_is_raised_once_and_ends_when_it_is_over(warehouse: Warehouse, tenant: Tenant) -> None:
    with warehouse.connect() as connection:
        connection.execute(
            "insert into ops.pending_hours (organization_id, collected_hour) values (%s, %s)",
            [tenant.organization.organization_id, AS_OF - timedelta(hours=4)],
        )
        connection.commit()

    found = [watch(warehouse.settings, AS_OF + timedelta(minutes=minutes)) for minutes in (0, 5)]

    assert [one.new_alerts for one in found] == [1, 0]
    with warehouse.connect() as connection:
        (alert,) = open_alerts(connection)
        assert (alert.kind, alert.subject) == ("build_behind", "college")
        connection.execute("delete from ops.pending_hours")
        connection.commit()
    assert watch(warehouse.settings, AS_OF + timedelta(minutes=10)).resolved == 1
    with warehouse.connect() as connection:
        assert open_alerts(connection) == []


def test_what_keeps_a_build_from_publishing_is_an_alert_until_one_is_better(
    warehouse: Warehouse, connection: Connection, tenant: Tenant
) -> None:
    def build(mismatches: int, is_met: bool, minutes: int) -> list[tuple[str, str]]:
        as_of = AS_OF + timedelta(minutes=minutes)
        row = connection.execute(
            """
            insert into ops.builds (as_of, run_id, state, step) values (%s, 'test', 'failed', 'audit_candidates')
            returning build_id
            """,
            [as_of],
        ).fetchone()
        assert row is not None
        connection.execute(
            "insert into ops.reconciliation_results values (%s, %s, 'states_to_days', 10, %s, '[]')",
            [row[0], tenant.organization.organization_id, mismatches],
        )
        connection.execute(
            "insert into ops.expectation_results values (%s, 'raw_contract', 'events.is_odd', 'critical', %s, '{}')",
            [row[0], is_met],
        )
        watch(warehouse.settings, as_of)
        return [(alert.kind, alert.subject) for alert in open_alerts(connection)]

    expectation, reconciliation = ("expectation_failed", "raw_contract"), ("reconciliation_failed", "states_to_days")
    assert build(0, True, 0) == []
    assert build(0, False, 5) == [expectation]
    assert build(3, False, 10) == [expectation, reconciliation]
    assert build(3, True, 15) == [reconciliation]
    assert build(0, True, 20) == []


def test_status_tells_what_was_measured_and_fails_while_something_needs_a_person(
    warehouse: Warehouse,
    connection: Connection,
    tenant: Tenant,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in warehouse.settings.environment().items():
        monkeypatch.setenv(name, value)

    def status() -> tuple[int, str]:
        try:
            main(["status"])
        except SystemExit as end:
            return int(end.code or 0), " ".join(capsys.readouterr().out.split())
        return 0, " ".join(capsys.readouterr().out.split())

    assert status() == (0, status()[1])
    assert "Nothing needs a person." in status()[1]
    assert "as measured at" not in status()[1]

    pending = [tenant.organization.organization_id, AS_OF - timedelta(hours=4)]
    connection.execute("insert into ops.pending_hours (organization_id, collected_hour) values (%s, %s)", pending)
    watch(warehouse.settings, AS_OF)
    code, told = status()
    assert code == 1
    assert "Needs a person: 1 alert." in told
    assert f"as measured at {AS_OF:%Y-%m-%d %H:%M} UTC" in told
    assert "Records of college have waited 4 hours" in told

    connection.execute("delete from ops.pending_hours")
    watch(warehouse.settings, AS_OF + timedelta(minutes=5))
    code, told = status()
    assert (code, "Nothing needs a person." in told) == (0, True)


def test_who_waits_for_a_lock_is_measured(warehouse: Warehouse, connection: Connection) -> None:
    with warehouse.connect() as holder:
        holder.execute("lock table ops.alerts")
        waiting = threading.Thread(target=_wait_for_alerts, args=(warehouse,))
        waiting.start()
        try:
            for _ in range(2000):
                samples = look(warehouse)
                if values(samples, "lyceum_waiting_locks")[()] >= 1:
                    break
            assert values(samples, "lyceum_waiting_locks")[()] >= 1
            assert values(samples, "lyceum_longest_lock_wait_seconds")[()] > 0
        finally:
            holder.rollback()
            waiting.join()


def _wait_for_alerts(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        connection.execute("select from ops.alerts")


def test_prometheus_reads_every_sample(warehouse: Warehouse, tenant: Tenant) -> None:
    samples = (*look(warehouse), Sample("lyceum_view_age_seconds", (("view", 'a "quoted"\\ view\n'),), 1.5))

    text = text_for_prometheus(samples).decode()

    read = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert read == {(sample.name, sample.labels): sample.value for sample in samples}


def test_the_program_shows_what_was_measured(
    warehouse: Warehouse, tenant: Tenant, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in warehouse.settings.environment().items():
        monkeypatch.setenv(name, value)

    def said(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        out = capsys.readouterr()
        return int(ended.value.code or 0), out.out, out.err

    assert "Nothing was measured yet" in said("metrics")[2]
    code, out, err = said("monitor")
    assert code == 0, out + err
    assert "Everything is as it should be." in out
    assert "College" not in out
    code, out, _ = said("metrics", "lyceum_pending_hours")
    assert code == 0
    assert "college" in out
    assert "table_bytes" not in out
    code, out, _ = said("metrics", "--prometheus")
    assert 'lyceum_pending_hours{organization="college"} 0.0' in out
    assert "lyceum_nothing" in said("metrics", "lyceum_nothing")[2]


def test_the_login_of_monitoring_reads_the_statistics_and_nothing_of_a_tenant(warehouse: Warehouse) -> None:
    with psycopg.connect(warehouse.administrator.conninfo()) as connection:
        connection.execute("set role lyceum_monitor")
        member = connection.execute("select pg_has_role('pg_monitor', 'usage')").fetchone()
        assert member == (True,)
        connection.execute("select count(*) from server_statistics.pg_stat_statements")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select count(*) from core.users")


def test_measuring_writes_nothing(warehouse: Warehouse, tenant: Tenant) -> None:
    with warehouse.connect(autocommit=True) as connection:
        before = connection.execute("select count(*) from ops.metrics").fetchone()
        look(warehouse)
        assert connection.execute("select count(*) from ops.metrics").fetchone() == before
