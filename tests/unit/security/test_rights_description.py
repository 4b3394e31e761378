"""The description of rights, without a database: what it must say, and that the files in the checkout say the same."""

from __future__ import annotations

import re
from pathlib import Path

from lyceum.security import published_columns
from lyceum.security.generation import generated_names, rights_files, write_rights
from lyceum.security.rights import FUNCTIONS, RELATIONS, SCHEMAS, TENANT_ROLES

REPEATABLE = Path(__file__).parents[3] / "sql" / "repeatable"


def test_the_files_in_the_checkout_are_what_the_description_says() -> None:
    """Red after a change of rights.py: run `lyceum security generate`."""
    wanted = rights_files()

    assert generated_names(REPEATABLE) == wanted.keys()
    assert {name: (REPEATABLE / name).read_text(encoding="utf-8") for name in wanted} == wanted


def test_generating_twice_writes_nothing_the_second_time(tmp_path: Path) -> None:
    by_hand = tmp_path / "rights" / "functions" / "mine.sql"
    stale = tmp_path / "rights" / "tables" / "core.forgotten.sql"
    for path in (by_hand, stale):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("select")

    assert write_rights(tmp_path) == sorted([*rights_files(), "rights/tables/core.forgotten.sql"])
    assert write_rights(tmp_path) == []
    assert by_hand.exists()
    assert not stale.exists()


def test_every_condition_begins_with_the_organization_of_its_own_role() -> None:
    for relation in RELATIONS:
        for reader in relation.readers:
            condition = " ".join(reader.rows.condition.replace("coalesce( ", "").split())
            assert re.match(
                r"organization_id = (coalesce\( ?)?\(select auth\.organization_id\('" + reader.role + r"'", condition
            ), (relation.name, reader.role)
            asked = set(re.findall(r"(?:organization_id|user_id|own_course_ids)\('(\w+)'", condition))
            assert asked == {reader.role}, (relation.name, reader.role)


def test_what_is_asked_about_the_reader_is_asked_once_a_statement() -> None:
    """A function of ours stands in a subquery of its own, never bare in a condition, where it would run for every row."""
    for relation in RELATIONS:
        for reader in relation.readers:
            bare = re.findall(r"(?<!\(select )(?:auth|rights)\.\w+\(", reader.rows.condition)
            assert bare == [], (relation.name, reader.role)


def test_a_role_reads_a_relation_by_one_policy() -> None:
    for relation in RELATIONS:
        roles = [reader.role for reader in relation.readers]
        assert len(roles) == len(set(roles)), relation.name
        assert set(roles) <= set(TENANT_ROLES)


def test_every_published_relation_names_its_columns_and_the_organization_among_them() -> None:
    for relation in RELATIONS:
        assert bool(relation.readers) == bool(relation.columns), relation.name
        if relation.columns:
            assert "organization_id" in relation.columns, relation.name
            assert len(relation.columns) == len(set(relation.columns)), relation.name


def test_no_identity_name_or_address_is_among_the_published_columns() -> None:
    names = {column for listed in vars(published_columns).values() if isinstance(listed, tuple) for column in listed}
    secret = re.compile(r"hash|identity|email|mbox|given|family|payload|sourced|secret|options|fingerprint|key_")
    # Which key of the provider wraps the key of a report that the reader may read anyway.
    assert {name for name in names if secret.search(name)} == {"key_provider", "key_version"}
    assert {"key_provider", "key_version"} <= set(published_columns.REPORT_FILES)


def test_nothing_is_described_twice_and_every_relation_is_in_a_described_schema() -> None:
    names = [relation.name for relation in RELATIONS]
    assert len(names) == len(set(names))
    schemas = {schema.name for schema in SCHEMAS}
    assert {relation.schema for relation in RELATIONS} <= schemas
    assert [function.file for function in FUNCTIONS if not (REPEATABLE / function.file).is_file()] == []


def test_an_auditor_reads_the_audit_logs_alone_and_an_analyst_no_person() -> None:
    read = {
        role: {relation.name for relation in RELATIONS for reader in relation.readers if reader.role == role}
        for role in TENANT_ROLES
    }

    assert {name for name in read["auditor"] if not name.startswith(("audit.", "api.audit_"))} == set()
    assert not read["analyst"] & {"core.users", "core.enrollments", "core.enrollment_days", "core.user_identities"}
    assert not {name for name in read["analyst"] if name.startswith(("stage_one.", "stage_two."))}
