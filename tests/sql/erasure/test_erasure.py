"""What is left of a person who was erased, and what has not changed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet
import pytest
from psycopg import sql

from lyceum.database import connect
from lyceum.erasure import ErasureEntry
from lyceum.erasure.tables import ELSEWHERE, USER_COLUMNS
from planted import search_bytes, search_files
from sql.erasure.conftest import (  # type: ignore[import-not-found]
    ADA,
    ERASED_AT,
    MARK,
    YEAR,
    School,
    everything,
    totals,
)

pytestmark = pytest.mark.timeout(600)

LOGIN = f"ada_{MARK.lower()}"

# What happens rather than what is: an erasure leaves rows of its own here.
BOOKS = {"audit.audit_logs", "ops.erasures", "ops.builds", "audit.log_sessions"}


@dataclass
class Outcome:
    school: School
    entry: ErasureEntry
    old: list[int]
    fresh: list[int]
    hashes: tuple[bytes, ...]
    before: dict[str, list[str]]
    after: dict[str, list[str]]
    totals_before: dict[str, list[Any]]
    totals_after: dict[str, list[Any]]
    names_of_archives: set[str]


@pytest.fixture(scope="module")
def outcome(module_school: School) -> Iterator[Outcome]:
    school = module_school
    old = school.ids_of_ada()
    hashes = school.hashes()
    with school.warehouse.connect(autocommit=True) as connection:
        connection.execute(sql.SQL("create role {} login").format(sql.Identifier(LOGIN)))
        connection.execute(sql.SQL("grant lyceum_learner to {}").format(sql.Identifier(LOGIN)))
        connection.execute(
            "insert into auth.logins (login_name, role, organization_id, user_id) values (%s, 'learner', %s, %s)",
            [LOGIN, school.organization_id(), max(old)],
        )
    try:
        _keep_reports(school, old)
        with school.warehouse.connect() as connection:
            before, totals_before = everything(connection), totals(connection)
        names = {path.name for path in school.settings.archives.rglob("*.parquet")}
        entry = school.erase(min(old), reason="ticket 815")
        with school.warehouse.connect() as connection:
            after, totals_after = everything(connection), totals(connection)
        fresh = [user for (user,) in school.campus.query("select user_id from core.users where is_erased order by 1")]
        yield Outcome(school, entry, old, fresh, hashes, before, after, totals_before, totals_after, names)
    finally:
        with school.warehouse.connect(autocommit=True) as connection:
            connection.execute(sql.SQL("drop role if exists {}").format(sql.Identifier(LOGIN)))


def test_the_person_had_two_ids_and_was_everywhere(outcome: Outcome) -> None:
    assert len(outcome.old) == len(outcome.fresh) == outcome.entry.ids_erased == 2
    assert {column.table for column in USER_COLUMNS} - {"ops.pending_users"} <= set(outcome.entry.rows)
    assert outcome.entry.rows["stage_one.quarantine.payload"] == 1
    assert outcome.entry.rows["core.user_profiles"] == 1
    assert {"stage_two.learner_day_states", "stage_two.trainer_day_states", "stage_three.aggregated_analytics"} <= set(
        outcome.entry.archived_rows
    )


def test_neither_a_name_nor_a_hash_nor_an_old_id_is_in_any_row(outcome: Outcome) -> None:
    needles = [MARK, MARK.lower(), *(value.hex() for value in outcome.hashes), *map(str, outcome.old)]

    def found(rows: dict[str, list[str]]) -> Counter[str]:
        return Counter(
            table
            for table, texts in rows.items()
            for text in texts
            if any(re.search(rf"(?<![0-9]){needle}(?![0-9])", text) for needle in needles)
        )

    assert len(found(outcome.before)) > 15
    assert not found(outcome.after)


def test_dumps_archives_and_files_of_the_home_name_nobody(outcome: Outcome) -> None:
    needles = [
        *(value.hex().encode() for value in outcome.hashes),
        *outcome.hashes,
        *(b"%d" % one for one in outcome.old),
    ]
    for name, content in outcome.school.dump():
        assert not search_bytes(f"dump of {name}", content)
        for needle in needles:
            # The destroyed key keeps its row, so that nobody ever gets the id again.
            if not (name.endswith("_keys") and needle.isdigit()):
                assert needle not in content, name
    home = outcome.school.settings.home
    left_out = [home / "keys", home / "erasures.jsonl", outcome.school.settings.landing]
    found, read = search_files(home, without=left_out)
    assert not found
    assert any(path.suffix == ".parquet" for path in read)
    for path in read:
        assert not any(needle in path.read_bytes() for needle in needles), path
        if path.suffix == ".parquet":
            table = pyarrow.parquet.read_table(path)
            for column in ("learner_id", "trainer_id", "subject_id"):
                if column in table.column_names:
                    assert not set(outcome.old) & set(table.column(column).to_pylist()), path


def test_every_total_of_every_published_table_is_what_it_was(outcome: Outcome) -> None:
    assert outcome.totals_before == outcome.totals_after
    assert all(outcome.totals_before.values())


def test_everybody_elses_rows_and_the_other_organization_are_equal_to_the_byte(outcome: Outcome) -> None:
    gone = {str(one) for one in outcome.old}
    made = {str(one) for one in outcome.fresh}
    hashes = {value.hex() for value in outcome.hashes}

    def others(rows: list[str], theirs: set[str]) -> list[str]:
        return [row for row in rows if not any(re.search(rf"(?<![0-9]){one}(?![0-9])", row) for one in theirs)]

    for table in outcome.before:
        if table in BOOKS or table.startswith(("build.", "keys.")):
            continue
        if table in ("ops.archives", "ops.partition_archives", "core.roster_enrollments"):
            # Digests and manifests of what was rewritten; keyed hashes of records that were replaced.
            assert len(outcome.before[table]) == len(outcome.after[table]), table
            continue
        after = others(outcome.after[table], made)
        if table == "ops.organization_watermarks":
            assert [row for row in after if row.startswith("(2,")] == [
                row for row in outcome.before[table] if row.startswith("(2,")
            ]
        elif table in ("stage_one.raw_data_collection", "stage_one.quarantine"):
            # Rows of others that name her in their payload are the same but for that.
            untouched = others(outcome.before[table], gone | hashes)
            assert untouched
            assert set(untouched) <= set(after), table
            assert len(outcome.before[table]) == len(outcome.after[table]), table
        else:
            assert others(outcome.before[table], gone | hashes) == after, table


def test_numbers_of_the_person_are_those_of_one_fresh_id_each(outcome: Outcome) -> None:
    as_before = {str(old): "person" for old in outcome.old}
    as_after = {str(fresh): "person" for fresh in outcome.fresh}
    for table in ("stage_three.aggregated_analytics", "stage_three.learner_courses", "stage_two.learner_analytics",
                  "stage_three.mv_learner_analytics_summary", "core.enrollments"):  # fmt: skip

        def renamed(rows: list[str], names: dict[str, str]) -> list[str]:
            return sorted(re.sub("|".join(names), lambda match: names[match[0]], row) for row in rows)

        assert renamed(outcome.before[table], as_before) == renamed(outcome.after[table], as_after), table


def test_the_version_advances_once_and_for_this_organization_alone(outcome: Outcome) -> None:
    assert outcome.entry.version_before is not None
    assert outcome.entry.version_after == outcome.entry.version_before + 1
    versions = outcome.school.campus.query(
        "select slug, data_version from ops.organization_watermarks join core.organizations using (organization_id) order by 1"
    )
    assert versions[0] == ("campus", outcome.entry.version_after)
    assert versions[1][1] == outcome.entry.version_before


def test_the_certificate_says_what_was_done_and_links_nothing(outcome: Outcome) -> None:
    rows = outcome.school.campus.query(
        """
        select audit_id, action, resource, detail::text, detail ->> 'approved_by', detail ->> 'reason', organization_id
        from audit.audit_logs where action like 'person_eras%%' order by audit_id
        """
    )
    assert [row[1] for row in rows] == ["person_erasure_begun", "person_erased"]
    assert rows[-1][0] == outcome.entry.certificate_id
    assert rows[-1][4:] == ("the board", "ticket 815", outcome.school.organization_id())
    told = " ".join(f"{row[2]} {row[3]}" for row in rows)
    assert not any(str(one) in told for one in (*outcome.old, *outcome.fresh))
    ((links,),) = outcome.school.campus.query(
        "select count(*) from ops.erasures where num_nulls(user_ids, fresh_user_ids, identity_hashes, login_names) = 4"
    )
    assert links == 1


def test_the_address_finds_nobody_and_the_login_is_gone(outcome: Outcome) -> None:
    assert outcome.school.find_by_address() == []
    assert outcome.school.campus.query("select from auth.logins") == []
    assert outcome.school.campus.query("select from pg_roles where rolname = %s", LOGIN) == []
    assert outcome.entry.logins_kept == 0


def test_the_keys_are_destroyed_and_the_erasure_is_registered(outcome: Outcome) -> None:
    from lyceum.backup.erasures import registered_erasures
    from lyceum.vault import key_database_target

    with connect(key_database_target(outcome.school.settings)) as connection:
        destroyed = connection.execute(
            "select user_id from keys.person_keys where destroyed_at is not null order by 1"
        ).fetchall()
    assert [one for (one,) in destroyed] == outcome.old
    assert [one.user_id for one in registered_erasures(outcome.school.settings)] == outcome.old


def test_old_archives_are_gone_and_the_new_ones_are_whole(outcome: Outcome) -> None:
    from lyceum.archiving.listing import verify_archives

    names = {path.name for path in outcome.school.settings.archives.rglob("*.parquet")}
    assert len(names) == len(outcome.names_of_archives)
    assert len(names - outcome.names_of_archives) == outcome.entry.archives_rewritten > 0
    with connect(outcome.school.warehouse.target, autocommit=True) as connection:
        report = verify_archives(connection, outcome.school.settings, outcome.entry.begun_as_of)
    assert report.archives == len(names)
    assert not report.damaged


def test_reports_of_the_person_and_those_that_tell_of_them_are_gone(outcome: Outcome) -> None:
    kept = outcome.school.campus.query("select kind, people, failure from reporting.reports")

    assert kept == [("trainer", [], "tells of nobody")]
    with connect(outcome.school.warehouse.target) as connection:
        row = connection.execute(
            "select detail -> 'reports' ->> 'reports' from audit.audit_logs where action = 'person_erased'"
        ).fetchone()
    assert row == ("3",)


def _keep_reports(school: School, old: list[int]) -> None:
    """Keep reports of the person under each id, one that tells of them, and one that does not."""
    with school.warehouse.connect(autocommit=True) as connection:
        for owner, people, failure in (
            (old[0], [], "their own"),
            (old[1], [], "their own"),
            (1, [2, old[0]], "tells of them"),
            (1, [], "tells of nobody"),
        ):
            connection.execute(
                """
                insert into reporting.reports (
                    organization_id, kind, owner_user_id, period_type, period_start, period_end, status, failure, people,
                    requested_by, requested_at
                ) values (%s, 'trainer', %s, 'week', '2026-03-02', '2026-03-08', 'failed', %s, %s, 'test', %s)
                """,
                [school.organization_id(), owner, failure, people, ERASED_AT],
            )


def test_the_archived_year_is_the_table_still(outcome: Outcome) -> None:
    from lyceum.archiving import is_archived

    with connect(outcome.school.warehouse.target, autocommit=True) as connection:
        assert is_archived(connection, outcome.school.settings, "stage_three.aggregated_analytics", YEAR)


def test_every_column_with_ids_of_users_is_dealt_with(outcome: Outcome) -> None:
    names = (
        "user_id",
        "learner_id",
        "trainer_id",
        "subject_id",
        "merged_user_id",
        "actor_user_id",
        "owner_user_id",
        "people",
    )
    rows = outcome.school.campus.query(
        """
        select schemas.nspname || '.' || relations.relname || '.' || columns.attname
        from pg_attribute as columns
        inner join pg_class as relations on columns.attrelid = relations.oid
        inner join pg_namespace as schemas on relations.relnamespace = schemas.oid
        where
            relations.relkind in ('r', 'p', 'm')
            and not relations.relispartition
            and columns.attname = any(%s)
            and schemas.nspname not in ('build', 'pg_catalog', 'partitions', 'information_schema')
        """,
        list(names),
    )
    known = {f"{column.table}.{column.column}" for column in USER_COLUMNS} | set(ELSEWHERE)
    assert {name for (name,) in rows} == known


def test_nobody_is_called_by_the_address_of_the_other_organization(outcome: Outcome) -> None:
    assert len(outcome.school.ids_of_ada(outcome.school.other)) == 2
    assert ADA not in str(outcome.entry)
