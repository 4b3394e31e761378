"""The pages that are told anew at each request: every fact that they tell, provoked in a real warehouse, as the login of monitoring."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import psycopg
import pytest

from lyceum.alert_settings import AlertSettings
from lyceum.alerts import raise_alert
from lyceum.audit import (
    Access,
    ensure_audit_partitions,
    heads_of_home,
    record_access,
    seal_audit_batches,
)
from lyceum.audit.heads import FileHeads, Head
from lyceum.database import Connection, ConnectionTarget, Login, connect, login_target
from lyceum.errors import ConfigurationError, RetryableError
from lyceum.lifecycle.catalogue import read_partitions
from lyceum.lifecycle.policies import read_partition_policies
from lyceum.monitoring import Sample, keep
from lyceum.organizations import add_organization
from lyceum.partitions import ensure_ahead
from lyceum.reporting.live.dag_runs import DagHistory, DagRun
from lyceum.reporting.live.retention import RetentionFacts, gather_retention
from lyceum.reporting.live.retention_page import render_retention
from lyceum.reporting.live.runbook import read_runbook
from lyceum.reporting.live.snapshot import snapshot
from lyceum.reporting.live.unavailable import explain, render_unavailable
from lyceum.reporting.live.warehouse import WarehouseFacts, gather_warehouse
from lyceum.reporting.live.warehouse_page import render_warehouse
from tenants import AS_OF, Tenant, deliver, event, refusal
from warehouse import SharedServer, Warehouse

Parameters = list[Any]


class Told:
    """A warehouse as its pages tell it: `monitor` is the login that they ask with."""

    def __init__(self, warehouse: Warehouse, monitor: ConnectionTarget, connection: Connection) -> None:
        self.warehouse, self.monitor, self.connection = warehouse, monitor, connection

    def warehouse_at(self, as_of: datetime = AS_OF, dags: tuple[DagHistory, ...] | None = None) -> WarehouseFacts:
        return gather_warehouse(self.monitor, as_of, dags)

    def retention_at(self, as_of: datetime = AS_OF, heads: FileHeads | None = None) -> RetentionFacts:
        return gather_retention(self.monitor, heads or heads_of_home(self.warehouse.settings), as_of)

    def run(self, statement: str, *parameters: Any) -> None:
        self.connection.execute(statement.encode(), parameters or None)

    def measured(self, as_of: datetime = AS_OF, **values: float) -> None:
        keep(self.connection, [Sample(f"lyceum_{name}", (), value) for name, value in values.items()], as_of)


@pytest.fixture
def told(warehouse: Warehouse, shared_server: SharedServer) -> Iterator[Told]:
    monitor = warehouse.target
    if shared_server.database_url is None:
        monitor = login_target(warehouse.administrator, shared_server.settings, Login.MONITOR)
    with warehouse.connect(autocommit=True) as connection:
        yield Told(warehouse, monitor, connection)


@pytest.fixture
def tenant(told: Told) -> Tenant:
    return Tenant(told.warehouse, add_organization(told.connection, "college", "College", "UTC", AS_OF))


def subjects(facts: WarehouseFacts | RetentionFacts) -> list[tuple[str, str]]:
    return [(finding.kind, finding.subject) for finding in facts.findings]


def page_of(told: Told, facts: WarehouseFacts | RetentionFacts) -> str:
    runbook = read_runbook(told.warehouse.settings.project_root)
    page = render_warehouse(facts, runbook) if isinstance(facts, WarehouseFacts) else render_retention(facts, runbook)
    Strict(page)
    return page


class Strict(HTMLParser):
    """Fails at an element that is not closed in order, at anything that runs or fetches, and at an id said twice."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []
        assert len(self.ids) == len(set(self.ids))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        assert tag not in {"script", "link", "iframe", "img", "object", "embed", "base", "form"}
        assert not [name for name in found if name.startswith("on") or name == "src"]
        assert re.fullmatch(r"#[a-z]+|[a-z]+\.html", found.get("href") or "#a")
        self.ids += [value for name, value in attrs if name == "id" and value]
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_login_of_the_pages_reads_no_table(told: Told, shared_server: SharedServer) -> None:
    if shared_server.database_url is not None:
        pytest.skip("the passwords of a server of one's own are not ours")
    with connect(told.monitor, autocommit=True) as connection:
        for table in ("core.organizations", "ops.batches", "ops.alerts", "stage_one.quarantine", "audit.audit_logs"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"select from {table}".encode())


def test_an_empty_warehouse_is_ready_and_says_how_to_begin(told: Told) -> None:
    facts, kept = told.warehouse_at(), told.retention_at()

    assert (facts.answer.tone, facts.answer.headline) == ("neutral", "The warehouse is ready and empty")
    assert "<code>lyceum organization add</code>" in page_of(told, facts)
    assert (kept.answer.tone, kept.answer.headline) == ("neutral", "Nothing to keep and nothing to prove yet")
    assert "Nobody was erased here." in page_of(told, kept)


def test_what_was_collected_and_refused_is_told_as_the_ledger_has_it(told: Told, tenant: Tenant) -> None:
    told.measured(database_bytes=5e7)
    tenant.collect(deliver(event(1), event(2), event(2), refusal("malformed"), refusal("invalid"), refusal("invalid")))

    facts = told.warehouse_at(AS_OF + timedelta(minutes=5))

    (entry,) = facts.freshness
    assert (entry.slug, entry.state, entry.pending_hours, entry.last_collected_at) == ("college", "waiting", 1, AS_OF)
    assert (entry.open_weeks, str(entry.oldest_open_week)) == (1, "2024-05-13")
    (volume,) = facts.volumes
    assert (volume.read, volume.accepted, volume.duplicates, volume.quarantined) == (6, 2, 1, 3)
    assert {refused.reason: (refused.records, refused.open) for refused in facts.refusals} == {
        "malformed": (1, 1),
        "invalid": (2, 2),
    }
    (work,) = facts.work
    assert (work.kind, work.subject, work.as_of, work.detail) == (
        "collect",
        "college",
        AS_OF,
        "6 records read, 2 accepted, 3 refused",
    )
    assert (facts.answer.tone, facts.answer.headline) == ("good", "The warehouse is up to date and healthy")
    page = page_of(told, facts)
    assert "2024-05-15: 6 read, 2 accepted, 1 duplicates, 3 quarantined" in page
    assert "waiting for a build" in page


def test_collected_hours_that_wait_too_long_are_the_first_thing_told(told: Told, tenant: Tenant) -> None:
    tenant.collect(deliver(event(1)))
    late = AS_OF + timedelta(hours=4)
    told.measured(late, database_bytes=5e7)

    facts = told.warehouse_at(late)

    assert subjects(facts) == [("build_behind", "college")]
    assert facts.answer.tone == "bad"
    assert facts.answer.headline == "The warehouse needs somebody: build behind, college"
    # What to do stands beside it, in the words of the runbook.
    assert "<code>lyceum build</code> builds at once" in page_of(told, facts)


def test_an_open_alert_is_told_once_with_its_instant_and_the_gravest_first(told: Told, tenant: Tenant) -> None:
    tenant.collect(deliver(event(1)))
    late = AS_OF + timedelta(hours=4)
    told.measured(late, database_bytes=5e7)
    raise_alert(told.warehouse.target, AlertSettings(), "records_refused", "college", "Many <records> were refused.")
    raise_alert(told.warehouse.target, AlertSettings(), "build_behind", "college", "It has waited.")
    raise_alert(told.warehouse.target, AlertSettings(), "disk_filling", "home", "The disk is full.")

    facts = told.warehouse_at(late)

    assert subjects(facts) == [("disk_filling", "home"), ("build_behind", "college"), ("records_refused", "college")]
    assert [finding.since is not None for finding in facts.findings] == [True, True, True]
    assert facts.answer.sentence == "The disk is full. 2 more findings below."
    page = page_of(told, facts)
    assert "Many &lt;records&gt; were refused." in page
    told.run("update ops.alerts set resolved_at = clock_timestamp()")
    assert subjects(told.warehouse_at(late)) == [("build_behind", "college")]


def test_views_that_failed_or_were_not_looked_at_are_stale(told: Told, tenant: Tenant) -> None:
    told.measured(database_bytes=5e7)
    refresh = """
        insert into ops.view_refreshes (view_name, as_of, run_id, state, definition, rows_removed, rows_added)
        values (%s, %s, 'test', %s, 'x', 1, 1200)
    """
    told.run(refresh, "mv_learner_analytics_summary", AS_OF - timedelta(hours=9), "published")
    told.run(refresh, "mv_organization_metrics", AS_OF - timedelta(hours=1), "published")
    assert subjects(told.warehouse_at()) == [("view_stale", "mv_learner_analytics_summary")]

    told.run(refresh, "mv_learner_analytics_summary", AS_OF - timedelta(hours=1), "unchanged")
    told.run(refresh, "mv_organization_metrics", AS_OF, "failed")
    facts = told.warehouse_at()

    assert subjects(facts) == [("view_stale", "mv_organization_metrics")]
    assert {view.name: (view.state, view.looked_at) for view in facts.views} == {
        "mv_learner_analytics_summary": ("unchanged", AS_OF - timedelta(hours=1)),
        "mv_organization_metrics": ("failed", AS_OF - timedelta(hours=1)),
    }
    assert "1,200 rows added, 1 removed" in page_of(told, facts)


def test_builds_cleanups_and_backups_are_listed_with_outcome_and_duration(told: Told) -> None:
    told.run(
        "insert into ops.builds (as_of, run_id, state, step) values (%s, 'a', 'failed', 'stage_two'), (%s, 'b', 'published', 'begin')",
        AS_OF,
        AS_OF,
    )
    told.run(
        "insert into ops.build_steps (build_id, step, seconds, is_success) values (1, 'begin', 2.5, true), (1, 'stage_two', 70, false)"
    )
    told.run(
        """
        insert into ops.partition_drops (
            parent_table, partition_name, period_lower, period_upper, expired_at, as_of, byte_length, is_forced, is_finished
        )
        select
            'stage_one.raw_data_collection', 'raw_data_collection_p2024050' || day, '2024-05-01', '2024-05-02', now(), %s,
            1, false, day <> 3
        from generate_series(1, 3) as days (day)
        """,
        AS_OF,
    )
    told.run(
        "insert into ops.backup_runs (run_id, kind, begun_at, ended_at, is_success) values (gen_random_uuid(), 'drill', %s, %s, false)",
        AS_OF,
        AS_OF + timedelta(seconds=90),
    )

    found = {(work.kind, work.subject): (work.outcome, work.seconds, work.detail) for work in told.warehouse_at().work}

    assert found == {
        ("build", "build 1"): ("failed", 72.5, "step stage_two"),
        ("build", "build 2"): ("published", None, "nothing was pending"),
        ("clean-up", "stage_one.raw_data_collection"): ("unfinished", None, "3 partitions"),
        ("drill", ""): ("failed", 90.0, ""),
    }


def test_nobody_watching_and_a_full_disk_are_findings(told: Told, tenant: Tenant) -> None:
    assert subjects(told.warehouse_at()) == [("monitoring_silent", "monitor_warehouse")]

    told.measured(AS_OF - timedelta(minutes=31), disk_free_ratio=0.5)
    assert subjects(told.warehouse_at()) == [("monitoring_silent", "monitor_warehouse")]

    told.measured(AS_OF - timedelta(minutes=5), disk_free_ratio=0.04)
    assert subjects(told.warehouse_at()) == [("disk_filling", "home")]


def test_a_dag_whose_last_run_failed_is_a_finding_until_one_succeeds(told: Told, tenant: Tenant) -> None:
    told.measured(database_bytes=5e7)
    failed = DagHistory("build_analytics", False, (DagRun("success", AS_OF, 3.0), DagRun("failed", AS_OF, 4.0)))
    mended = replace(failed, runs=(*failed.runs, DagRun("success", AS_OF, 3.0), DagRun("running", AS_OF, None)))

    facts = told.warehouse_at(dags=(failed,))
    assert subjects(facts) == [("task_failed", "build_analytics")]
    assert "build_analytics, 2024-05-15 12:30 UTC: failed, 4.0 s" in page_of(told, facts)
    assert subjects(told.warehouse_at(dags=(mended,))) == []
    # An alert tells of the task that failed, which is more.
    raise_alert(told.warehouse.target, AlertSettings(), "task_failed", "build_analytics.publish", "It failed.")
    assert subjects(told.warehouse_at(dags=(failed,))) == [("task_failed", "build_analytics.publish")]


def test_partitions_expire_when_the_clean_ups_say_so(told: Told, tenant: Tenant) -> None:
    tenant.collect(deliver(event(1), refusal()))
    ensure_ahead(told.connection, AS_OF)
    policies = read_partition_policies(told.connection)
    known = {policy.parent_table: policy for policy in policies}

    found = {one.name: one for one in told.warehouse_at().partitions}

    expected = [one for one in read_partitions(told.connection, policies) if not one.is_month_of_days]
    assert {one.name for one in expected} == set(found)
    assert {one.parent_table for one in found.values()} == set(known)
    for one in expected:
        told_of = found[one.name]
        assert (told_of.lower, told_of.upper) == (one.period.lower, one.period.upper)
        assert told_of.expires_at == known[one.parent_table].expires_at(one.period), one.name


def test_a_hold_is_told_with_its_reason_and_is_a_finding_once_its_grace_is_over(told: Told, tenant: Tenant) -> None:
    tenant.collect(deliver(event(1)))
    told.measured(database_bytes=5e7)
    hold = """
        insert into ops.partition_holds values
        ('stage_one.raw_data_collection', 'raw_data_collection_p20240515', 'builds', 'an hour of college waits', %s, %s, false, 'plan', %s)
    """
    told.run(hold, AS_OF - timedelta(hours=1), AS_OF + timedelta(hours=1), AS_OF)

    facts = told.warehouse_at()
    assert facts.findings == ()
    (held,) = [one for one in facts.partitions if one.held_by]
    assert (held.name, held.held_by, held.standing(AS_OF)) == ("raw_data_collection_p20240515", "builds", "held")
    assert "an hour of college waits" in page_of(told, facts)

    told.run("update ops.partition_holds set grace_ends_at = %s", AS_OF)
    assert subjects(told.warehouse_at()) == [("partition_held", "stage_one.raw_data_collection")]
    assert ("partition_held", "stage_one.raw_data_collection") in subjects(told.retention_at())


def test_an_expired_partition_that_its_clean_up_has_left_over_is_a_finding(told: Told, tenant: Tenant) -> None:
    tenant.collect(deliver(event(1)))
    # The raw day ends on the 16th and stays a day; the daily clean-up has come by the 19th.
    expired, overdue = datetime(2024, 5, 18, tzinfo=UTC), datetime(2024, 5, 19, 0, 1, tzinfo=UTC)

    def left_over(as_of: datetime) -> list[str]:
        return [subject for kind, subject in subjects(told.retention_at(as_of)) if kind == "left_over"]

    (raw,) = [
        one for one in told.retention_at(expired).tables if one.policy.parent_table.endswith(".raw_data_collection")
    ]
    assert [one.name for one in raw.expired(expired)][:1] == ["raw_data_collection_p20240515"]
    assert left_over(expired) == []
    assert left_over(overdue) == ["stage_one.raw_data_collection"]
    told.run(
        """
        insert into ops.partition_holds
        select 'stage_one.raw_data_collection', relname, 'builds', 'x', %s, %s, false, 'plan', %s
        from pg_class where relname like 'raw_data_collection_p202405%%' and relkind = 'r'
        """,
        AS_OF,
        overdue + timedelta(days=1),
        AS_OF,
    )
    assert left_over(overdue) == []


def test_the_chain_is_proven_by_its_head_and_doubted_without(told: Told, tenant: Tenant) -> None:
    with connect(told.warehouse.target, autocommit=True) as pipeline:
        ensure_audit_partitions(pipeline)
        for number in range(2):
            record_access(pipeline, Access("report_read", f"report {number}"))
            _seal(pipeline, heads_of_home(told.warehouse.settings))
    now = datetime.now(UTC)
    heads = heads_of_home(told.warehouse.settings)
    head = heads.last()
    assert head is not None

    proven = told.retention_at(now)
    assert (proven.chain.heads, proven.chain.last_batch_id, proven.chain.broken_links) == ("proven", 2, 0)
    assert proven.chain.sealed_rows == head.rows
    assert sum(day.sealed for day in proven.accesses) == head.rows
    assert subjects(proven) == [("backup_old", "backup_warehouse")]

    folder = told.warehouse.settings.home / "others"
    for name, other in {
        "differs": replace(head, hash="00" * 32),
        "other_chain": replace(head, chain_id="another"),
        "behind": replace(head, batch_id=1),
    }.items():
        kept = FileHeads(folder / f"{name}.jsonl")
        kept.append(other)
        # A head comes a moment after its batch: what is behind for longer is missing.
        facts = told.retention_at(now + timedelta(hours=1), kept)
        assert facts.chain.heads == name
        assert ("audit_heads", "audit") in subjects(facts)
    assert ("audit_heads", "audit") not in subjects(told.retention_at(now, _kept(folder, replace(head, batch_id=1))))
    nothing = told.retention_at(now, FileHeads(folder / "nothing.jsonl"))
    assert nothing.answer.headline == "Keeping or proof is in doubt: heads missing, audit"

    told.run("alter table audit.batches disable trigger user")
    told.run("update audit.batches set previous_hash = '\\x00' where batch_id = 2")
    assert ("audit_chain", "audit") in subjects(told.retention_at(now))


def _seal(pipeline: Connection, heads: FileHeads) -> None:
    """Seal what is there. A transaction of another test that ends at this very moment is waited for by the next call."""
    deadline = time.monotonic() + 60
    while seal_audit_batches(pipeline, heads).batch is None:
        assert time.monotonic() < deadline


def _kept(folder: Any, head: Head) -> FileHeads:
    kept = FileHeads(folder / "fresh.jsonl")
    kept.append(head)
    return kept


def test_rows_that_wait_to_be_sealed_and_gaps_that_nobody_acknowledged_are_findings(told: Told) -> None:
    with connect(told.warehouse.target, autocommit=True) as pipeline:
        ensure_audit_partitions(pipeline)
        record_access(pipeline, Access("report_read", "report"))
        now = datetime.now(UTC)
        assert ("trail_unsealed", "audit") not in subjects(told.retention_at(now))
        assert subjects(told.retention_at(now + timedelta(minutes=16))) == [("trail_unsealed", "audit")]
        gap = """
            insert into audit.audit_logs (occurred_at, action, resource, decision, source, server_id)
            values (now(), %s, 'the log', 'allowed', 'collector', audit.server_id())
        """
        told.run(gap, "gap")
        told.run(gap, "gap")
        facts = told.retention_at(now)
        assert (facts.chain.gaps, facts.chain.open_gaps) == (2, 2)
        assert subjects(facts) == [("audit_gap", "audit")]
        told.run(gap, "gaps_acknowledged")
        facts = told.retention_at(now)
        assert (facts.chain.gaps, facts.chain.open_gaps, subjects(facts)) == (2, 0, [])


def test_refusals_failures_and_changes_of_rights_are_counted_by_day(told: Told) -> None:
    with connect(told.warehouse.target, autocommit=True) as pipeline:
        ensure_audit_partitions(pipeline)
    row = """
        insert into audit.audit_logs (occurred_at, action, resource, decision, source, server_id)
        select now(), %s, 'something', %s, %s, 1 from generate_series(1, %s) as numbers (number)
    """
    for action, decision, source, count in (
        ("log_in", "denied", "server_log", 3),
        ("report_read", "denied", "service", 2),
        ("build", "failed", "service", 1),
        ("grant_added", "allowed", "catalog", 4),
        ("log_in", "allowed", "server_log", 7),
    ):
        told.run(row, action, decision, source, count)

    facts = told.retention_at(datetime.now(UTC))

    counted = [
        sum(getattr(day, name) for day in facts.accesses)
        for name in ("refused_log_ins", "refused_accesses", "failures", "changes_of_rights")
    ]
    assert counted == [3, 2, 1, 4]
    page = page_of(told, facts)
    assert "3 refused log-ins, 2 refused accesses, 1 failed attempts, 4 changes of rights" in page
    assert ">5</b> refused log-ins and accesses in 30 days" in page


def test_an_erasure_is_told_by_counts_and_certificate_alone(told: Told, tenant: Tenant) -> None:
    organization = tenant.organization.organization_id
    told.run(
        """
        insert into ops.erasures (
            organization_id, begun_as_of, approved_by, reason, user_ids, fresh_user_ids, identity_hashes, login_names,
            ids_erased, row_counts, archives_rewritten
        ) values (%s, %s, 'Dean Approver', 'A very private reason', '{4711}', '{4712}', '{}', '{ada_login}', 1, '{"a": 3, "b": 4}', 2)
        """,
        organization,
        AS_OF - timedelta(hours=2),
    )
    facts = told.retention_at()
    (going_on,) = facts.erasures
    assert (going_on.finished_as_of, going_on.ids_erased, going_on.rows_changed, going_on.archives_rewritten) == (
        None,
        1,
        7,
        2,
    )
    assert ("erasure_unfinished", f"erasure {going_on.erasure_id} of college") in subjects(facts)
    page = page_of(told, facts)
    for secret in ("Dean Approver", "private reason", "4711", "4712", "ada_login"):
        assert secret not in page

    told.run(
        """
        update ops.erasures
        set
            finished_as_of = %s, user_ids = null, fresh_user_ids = null, identity_hashes = null, login_names = null,
            is_rekeyed = true, certificate_id = 815
        """,
        AS_OF,
    )
    facts = told.retention_at()
    assert [kind for kind, _ in subjects(facts)] == ["backup_old"]
    assert "<code>815</code>" in page_of(told, facts)


def test_backups_and_drills_are_told_with_the_last_that_succeeded(told: Told, tenant: Tenant) -> None:
    run = """
        insert into ops.backup_runs (run_id, kind, backup, begun_at, ended_at, is_success, byte_length)
        values (gen_random_uuid(), %s, 'b', %s, %s, %s, 2500000)
    """
    begun = AS_OF - timedelta(hours=5)
    told.run(run, "backup", begun, begun + timedelta(minutes=3), True)
    told.run(run, "drill", begun, begun + timedelta(minutes=9), True)

    facts = told.retention_at()
    assert facts.findings == ()
    assert facts.answer.headline == "What must be kept is kept, what must be gone is gone, and who read is proven"
    assert "the last backup began 5 h 0 min ago" in facts.answer.sentence
    page = page_of(told, facts)
    assert "3 min 0 s" in page
    assert "2.5 MB" in page

    told.run(run, "drill", AS_OF, AS_OF, False)
    assert [kind for kind, _ in subjects(told.retention_at())] == ["drill_failed"]
    assert "backup_old" in [kind for kind, _ in subjects(told.retention_at(AS_OF + timedelta(days=3)))]


def test_every_table_has_its_policy_on_the_page(told: Told) -> None:
    page = page_of(told, told.retention_at())
    for table, retention in told.connection.execute(
        "select parent_table, retention::text from ops.partition_policies"
    ).fetchall():
        assert table in page
        assert {"24:00:00": "24 hours"}.get(retention, retention) in page
    for (subject,) in told.connection.execute("select subject from ops.retention_policies").fetchall():
        assert subject in page


def test_a_database_that_cannot_be_asked_is_explained_without_naming_it(told: Told, empty_database: Warehouse) -> None:
    with pytest.raises(psycopg.Error) as not_migrated:
        gather_warehouse(empty_database.administrator, AS_OF)
    with pytest.raises(RetryableError) as away:
        gather_warehouse(replace(told.monitor, port=1), AS_OF)
    with pytest.raises(ConfigurationError) as refused:
        gather_warehouse(replace(told.monitor, dbname="nowhere_at_all"), AS_OF)
    with connect(told.monitor) as connection:
        connection.execute("set statement_timeout = '10ms'")
        with pytest.raises(psycopg.errors.QueryCanceled) as slow:
            connection.execute("select pg_sleep(60)")

    said = {}
    for error in (not_migrated, away, refused, slow):
        why = explain(error.value)
        page = render_unavailable("Warehouse", why, "warehouse.html")
        Strict(page)
        said[why.headline] = page
        assert why.remedies
        for secret in (told.monitor.user, told.monitor.dbname, "nowhere_at_all", str(told.monitor.password)):
            assert secret not in page
    assert list(said) == [
        "The warehouse is of another version than this page",
        "The warehouse does not answer",
        "The warehouse cannot be asked",
        "The warehouse is too busy to answer",
    ]


def test_a_page_can_change_nothing(told: Told) -> None:
    with snapshot(told.warehouse.target) as connection, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        connection.execute("delete from ops.alerts")
