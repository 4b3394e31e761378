"""Changes of rights: found by comparison, however they were made."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from lyceum.audit import list_accesses, record_changes_of_rights
from sql.audit.conftest import Trail  # type: ignore[import-not-found]


@pytest.fixture
def looked_at(trail: Trail) -> Trail:
    """A trail for which the catalogue was looked at once."""
    record_changes_of_rights(trail.connection)
    return trail


@pytest.fixture
def role(trail: Trail) -> Iterator[str]:
    """A role that no other test knows."""
    name = f"test_{uuid4().hex[:12]}"
    yield name
    trail.owner.execute(f"drop owned by {name}".encode())
    trail.owner.execute(f"drop role {name}".encode())


def changes(trail: Trail, name: str) -> dict[str, str]:
    """Look again; return what became of what has `name` in it, by resource."""
    record_changes_of_rights(trail.connection)
    return {
        access.resource: access.action
        for access in reversed(list_accesses(trail.connection, limit=1000))
        if access.source == "catalog" and name in access.resource
    }


def test_the_first_look_is_one_row_and_the_second_none_about_what_stayed(trail: Trail) -> None:
    assert record_changes_of_rights(trail.connection) == 1

    (first,) = list_accesses(trail.connection)
    assert (first.action, first.source) == ("rights_first_seen", "catalog")
    assert first.row_count is not None
    assert first.row_count > 100
    record_changes_of_rights(trail.connection)
    # Other tests of this server make roles at the same time.
    assert [
        row.action for row in list_accesses(trail.connection) if not row.resource.startswith(("role", "membership"))
    ] == ["rights_first_seen"]


def test_a_role_that_comes_into_rights_inside_a_block_is_told(looked_at: Trail, role: str) -> None:
    looked_at.owner.execute(
        f"""
        do $$ begin
            create role {role} login password 'plain secret';
            grant lyceum_auditor to {role};
            alter role {role} createrole;
        end $$
        """.encode()
    )

    assert changes(looked_at, role) == {
        f"role {role}": "role_added",
        f"membership {role} in lyceum_auditor": "membership_added",
    }
    assert "secret" not in repr(list_accesses(looked_at.connection, limit=1000))


@pytest.mark.parametrize(
    ("statement", "resource", "action"),
    [
        ("grant select on core.users to {role}", "relation core.users", "relation_changed"),
        ("grant usage on schema core to {role}", "schema core", "schema_changed"),
        ("alter table core.users no force row level security", "relation core.users", "relation_changed"),
        ("alter table audit.audit_logs disable trigger user", "relation audit.audit_logs", "relation_changed"),
        ("drop policy org_admin_select on core.users", "policy core.users org_admin_select", "policy_removed"),
        ("create policy more on core.users using (true)", "policy core.users more", "policy_added"),
        (
            "create or replace function auth.user_id(role_name text) returns bigint language sql as 'select 1::bigint'",
            "function auth.user_id(text)",
            "function_changed",
        ),
        (
            "grant execute on function audit.record_collected(jsonb) to {role}",
            "function audit.record_collected(jsonb)",
            "function_changed",
        ),
    ],
)
def test_a_change_of_what_somebody_may_do_is_a_row(
    looked_at: Trail, role: str, statement: str, resource: str, action: str
) -> None:
    looked_at.owner.execute(f"create role {role}".encode())
    looked_at.owner.execute(statement.format(role=role).encode())

    assert changes(looked_at, resource)[resource] == action


def test_what_was_taken_back_is_told_as_well(looked_at: Trail, role: str) -> None:
    looked_at.owner.execute(f"create role {role}".encode())
    looked_at.owner.execute(f"grant lyceum_auditor to {role}".encode())
    changes(looked_at, role)
    looked_at.owner.execute(f"revoke lyceum_auditor from {role}".encode())

    assert changes(looked_at, role)[f"membership {role} in lyceum_auditor"] == "membership_removed"
