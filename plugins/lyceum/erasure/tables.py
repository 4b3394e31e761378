"""Where the warehouse names people by their ids, and the statements that give their rows to fresh ids.

`USER_COLUMNS` is the one list of it: a column of the warehouse that holds ids of users and is neither here nor among
`ELSEWHERE` fails a test.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from psycopg import sql

from lyceum.archiving.rewriting import IdChange
from lyceum.database import Connection
from lyceum.partitions.planner import PARTITION_SCHEMA
from lyceum.vault import forget_profiles


@dataclass(frozen=True, slots=True)
class UserColumn:
    """A column with ids of users; `only_where` names the texts of other columns with which a row is about a user."""

    table: str
    column: str
    only_where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def change(self, organization_id: int, ids: Mapping[int, int]) -> IdChange:
        """Return what becomes of the ids of people of an organization in this column."""
        return IdChange(self.column, organization_id, ids, self.only_where)


USER_COLUMNS: tuple[UserColumn, ...] = (
    UserColumn("stage_one.raw_data_collection", "learner_id"),
    UserColumn("stage_one.raw_data_collection", "trainer_id"),
    UserColumn("stage_two.learner_day_states", "learner_id"),
    UserColumn("stage_two.learner_video_day_states", "learner_id"),
    UserColumn("stage_two.trainer_day_states", "trainer_id"),
    UserColumn("stage_two.learner_analytics", "learner_id"),
    UserColumn("stage_two.trainer_analytics", "trainer_id"),
    # The subject of an organization's row is the organization, whose number may be that of a user.
    UserColumn("stage_three.aggregated_analytics", "subject_id", {"subject_type": ("learner", "trainer")}),
    UserColumn("stage_three.learner_courses", "learner_id"),
    UserColumn("audited.learner_analytics_summary", "learner_id"),
    UserColumn("core.enrollments", "user_id"),
    UserColumn("core.roster_enrollments", "user_id"),
    UserColumn("ops.pending_users", "user_id"),
)
"""Columns whose rows stay, under the fresh id."""

ELSEWHERE: Mapping[str, str] = {
    "core.users.user_id": "replaced by a row of the fresh id",
    "core.user_identities.user_id": "removed",
    "core.user_profiles.user_id": "removed",
    "core.roster_people.user_id": "removed",
    "ops.user_merges.merged_user_id": "a row of the fresh id that leads to itself",
    "ops.user_merges.user_id": "a row of the fresh id that leads to itself",
    "ops.build_users.user_id": "removed",
    "auth.logins.user_id": "removed",
    "reporting.reports.owner_user_id": "removed with the report and its file",
    "reporting.reports.people": "removed with the report and its file",
    "audit.audit_logs.actor_user_id": "stays for ten years, sealed, and leads to nobody",
    "stage_three.mv_learner_analytics_summary.learner_id": "refreshed from what it selects",
}
"""What becomes of the other columns that name people."""

PAYLOAD_TABLES = ("stage_one.raw_data_collection", "stage_one.quarantine")

_ID_NAMES = ("learner_id", "trainer_id", "user_id", "subject_id", "merged_user_id", "identifier")
_CANDIDATE_IDS = ("learner_id", "trainer_id", "user_id", "subject_id", "merged_user_id")


def ids_in_json(user_ids: Sequence[int]) -> str:
    """Return a pattern, for PostgreSQL and Python alike, of what names one of the ids in JSON text; the value is its third group."""
    return rf'("({"|".join(_ID_NAMES)})": ?)({"|".join(map(str, user_ids))})(?![0-9])'


def count_rows(
    connection: Connection, organization_id: int, user_ids: Sequence[int], identity_hashes: Sequence[bytes]
) -> dict[str, int]:
    """Return how many rows of each table an erasure would change or remove, for tables that have any."""
    counts: Counter[str] = Counter()
    ids = dict.fromkeys(user_ids, 0)
    for column in USER_COLUMNS:
        condition = column.change(organization_id, ids).condition
        for relation in _relations(connection, column.table):
            counts[column.table] += _count(connection, relation, condition)
    for table in PAYLOAD_TABLES:
        found = sql.SQL("organization_id = {} and {}").format(sql.Literal(organization_id), _named_in(identity_hashes))
        for relation in _relations(connection, table):
            counts[f"{table}.payload"] += _count(connection, relation, found)
    own = sql.SQL("organization_id = {} and user_id = any({})").format(
        sql.Literal(organization_id), sql.Literal(list(user_ids))
    )
    for table in ("core.user_identities", "core.user_profiles", "core.roster_people"):
        counts[table] += _count(connection, sql.Identifier(*table.split(".")), own)
    return {table: count for table, count in sorted(counts.items()) if count}


def rekey_rows(
    connection: Connection, organization_id: int, ids: Mapping[int, int], identity_hashes: Sequence[bytes]
) -> dict[str, int]:
    """Give every row of some people to their fresh ids, in the open transaction; return the rows changed or removed by table.

    The transaction holds the organization's lock and that of its identities, and the caller keeps builds and refreshes away.
    No total changes: each id becomes one other id. Afterwards nothing in the warehouse's tables leads from an identity of the
    people to a row. A second call changes nothing.
    """
    changed: Counter[str] = Counter()
    values = {"organization": organization_id, "old": list(ids), "fresh": list(ids.values())}
    _make_fresh_users(connection, values)
    for column in USER_COLUMNS:
        for relation in _relations(connection, column.table):
            changed[column.table] += _rekey(connection, relation, column.change(organization_id, ids))
    changed["stage_one.raw_data_collection.payload"] += _replace_pseudonyms(
        connection, organization_id, identity_hashes
    )
    changed["stage_one.quarantine.payload"] += _remove_payloads(connection, organization_id, identity_hashes)
    _forget_records(connection, values)
    changed.update(_remove_people(connection, values))
    _clear_candidates(connection, organization_id, list(ids))
    _clear_findings(connection, organization_id, list(ids))
    if changed["audited.learner_analytics_summary"]:
        connection.execute("select stage_three.refresh_view('mv_learner_analytics_summary')")
    return {table: count for table, count in sorted(changed.items()) if count}


def _make_fresh_users(connection: Connection, values: Mapping[str, object]) -> None:
    # What a fresh row says must not be a trace: neither when the person came nor when they went.
    connection.execute(
        """
        insert into core.users (organization_id, user_id, role, is_provisional, is_erased, created_at)
        overriding system value
        select users.organization_id, changes.fresh_id, users.role, false, true, organizations.created_at
        from unnest(%(old)s::bigint[], %(fresh)s::bigint[]) as changes (old_id, fresh_id)
        inner join core.users as users
            on users.organization_id = %(organization)s and changes.old_id = users.user_id
        inner join core.organizations as organizations
            on users.organization_id = organizations.organization_id
        on conflict (organization_id, user_id) do nothing
        """,
        values,
    )


def _rekey(connection: Connection, relation: sql.Identifier, change: IdChange) -> int:
    return connection.execute(
        sql.SQL(
            """
            update {relation} as named
            set {column} = changes.fresh_id
            from unnest({old}::bigint[], {fresh}::bigint[]) as changes (old_id, fresh_id)
            where {condition} and named.{column} = changes.old_id
            """
        ).format(
            relation=relation,
            column=sql.Identifier(change.column),
            old=sql.Literal(list(change.ids)),
            fresh=sql.Literal(list(change.ids.values())),
            condition=change.condition,
        )
    ).rowcount


def _replace_pseudonyms(connection: Connection, organization_id: int, identity_hashes: Sequence[bytes]) -> int:
    """Put random pseudonyms into the places of the people's: the statements stay readable, and lead to nobody."""
    if not identity_hashes:
        return 0
    payload: sql.Composable = sql.SQL("payload::text")
    for value in identity_hashes:
        payload = sql.SQL("replace({}, {}, {})").format(
            payload, sql.Literal(value.hex()), sql.Literal(os.urandom(len(value)).hex())
        )
    statement = sql.SQL("update {} set payload = ({})::json where organization_id = {} and {}")
    return sum(
        connection.execute(
            statement.format(relation, payload, sql.Literal(organization_id), _named_in(identity_hashes))
        ).rowcount
        for relation in _relations(connection, "stage_one.raw_data_collection")
    )


def _remove_payloads(connection: Connection, organization_id: int, identity_hashes: Sequence[bytes]) -> int:
    """Remove refused records that name the people; their rows stay, so that every batch's counts stay true."""
    statement = sql.SQL("update {} set payload = null where organization_id = {} and {}")
    return sum(
        connection.execute(
            statement.format(relation, sql.Literal(organization_id), _named_in(identity_hashes))
        ).rowcount
        for relation in _relations(connection, "stage_one.quarantine")
    )


def _forget_records(connection: Connection, values: Mapping[str, object]) -> None:
    """Let the enrollments' records be known by nothing that a roster could say again."""
    connection.execute(
        """
        update core.roster_enrollments
        set record_hash = sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))
        where organization_id = %(organization)s and user_id = any(%(fresh)s)
        """,
        values,
    )


def _remove_people(connection: Connection, values: Mapping[str, object]) -> dict[str, int]:
    """Remove what leads from a person to a user, and the users themselves. Their logins are gone before."""
    # A merged id still ends where its events went elsewhere, so the day stays; where they went does not.
    connection.execute(
        """
        insert into ops.user_merges (
            organization_id, merged_user_id, user_id, roster_id, merged_at, rekeyed_from, is_rekeyed
        )
        select
            merges.organization_id, changes.fresh_id, changes.fresh_id, merges.roster_id, merges.merged_at,
            merges.rekeyed_from, true
        from ops.user_merges as merges
        inner join unnest(%(old)s::bigint[], %(fresh)s::bigint[]) as changes (old_id, fresh_id)
            on merges.merged_user_id = changes.old_id
        where merges.organization_id = %(organization)s
        """,
        values,
    )
    connection.execute(
        "delete from ops.user_merges where organization_id = %(organization)s and merged_user_id = any(%(old)s)", values
    )
    removed = {}
    for table in ("core.user_identities", "core.roster_people", "ops.build_users"):
        removed[table] = connection.execute(
            sql.SQL("delete from {} where organization_id = %(organization)s and user_id = any(%(old)s)").format(
                sql.Identifier(*table.split("."))
            ),
            values,
        ).rowcount
    old = values["old"]
    organization_id = values["organization"]
    assert isinstance(old, list)
    assert isinstance(organization_id, int)
    removed["core.user_profiles"] = forget_profiles(connection, organization_id, old)
    removed["core.users"] = connection.execute(
        "delete from core.users where organization_id = %(organization)s and user_id = any(%(old)s)", values
    ).rowcount
    return removed


def _clear_candidates(connection: Connection, organization_id: int, user_ids: list[int]) -> None:
    """Remove the people's rows from what the last build and the last refresh have left; the next one makes all of it anew."""
    rows = connection.execute(
        """
        select relations.relname, columns.attname
        from pg_class as relations
        inner join pg_attribute as columns on relations.oid = columns.attrelid
        where
            relations.relnamespace = 'build'::regnamespace
            and relations.relkind = 'r'
            and columns.attname = any(%s)
            and not columns.attisdropped
        order by 1, 2
        """,
        [list(_CANDIDATE_IDS)],
    ).fetchall()
    for table, column in rows:
        connection.execute(
            sql.SQL("delete from {} where organization_id = %s and {} = any(%s)").format(
                sql.Identifier("build", table), sql.Identifier(column)
            ),
            [organization_id, user_ids],
        )


def _clear_findings(connection: Connection, organization_id: int, user_ids: list[int]) -> None:
    """Take the ids out of what audits have found: the keys that disagreed, and the sentences that quote them."""
    pattern = ids_in_json(user_ids)
    for table in ("ops.reconciliation_results", "ops.view_reconciliation_results"):
        connection.execute(
            sql.SQL(
                """
                update {} set sample = regexp_replace(sample::text, %(pattern)s, '\\1null', 'g')::jsonb
                where organization_id = %(organization)s and sample::text ~ %(pattern)s
                """
            ).format(sql.Identifier(*table.split("."))),
            {"pattern": pattern, "organization": organization_id},
        )
    for table in ("ops.builds", "ops.view_refreshes"):
        connection.execute(
            sql.SQL(
                "update {} set failure = regexp_replace(failure, %(pattern)s, '\\1null', 'g') where failure ~ %(pattern)s"
            ).format(sql.Identifier(*table.split("."))),
            {"pattern": pattern},
        )


def _named_in(identity_hashes: Sequence[bytes]) -> sql.Composed:
    patterns = [f"%{value.hex()}%" for value in identity_hashes]
    return sql.SQL("payload is not null and payload::text like any({}::text[])").format(sql.Literal(patterns))


def _count(connection: Connection, relation: sql.Identifier, condition: sql.Composed) -> int:
    row = connection.execute(sql.SQL("select count(*) from {} where {}").format(relation, condition)).fetchone()
    assert row is not None
    return int(row[0])


def _relations(connection: Connection, table: str) -> Iterator[sql.Identifier]:
    """Yield the table, and partitions of it that are detached and not dropped yet."""
    schema, _, name = table.partition(".")
    yield sql.Identifier(schema, name)
    rows = connection.execute(
        """
        select relations.relname
        from pg_class as relations
        where
            relations.relnamespace = %s::regnamespace
            and relations.relkind in ('r', 'p')
            and relations.relname ~ %s
            and not exists (select from pg_inherits as attached where attached.inhrelid = relations.oid)
        order by 1
        """,
        [PARTITION_SCHEMA, rf"^{name}_p[0-9]"],
    ).fetchall()
    for (partition,) in rows:
        yield sql.Identifier(PARTITION_SCHEMA, partition)
