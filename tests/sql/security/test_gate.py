"""The gate: a migrated database is as described, and whatever departs from the description is found, alone, and mended."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date
from typing import get_args

import pytest

from lyceum.cli import main
from lyceum.database import Connection, ConnectionTarget
from lyceum.partitions import ensure_for_dates
from lyceum.security.gate import Finding, Kind
from lyceum.security.rights import FUNCTIONS, MONITOR, RELATIONS
from lyceum.settings import Settings
from sql.security.departures import check_security, is_ours  # type: ignore[import-not-found]
from warehouse import SharedServer, Warehouse

LEAF = "partitions.event_keys_p2026w47"


@pytest.fixture(scope="module")
def lent(
    shared_server: SharedServer, template: ConnectionTarget, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Warehouse]:
    """A migrated warehouse with partitions."""
    home = tmp_path_factory.mktemp("gate") / "home"
    with shared_server.database(home, template) as warehouse:
        with warehouse.connect(autocommit=True) as connection:
            ensure_for_dates(connection, "stage_one.event_keys", [date(2026, 11, 22)])
            ensure_for_dates(connection, "stage_two.learner_analytics", [date(2026, 11, 22)])
        yield warehouse


@pytest.fixture
def connection(lent: Warehouse) -> Iterator[Connection]:
    """Whatever a test does here, to the roles of the server too, is undone."""
    with lent.connect() as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def settings(lent: Warehouse) -> Settings:
    return lent.settings


def test_a_migrated_database_is_as_described(connection: Connection, settings: Settings) -> None:
    assert check_security(connection, settings) == []


def test_the_command_line_tells_what_it_found_and_fails(
    lent: Warehouse, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in lent.settings.environment().items():
        monkeypatch.setenv(name, value)
    with lent.connect(autocommit=True) as connection:
        with pytest.raises(SystemExit) as ended:
            main(["--json", "security", "check"])
        said = json.loads(capsys.readouterr().out)
        assert list(filter(is_ours, said)) == []
        assert ended.value.code == bool(said)
        connection.execute("grant select on core.users to lyceum_auditor")
        try:
            with pytest.raises(SystemExit) as ended:
                main(["--json", "security", "check"])
            said = json.loads(capsys.readouterr().out)
            with pytest.raises(SystemExit):
                main(["security", "check"])
        finally:
            connection.execute("revoke select on core.users from lyceum_auditor")
    assert ended.value.code == 1
    assert [finding["mend"] for finding in said if is_ours(finding)] == [
        "revoke select on table core.users from lyceum_auditor;"
    ]
    assert "select for lyceum_auditor" in capsys.readouterr().out


def test_checking_leaves_nothing_behind(connection: Connection, settings: Settings) -> None:
    count = "select count(*) from pg_class"
    before = connection.execute(count).fetchone()
    check_security(connection, settings)

    assert connection.execute(count).fetchone() == before


# Each breach with the one finding that it makes: its kind, its name, and words of what was found.
BREACHES: list[tuple[str, Kind, str, str]] = [
    ("create schema exports", "schema unknown", "exports", "a schema"),
    ("create table ops.notes (note text)", "relation unknown", "ops.notes", "a table"),
    (
        "create table partitions.event_keys_copy as table stage_one.event_keys",
        "leaf row security",
        "partitions.event_keys_copy",
        "disabled",
    ),
    (
        "create view partitions.all_keys as select from stage_one.event_keys",
        "relation unknown",
        "partitions.all_keys",
        "a view",
    ),
    (
        "create foreign data wrapper w; create server s foreign data wrapper w; create foreign table ops.elsewhere (n int) server s",
        "relation unknown",
        "ops.elsewhere",
        "a foreign table",
    ),
    ("create sequence ops.numbers", "relation unknown", "ops.numbers", "a sequence"),
    ("drop table ops.archive_policies", "relation absent", "ops.archive_policies", "nothing"),
    (
        "drop table ops.archive_policies; create view ops.archive_policies with (security_invoker) as select 1 as one",
        "relation kind",
        "ops.archive_policies",
        "a view",
    ),
    ("alter table ops.alerts add column organization_id bigint", "relation kind", "ops.alerts", "organization_id"),
    ("alter table core.verbs owner to lyceum_definer", "relation owner", "core.verbs", "lyceum_definer"),
    (
        "alter materialized view stage_three.mv_organization_metrics owner to current_user",
        "relation owner",
        "stage_three.mv_organization_metrics",
        "the owner",
    ),
    (
        "alter view api.organization_metrics owner to current_user",
        "relation owner",
        "api.organization_metrics",
        "the owner",
    ),
    ("alter table core.users no force row level security", "row security", "core.users", "not forced"),
    ("alter table core.user_identities disable row level security", "row security", "core.user_identities", "disabled"),
    ("drop policy learner_select on core.courses", "policy", "core.courses learner_select", "no such policy"),
    (
        "create policy everybody on ops.batches for select to lyceum_analyst using (true)",
        "policy",
        "ops.batches everybody",
        "using true",
    ),
    (
        "create policy org_admin_insert on core.users for insert to lyceum_org_admin with check (true)",
        "policy",
        "core.users org_admin_insert",
        "insert",
    ),
    (
        "alter policy learner_select on stage_two.learner_analytics using (organization_id = (select auth.organization_id('learner')))",
        "policy",
        "stage_two.learner_analytics learner_select",
        "using",
    ),
    ("alter policy trainer_select on core.courses to public", "policy", "core.courses trainer_select", "to public"),
    (
        "alter policy analyst_select on core.courses using (organization_id = auth.organization_id('analyst'))",
        "policy",
        "core.courses analyst_select",
        "using",
    ),
    (
        "create unique index sources_anywhere on core.sources (name)",
        "key without organization",
        "core.sources sources_anywhere",
        "(name)",
    ),
    (
        "create unique index keys_once on ops.view_versions (version) include (organization_id)",
        "key without organization",
        "ops.view_versions keys_once",
        "(version)",
    ),
    (f"alter table {LEAF} disable row level security", "leaf row security", LEAF, "disabled"),
    (
        "alter table partitions.learner_analytics_p2026w47_h1 no force row level security",
        "leaf row security",
        "partitions.learner_analytics_p2026w47_h1",
        "not forced",
    ),
    (f"create policy anybody on {LEAF} using (true)", "leaf policy", f"{LEAF} anybody", "to public"),
    (f"grant select on {LEAF} to lyceum_org_admin", "leaf grant", LEAF, "select for lyceum_org_admin"),
    (f"grant select (event_id) on {LEAF} to public", "leaf grant", f"{LEAF}.event_id", "select for public"),
    (
        "grant select on stage_three.mv_organization_metrics to lyceum_analyst",
        "materialized view grant",
        "stage_three.mv_organization_metrics",
        "select for lyceum_analyst",
    ),
    (
        "grant select (organization_id) on stage_three.mv_organization_metrics to lyceum_analyst",
        "materialized view grant",
        "stage_three.mv_organization_metrics.organization_id",
        "select for lyceum_analyst",
    ),
    ("grant delete on core.users to lyceum_org_admin", "grant", "core.users", "delete for lyceum_org_admin"),
    (
        "grant select (title) on core.courses to lyceum_auditor",
        "grant",
        "core.courses.title",
        "select for lyceum_auditor",
    ),
    ("grant select on ops.builds to public", "grant", "ops.builds", "select for public"),
    ("grant usage on schema core to lyceum_analyst", "grant", "core", "usage for lyceum_analyst"),
    ("grant usage on schema build to lyceum_org_admin", "grant", "build", "usage for lyceum_org_admin"),
    ("grant create on schema api to lyceum_org_admin", "grant", "api", "create for lyceum_org_admin"),
    (
        "grant usage on sequence ops.quarantine_id to lyceum_service",
        "grant",
        "ops.quarantine_id",
        "usage for lyceum_service",
    ),
    (
        "grant execute on function rights.taught_course_days() to lyceum_learner",
        "grant",
        "rights.taught_course_days()",
        "execute for lyceum_learner",
    ),
    ("grant execute on function auth.user_id(text) to public", "grant", "auth.user_id(text)", "execute for public"),
    ("grant select on api.users to lyceum_trainer", "grant", "api.users", "select for lyceum_trainer"),
    (
        "grant select on audit.audit_logs to lyceum_authenticator",
        "grant",
        "audit.audit_logs",
        "select for lyceum_authenticator",
    ),
    ("grant update on audit.audit_logs to lyceum_definer", "grant", "audit.audit_logs", "update for lyceum_definer"),
    ("revoke select on api.courses from lyceum_learner", "grant missing", "api.courses", "nothing"),
    ("revoke select (title) on core.courses from lyceum_learner", "grant missing", "core.courses.title", "nothing"),
    ("revoke usage on schema api from lyceum_trainer", "grant missing", "api", "nothing"),
    (
        "alter default privileges in schema stage_three grant select on tables to lyceum_analyst",
        "default privileges",
        "of tables for what postgres makes in stage_three",
        "select for lyceum_analyst",
    ),
    ("grant create on schema api to public", "public create", "api", "create for public"),
    (
        "grant execute on function rights.taught_course_days() to public",
        "public execute",
        "rights.taught_course_days()",
        "execute for public",
    ),
    ("create view api.everything as table core.users", "view security", "api.everything", "not described"),
    (
        "create view ops.own_risk with (security_invoker = true) as table core.users",
        "relation unknown",
        "ops.own_risk",
        "a view",
    ),
    ("alter view core.enrollment_days reset (security_invoker)", "view security", "core.enrollment_days", "none"),
    ("alter view api.users set (security_invoker = false)", "view security", "api.users", "security_invoker=false"),
    (
        "alter view api.organization_metrics reset (security_barrier)",
        "view security",
        "api.organization_metrics",
        "none",
    ),
    (
        "create or replace function ops.peek() returns void language sql as 'select'; revoke all on function ops.peek() from public",
        "function unknown",
        "ops.peek()",
        "a function",
    ),
    (
        "create function ops.peek() returns void language sql security definer set search_path = pg_catalog, pg_temp "
        "as 'select'; alter function ops.peek() owner to lyceum_definer; revoke all on function ops.peek() from public",
        "function unknown",
        "ops.peek()",
        "runs as its owner",
    ),
    (
        "alter function rights.taught_course_days() reset search_path",
        "definer search path",
        "rights.taught_course_days()",
        "of its caller",
    ),
    (
        "alter function auth.claims() set search_path = public, pg_catalog",
        "definer search path",
        "auth.claims()",
        "public",
    ),
    ("alter function rights.open_day() owner to current_user", "definer owner", "rights.open_day()", "the owner"),
    (
        "alter function auth.organization_id(text) security definer",
        "function body",
        "auth.organization_id(text)",
        "runs as its owner",
    ),
    ("alter role lyceum_learner bypassrls", "role attribute", "lyceum_learner", "bypassrls"),
    ("alter role lyceum_org_admin superuser", "role attribute", "lyceum_org_admin", "superuser"),
    ("alter role lyceum_service createrole", "role attribute", "lyceum_service", "createrole"),
    ("alter role lyceum_analyst login", "role attribute", "lyceum_analyst", "login"),
    ("alter role lyceum_definer nobypassrls", "role attribute", "lyceum_definer", "inherit"),
    ("grant lyceum_org_admin to lyceum_learner", "role membership", "lyceum_learner", "a member of lyceum_org_admin"),
    ("grant pg_read_all_data to lyceum_analyst", "role membership", "lyceum_analyst", "a member of pg_read_all_data"),
    (
        "grant lyceum_definer to lyceum_authenticator",
        "role membership",
        "lyceum_authenticator",
        "a member of lyceum_definer",
    ),
    ("revoke lyceum_trainer from lyceum_authenticator", "role membership", "lyceum_authenticator", "no member"),
]


@pytest.mark.parametrize(("breach", "kind", "name", "found"), BREACHES, ids=[breach[0][:60] for breach in BREACHES])
def test_a_breach_is_found_alone(
    connection: Connection, settings: Settings, breach: str, kind: Kind, name: str, found: str
) -> None:
    connection.execute(breach.encode())

    findings = check_security(connection, settings)
    assert [(finding.kind, finding.name) for finding in findings] == [(kind, name)]
    assert found in findings[0].found
    assert findings[0].expected
    _mend(connection, settings, findings[0])


def _mend(connection: Connection, settings: Settings, finding: Finding) -> None:
    """Where the finding names a statement, running it mends."""
    if re.match(
        r"(alter (table|view|materialized|function|role)|create|drop|grant|revoke) ", finding.mend
    ) and finding.mend.endswith(";"):
        connection.execute(finding.mend.encode())
        assert check_security(connection, settings) == []


def test_another_text_of_a_view_is_found(connection: Connection, settings: Settings) -> None:
    row = connection.execute("select pg_get_viewdef('api.organizations'::regclass)").fetchone()
    assert row is not None
    connection.execute(
        "create or replace view api.organizations with (security_invoker = true) as "
        + row[0].rstrip(";")  # type: ignore[arg-type]
        + " where organization_id > 0"
    )
    findings = check_security(connection, settings)
    assert [(finding.kind, finding.name) for finding in findings] == [("view definition", "api.organizations")]


def test_another_text_of_a_function_is_found(connection: Connection, settings: Settings) -> None:
    row = connection.execute("select pg_get_functiondef('auth.user_id(text)'::regprocedure)").fetchone()
    assert row is not None
    connection.execute(row[0].replace("= role_name", "is not null"))
    findings = check_security(connection, settings)
    assert [(finding.kind, finding.name) for finding in findings] == [("function body", "auth.user_id(text)")]


def test_a_function_that_is_gone_is_found(connection: Connection, settings: Settings) -> None:
    connection.execute("drop function auth.find_tenant(text, bigint, bigint)")

    kinds = {finding.kind for finding in check_security(connection, settings)}
    assert kinds == {"function absent", "grant missing"}


def test_a_role_that_is_gone_is_found(connection: Connection, settings: Settings) -> None:
    connection.execute("alter role lyceum_monitor rename to lyceum_somebody")

    findings = check_security(connection, settings)
    assert findings[0].kind == "role absent"
    # Who is not there has not the right that it should have, and somebody else has it.
    of_monitoring = {
        "monitoring",
        "server_statistics",
        *(function.signature for function in FUNCTIONS if MONITOR in function.executors),
    }
    assert {(finding.kind, finding.name) for finding in findings} == {
        ("role absent", "lyceum_monitor"),
        *(("grant", name) for name in of_monitoring),
        *(("grant missing", name) for name in of_monitoring),
    }


def test_a_table_that_has_lost_a_column_of_its_policies_is_found(connection: Connection, settings: Settings) -> None:
    connection.execute("alter table stage_two.learner_analytics drop column is_enrolled cascade")

    found = {(finding.kind, finding.name) for finding in check_security(connection, settings)}
    assert ("policy", "stage_two.learner_analytics") in found
    assert ("relation absent", "api.learner_analytics") in found


def test_a_table_that_dbt_put_in_place_of_a_protected_one_is_found(connection: Connection, settings: Settings) -> None:
    """What a full refresh would leave: a plain table with no rights at all."""
    connection.execute("create table stage_three.copy as table stage_three.learner_courses")
    connection.execute("drop table stage_three.learner_courses cascade")
    connection.execute("alter table stage_three.copy rename to learner_courses")

    found = {(finding.kind, finding.name) for finding in check_security(connection, settings)}
    assert ("row security", "stage_three.learner_courses") in found
    assert ("policy", "stage_three.learner_courses analyst_select") in found
    assert ("relation absent", "api.learner_courses") in found


def test_every_kind_of_finding_has_been_provoked() -> None:
    elsewhere = {"view definition", "function absent", "role absent"}
    assert {kind for _, kind, _, _ in BREACHES} | elsewhere == set(get_args(Kind))


def test_every_column_of_a_relation_that_anybody_reads_is_there(connection: Connection) -> None:
    for relation in RELATIONS:
        if relation.columns:
            columns = ", ".join(relation.columns)
            connection.execute(f"select {columns} from {relation.name} limit 0".encode())
