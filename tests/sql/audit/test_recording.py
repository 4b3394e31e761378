"""Recording: one row an access, in its transaction or not at all, and nobody changes it afterwards."""

from __future__ import annotations

from datetime import UTC, date, datetime

import psycopg
import pytest

from lyceum.audit import Access, audited_transaction, ensure_audit_partitions, list_accesses, record_access
from lyceum.database import connect
from lyceum.partitions import ensure_for_dates
from sql.audit.conftest import Trail  # type: ignore[import-not-found]


def test_a_number_of_accesses_is_that_number_of_rows(trail: Trail) -> None:
    ids = trail.record(137)

    assert len(set(ids)) == 137
    assert trail.count() == 137


def test_a_row_says_who_logged_in_when_and_what(trail: Trail) -> None:
    before = datetime.now(UTC)
    with trail.connection.transaction():
        record_access(
            trail.connection,
            Access("report_read", "api.learner_analytics", 7, 42, "learner", "req-1", {"columns": 3}),
            row_count=12,
        )

    (found,) = list_accesses(trail.connection)
    login = trail.connection.execute("select session_user").fetchone()
    assert (found.actor_login,) == login
    assert before <= found.occurred_at <= datetime.now(UTC)
    assert (found.actor_user_id, found.actor_role, found.action, found.resource) == (
        42,
        "learner",
        "report_read",
        "api.learner_analytics",
    )
    assert (found.row_count, found.decision, found.request_id, found.source) == (12, "allowed", "req-1", "service")
    assert found.detail == {"columns": 3}


def test_an_access_that_is_rolled_back_leaves_no_row(trail: Trail) -> None:
    with trail.connection.transaction(force_rollback=True):
        trail.record()

    assert trail.count() == 0


def test_work_that_fails_is_recorded_as_failed_and_leaves_nothing_else(trail: Trail) -> None:
    def work() -> None:
        with audited_transaction(trail.warehouse.target, Access("organization_added", "organization x")) as entry:
            record_access(entry.connection, Access("never", "kept"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()

    (found,) = list_accesses(trail.connection)
    assert (found.action, found.decision, found.detail) == (
        "organization_added",
        "failed",
        {"error": "ZeroDivisionError"},
    )


def test_what_the_server_does_not_permit_is_recorded_as_denied(trail: Trail) -> None:
    def work() -> None:
        with audited_transaction(trail.warehouse.target, Access("keys_read", "auth.signing_keys")) as entry:
            entry.connection.execute("set local role lyceum_learner")
            entry.connection.execute("select * from auth.signing_keys")

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        work()

    (found,) = list_accesses(trail.connection)
    assert (found.action, found.decision) == ("keys_read", "denied")


def test_work_that_is_done_is_recorded_with_what_it_found_out(trail: Trail) -> None:
    with audited_transaction(trail.warehouse.target, Access("organization_added", "organization x")) as entry:
        entry.organization_id, entry.row_count = 9, 3

    (found,) = list_accesses(trail.connection, organization_id=9)
    assert (found.decision, found.row_count) == ("allowed", 3)


@pytest.mark.parametrize(
    "statement",
    [
        "update audit.audit_logs set action = 'nothing'",
        "delete from audit.audit_logs",
        "truncate audit.audit_logs",
        "update audit.batches set row_count = 1",
        "delete from audit.batches",
        "truncate audit.batches",
    ],
)
def test_not_even_a_superuser_changes_the_trail_by_accident(trail: Trail, statement: str) -> None:
    trail.record(2)
    trail.seal()

    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
        trail.owner.execute(statement.encode())

    assert trail.count() == 2


def test_a_row_is_not_changed_in_its_partition_either(trail: Trail) -> None:
    trail.record()
    row = trail.owner.execute("select tableoid::regclass::text from audit.audit_logs").fetchone()
    assert row is not None

    for statement in (f"update {row[0]} set action = 'nothing'", f"delete from {row[0]}"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
            trail.owner.execute(statement.encode())


LOGINS = [
    "the superuser",
    "lyceum_owner",
    "lyceum_definer",
    "lyceum_pipeline",
    "lyceum_authenticator",
    "lyceum_auditor",
    "lyceum_monitor",
]


def partition_of(trail: Trail) -> str:
    row = trail.owner.execute("select tableoid::regclass::text from audit.audit_logs limit 1").fetchone()
    assert row is not None
    return str(row[0])


@pytest.mark.parametrize("login", LOGINS)
def test_no_login_empties_or_forges_a_partition_past_its_table(trail: Trail, login: str) -> None:
    trail.record(2)
    partition = partition_of(trail)
    columns = "occurred_at, action, resource, decision, source, server_id"
    forging = f"insert into {partition} ({columns}) select {columns} from {partition}"
    statements = [f"truncate {partition}", "truncate audit.audit_logs", f"truncate {partition}, audit.batches"]

    for statement in statements if login == "the superuser" else [*statements, forging]:
        with trail.owner.transaction(force_rollback=True):
            if login != "the superuser":
                trail.owner.execute(f"set local role {login}".encode())
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                trail.owner.execute(statement.encode())

    assert trail.count() == 2


def test_a_partition_that_was_made_ahead_is_closed_by_the_next_access(trail: Trail) -> None:
    (step,) = ensure_for_dates(trail.connection, "audit.audit_logs", [date(2199, 1, 1)]).steps
    truncate = f"truncate {step.partition.qualified_name}".encode()
    trail.connection.execute(truncate)

    ensure_audit_partitions(trail.connection)
    ensure_audit_partitions(trail.connection)

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        trail.connection.execute(truncate)


def test_a_partition_that_somebody_writes_to_keeps_no_access_waiting(trail: Trail) -> None:
    trail.tamper(f"drop trigger refuse_statement on {trail.record() and partition_of(trail)}")
    with connect(trail.warehouse.target) as writing:
        record_access(writing, Access("report_read", "slow"))
        ensure_audit_partitions(trail.connection)

    ensure_audit_partitions(trail.connection)

    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
        trail.owner.execute(f"truncate {partition_of(trail)}".encode())


@pytest.mark.parametrize(
    "role", ["lyceum_pipeline", "lyceum_owner", "lyceum_authenticator", "lyceum_auditor", "lyceum_monitor"]
)
@pytest.mark.parametrize("command", ["insert", "update", "delete", "truncate"])
def test_no_role_has_the_right_to_write_past_the_functions(trail: Trail, role: str, command: str) -> None:
    for table in ("audit.audit_logs", "audit.batches"):
        assert trail.owner.execute("select has_table_privilege(%s, %s, %s)", [role, table, command]).fetchone() == (
            False,
        )


@pytest.mark.parametrize("role", ["learner", "trainer", "org_admin", "service", "analyst", "auditor"])
def test_a_tenant_role_cannot_write_the_trail(trail: Trail, role: str) -> None:
    with trail.owner.transaction(force_rollback=True):
        trail.owner.execute(f"set local role lyceum_{role}".encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            record_access(trail.owner, Access("report_read", "forged"))


def test_the_login_of_the_services_writes_and_reads_nothing(trail: Trail) -> None:
    with trail.owner.transaction():
        trail.owner.execute("set local role lyceum_authenticator")
        record_access(trail.owner, Access("report_read", "api"))
    with trail.owner.transaction(force_rollback=True):
        trail.owner.execute("set local role lyceum_authenticator")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            trail.owner.execute("select * from audit.audit_logs")

    assert trail.count() == 1


@pytest.mark.parametrize(
    "access",
    [
        Access("Not Words", "x"),
        Access("fine", ""),
        Access("fine", "x", detail={"payload": "x" * 5000}),
    ],
)
def test_what_does_not_belong_into_the_trail_is_refused(trail: Trail, access: Access) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        record_access(trail.connection, access)
