"""What each role sees of three organizations: its own rows, and nothing of what has the same numbers elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from lyceum.security.rights import RELATIONS, TENANT_ROLES, Relation
from lyceum.security.tokens.claims import Role, TenantClaims
from three_organizations import (
    ADA,
    ALGEBRA,
    API_VIEWS,
    BEN,
    BIOLOGY,
    CLOSED_THROUGH,
    FIRST_DAY,
    OPEN_DAY,
    ORGANIZATIONS,
    PERIODS,
    TOM,
    UNA,
    World,
    days_from,
    now,
)

HERE = 2
ALL_DAYS = days_from(FIRST_DAY, OPEN_DAY)
TOMS_DAYS = days_from(date(2026, 11, 3), date(2026, 11, 15))
NOBODYS = [relation for relation in RELATIONS if relation.kind == "tenant table" and not relation.readers]

_Period = tuple[str, int, int | None, str, date]


def claims(role: Role, user: int | None = None, organization: int = HERE) -> TenantClaims:
    scopes = ("analytics.read", "organization.read") if role == "service" else ()
    return TenantClaims(role, organization, user, scopes)


def periods(world: World, asking: TenantClaims) -> set[_Period]:
    """Return the keys of the period rows that somebody sees, after checking that they are all of the own organization."""
    rows = world.seen(
        asking,
        "select organization_id, subject_type, subject_id, course_id, period_type, period_start from api.aggregated_analytics",
    )
    assert {row[0] for row in rows} <= {asking.organization_id}
    assert len(rows) == len(set(rows))
    return {row[1:] for row in rows}  # type: ignore[misc]


def learner_periods(learner: int, course: int | None) -> set[_Period]:
    days = {("learner", learner, course, "day", day) for day in ALL_DAYS}
    return days | {
        ("learner", learner, course, period, start) for period, starts in PERIODS.items() for start in starts
    }


def test_a_learner_sees_every_row_of_their_own_and_no_other(world: World) -> None:
    for learner, courses in ((ADA, (ALGEBRA, BIOLOGY, None)), (BEN, (ALGEBRA, None))):
        asking = claims("learner", learner)

        expected = set().union(*(learner_periods(learner, course) for course in courses))
        assert periods(world, asking) == expected
        days = world.seen(
            asking, "select organization_id, learner_id, course_id, activity_date from api.learner_analytics"
        )
        assert set(days) == {(HERE, learner, course, day) for course in courses for day in ALL_DAYS}
        summaries = world.seen(
            asking, "select organization_id, learner_id, course_id from api.learner_analytics_summary"
        )
        assert set(summaries) == {(HERE, learner, course) for course in courses if course}


def test_a_learner_sees_the_organization_the_courses_and_the_enrollments_that_are_theirs(world: World) -> None:
    ada, ben = claims("learner", ADA), claims("learner", BEN)

    assert world.seen(ada, "select slug, name from api.organizations") == [(f"school-{HERE}", f"School {HERE}")]
    assert world.seen(ada, "select organization_id, time_zone from api.organization_time_zones") == [
        (HERE, "Europe/London")
    ]
    assert world.seen(ada, "select organization_id, closed_through from api.freshness") == [(HERE, CLOSED_THROUGH)]
    assert world.seen(ada, "select organization_id, course_id, title from api.courses order by course_id") == [
        (HERE, ALGEBRA, "Course 1"),
        (HERE, BIOLOGY, "Course 2"),
    ]
    # No roster names Ben; algebra is his because he has been active there.
    assert world.seen(ben, "select organization_id, course_id from api.courses") == [(HERE, ALGEBRA)]
    assert world.seen(
        ada, "select organization_id, user_id, course_id, role from api.enrollments order by course_id"
    ) == [
        (HERE, ADA, ALGEBRA, "learner"),
        (HERE, ADA, BIOLOGY, "learner"),
    ]
    assert world.seen(ben, "select * from api.enrollments") == []


@pytest.mark.parametrize("organization", ORGANIZATIONS)
def test_a_trainer_sees_own_rows_and_learners_of_the_own_course_on_taught_days(world: World, organization: int) -> None:
    """Also in the organization that has Tom's number, whose own rows are not his."""
    seen = periods(world, claims("trainer", TOM, organization))

    own = {("trainer", TOM, ALGEBRA, "day", day) for day in TOMS_DAYS}
    taught_days = {("learner", learner, ALGEBRA, "day", day) for learner in (ADA, BEN) for day in TOMS_DAYS}
    # Of the weeks he taught one to the end; of month and year a part.
    taught_weeks = {("learner", learner, ALGEBRA, "week", date(2026, 11, 9)) for learner in (ADA, BEN)}
    assert seen == own | taught_days | taught_weeks


def test_a_trainer_without_end_sees_periods_up_to_the_open_day(world: World) -> None:
    seen = periods(world, claims("trainer", UNA))

    own = {("trainer", UNA, BIOLOGY, "day", day) for day in ALL_DAYS}
    # She began with the year, so that of the year before nothing is hers to see.
    assert seen == own | learner_periods(ADA, BIOLOGY) - {("learner", ADA, BIOLOGY, "year", date(2025, 1, 1))}


def test_a_trainer_sees_stage_two_rows_by_the_same_days(world: World) -> None:
    asking = claims("trainer", TOM)

    learners = world.seen(
        asking, "select organization_id, learner_id, course_id, activity_date from api.learner_analytics"
    )
    assert set(learners) == {(HERE, learner, ALGEBRA, day) for learner in (ADA, BEN) for day in TOMS_DAYS}
    trainers = world.seen(asking, "select organization_id, trainer_id, activity_date from api.trainer_analytics")
    assert set(trainers) == {(HERE, TOM, day) for day in TOMS_DAYS}
    assert world.seen(asking, "select * from api.learner_analytics_summary") == []
    assert world.seen(asking, "select organization_id, user_id, role from api.enrollments") == [(HERE, TOM, "trainer")]
    assert world.seen(asking, "select organization_id, course_id from api.courses") == [(HERE, ALGEBRA)]


WEEKS = PERIODS["week"]
MONTH, YEAR = ("month", date(2026, 11, 1)), ("year", date(2026, 1, 1))
MONTH_BEFORE, YEAR_BEFORE = ("month", date(2026, 10, 1)), ("year", date(2025, 1, 1))


@pytest.mark.parametrize(
    ("taught", "days", "longer"),
    [
        ("{[2026-11-02,9999-12-31)}", ALL_DAYS, [("week", week) for week in WEEKS]),
        (
            "{[2025-01-01,9999-12-31)}",
            ALL_DAYS,
            [*(("week", week) for week in WEEKS), MONTH, YEAR, MONTH_BEFORE, YEAR_BEFORE],
        ),
        ("{[2026-11-03,2026-11-16)}", TOMS_DAYS, [("week", WEEKS[1])]),
        # Until the open day, whose events count already; until the day before it.
        ("{[2026-11-01,2026-11-20)}", ALL_DAYS, [*(("week", week) for week in WEEKS), MONTH]),
        ("{[2026-11-01,2026-11-19)}", ALL_DAYS[:-1], [("week", WEEKS[0]), ("week", WEEKS[1])]),
        # Somebody stood in for a day.
        (
            "{[2026-11-01,2026-11-10),[2026-11-11,9999-12-31)}",
            [day for day in ALL_DAYS if day != date(2026, 11, 10)],
            [("week", WEEKS[0]), ("week", WEEKS[2])],
        ),
        ("{[2026-11-20,9999-12-31)}", [], []),
        # To the last day of a period, and to the day before it.
        ("{[2026-11-02,2026-11-16)}", days_from(FIRST_DAY, date(2026, 11, 15)), [("week", week) for week in WEEKS[:2]]),
        ("{[2026-11-02,2026-11-15)}", days_from(FIRST_DAY, date(2026, 11, 14)), [("week", WEEKS[0])]),
        ("{[2026-10-01,2026-11-01)}", [], [MONTH_BEFORE]),
        ("{[2026-10-01,2026-10-31)}", [], []),
        ("{[2025-01-01,2026-01-01)}", [], [YEAR_BEFORE]),
        ("{[2025-01-01,2025-12-31)}", [], []),
        ("{}", [], []),
    ],
)
def test_a_period_is_seen_only_where_all_of_it_was_taught(
    world: World, taught: str, days: list[date], longer: list[tuple[str, date]]
) -> None:
    asking = claims("trainer", TOM)
    token = world.tokens.mint(asking, now)
    with world.connection.transaction(force_rollback=True):
        world.connection.execute(
            "update core.enrollments set valid_days = %s where organization_id = %s and user_id = %s and role = 'trainer'",
            [taught, HERE, TOM],
        )
        world.become("lyceum_trainer", token)
        rows = world.connection.execute(
            "select period_type, period_start from api.aggregated_analytics where subject_type = 'learner' and subject_id = %s",
            [BEN],
        ).fetchall()

    assert sorted(rows) == sorted([*(("day", day) for day in days), *longer])


@pytest.mark.parametrize(
    ("course", "taught"),
    [
        (course, taught)
        for course in (ALGEBRA, BIOLOGY)
        for taught in (
            "{(,)}",
            "{[2026-11-01,)}",
            "{[2026-11-01,infinity)}",
            "{(-infinity,2026-11-30)}",
            "{(,infinity]}",
        )
    ],
)
def test_days_without_end_are_of_one_course(world: World, course: int, taught: str) -> None:
    """Its days are numbers next to those of the courses before and after it."""
    token = world.tokens.mint(claims("trainer", TOM), now)
    with world.connection.transaction(force_rollback=True):
        world.connection.execute(
            "update core.enrollments set valid_days = %s, course_id = %s, speaks_for = '{(,)}'"
            " where organization_id = %s and user_id = %s and role = 'trainer'",
            [taught, course, HERE, TOM],
        )
        world.become("lyceum_trainer", token)
        seen = world.connection.execute(
            """
            select course_id, period_start from api.aggregated_analytics
            where subject_type = 'learner' and period_type = 'day' and subject_id = %(learner)s
            union all
            select course_id, activity_date from api.learner_analytics where learner_id = %(learner)s
            """,
            {"learner": ADA},
        ).fetchall()

    assert sorted(seen) == sorted(2 * [(course, day) for day in ALL_DAYS])


def test_a_trainer_sees_no_row_of_a_day_on_which_the_learner_was_not_enrolled(world: World) -> None:
    asking = claims("trainer", TOM)
    left = date(2026, 11, 12)
    token = world.tokens.mint(asking, now)
    with world.connection.transaction(force_rollback=True):
        for table, key, day in (
            ("stage_two.learner_analytics", "learner_id", "activity_date"),
            ("stage_three.aggregated_analytics", "subject_id", "period_start"),
        ):
            world.connection.execute(
                f"update {table} set is_enrolled = case when {day} > %s then null else false end "
                f"where organization_id = %s and {key} = %s and {day} >= %s".encode(),
                [left, HERE, BEN, left],
            )
        world.become("lyceum_trainer", token)
        seen = world.connection.execute(
            """
            select activity_date from api.learner_analytics where learner_id = %(learner)s
            union all
            select period_start from api.aggregated_analytics
            where subject_type = 'learner' and subject_id = %(learner)s and period_type = 'day'
            """,
            {"learner": BEN},
        ).fetchall()

    assert sorted(seen) == sorted(2 * [(day,) for day in TOMS_DAYS if day < left])


def test_a_trainer_sees_of_a_whole_course_who_learns_in_it_on_the_last_closed_day_that_they_taught(
    world: World,
) -> None:
    query = "select learner_id, course_id from api.learner_courses order by 1, 2"
    assert world.seen(claims("trainer", UNA), query) == [(ADA, BIOLOGY)]
    assert world.seen(claims("trainer", TOM), query) == []
    with world.connection.transaction(force_rollback=True):
        # The next day Una teaches no more; on the last closed one she does.
        taught = f"{{[2026-01-01,{OPEN_DAY})}}"
        world.connection.execute(
            "update core.enrollments set valid_days = %s where organization_id = %s and user_id = %s",
            [taught, HERE, UNA],
        )
        assert world.seen(claims("trainer", UNA), query) == [(ADA, BIOLOGY)]
        world.connection.execute(
            "update core.enrollments set valid_days = %s where organization_id = %s and user_id = %s",
            [f"{{[2026-01-01,{CLOSED_THROUGH})}}", HERE, UNA],
        )
        assert world.seen(claims("trainer", UNA), query) == []
    for left, expected in ((OPEN_DAY, [(ADA, BIOLOGY)]), (CLOSED_THROUGH, [])):
        with world.connection.transaction(force_rollback=True):
            world.connection.execute(
                "update stage_three.learner_courses set enrolled_days = %s where organization_id = %s",
                [f"{{[2026-11-02,{left})}}", HERE],
            )
            assert world.seen(claims("trainer", UNA), query) == expected


def test_reports_are_seen_by_their_owner_in_the_role_that_they_were_read_with(world: World) -> None:
    for view in ("reports", "report_files"):
        query = f"select kind, owner_user_id from api.{view} order by 1, 2"

        assert world.seen(claims("learner", ADA), query) == [("learner", ADA)]
        assert world.seen(claims("learner", TOM), query) == [("learner", TOM)]
        assert world.seen(claims("trainer", TOM), query) == [("learner", TOM), ("trainer", TOM)]
        assert world.seen(claims("trainer", UNA), query) == []
        assert world.seen(claims("org_admin"), query) == [("organization", None)]


def test_an_administrator_and_a_service_see_their_whole_organization(world: World) -> None:
    for role in ("org_admin", "service"):
        for view in API_VIEWS:
            # A person's reports are that person's.
            if role not in [reader.role for reader in view.readers] or view.source == "reporting.reports":
                continue
            shown = world.seen(claims(role), f"select organization_id, count(*) from {view.name} group by 1")
            there = world.connection.execute(
                f"select organization_id, count(*) from {view.source} where organization_id = {HERE} group by 1".encode()
            ).fetchall()
            assert shown == there != [], view.name


def test_whoever_reads_numbers_sees_whose_they_are_and_how_current(world: World) -> None:
    for role in ("learner", "trainer", "org_admin", "service", "analyst"):
        for view in ("organizations", "organization_time_zones", "freshness", "view_versions"):
            assert world.seen(claims(role, ADA), f"select organization_id from api.{view}") == [(HERE,)], (role, view)


def test_an_analyst_sees_the_pseudonymous_stage_three_of_the_organization(world: World) -> None:
    asking = claims("analyst")

    assert {row[0] for row in periods(world, asking)} == {"learner", "trainer", "organization"}
    for view in ("courses", "learner_courses", "learner_analytics_summary", "organization_metrics"):
        shown = world.seen(asking, f"select distinct organization_id from api.{view}")
        assert shown == [(HERE,)], view
    for view in ("users", "enrollments", "learner_analytics", "trainer_analytics", "organization_analytics"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            world.seen(asking, f"select from api.{view}")


@pytest.mark.parametrize(
    ("scopes", "views"),
    [
        ((), set()),
        (("reports.read",), set()),
        (
            ("analytics.read",),
            {
                "organizations",
                "organization_time_zones",
                "freshness",
                "view_versions",
                "learner_analytics",
                "trainer_analytics",
                "organization_analytics",
                "aggregated_analytics",
                "learner_analytics_summary",
                "organization_metrics",
            },
        ),
        (
            ("organization.read",),
            {
                "organizations",
                "organization_time_zones",
                "freshness",
                "view_versions",
                "users",
                "courses",
                "enrollments",
            },
        ),
    ],
)
def test_a_service_sees_what_its_scopes_name(world: World, scopes: tuple[str, ...], views: set[str]) -> None:
    asking = TenantClaims("service", HERE, scopes=scopes)

    seen = {
        view.unqualified
        for view in API_VIEWS
        if "service" in [reader.role for reader in view.readers]
        and world.seen(asking, f"select from {view.name} limit 1")
    }
    assert seen == views


@pytest.mark.parametrize("view", API_VIEWS, ids=lambda view: view.name)
def test_every_view_is_for_its_readers_alone(world: World, view: Relation) -> None:
    readers = {reader.role for reader in view.readers}

    assert readers
    for role in TENANT_ROLES:
        asking = TenantClaims(role, HERE, ADA)
        if role in readers:
            world.seen(asking, f"select {', '.join(view.columns)} from {view.name} limit 1")
        else:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                world.seen(asking, f"select from {view.name}")


@pytest.mark.parametrize("view", API_VIEWS, ids=lambda view: view.name)
def test_no_token_an_expired_one_and_one_of_another_role_show_nothing(world: World, view: Relation) -> None:
    for reader in view.readers:
        expired = world.tokens.mint(TenantClaims(reader.role, HERE, ADA), lambda: now() - timedelta(minutes=2))
        others = [
            world.tokens.mint(TenantClaims(role, HERE, ADA, ("analytics.read", "organization.read")), now)
            for role in TENANT_ROLES
            if role != reader.role
        ]
        for token in (None, "v1.anything", expired, *others):
            with world.asking(reader.database_role, token) as connection:
                shown = connection.execute(f"select 1 from {view.name} limit 1".encode()).fetchall()
            assert shown == [], reader.role


@pytest.mark.parametrize("organization", ORGANIZATIONS)
def test_every_view_shows_one_organization(world: World, organization: int) -> None:
    for view in API_VIEWS:
        for reader in view.readers:
            asking = TenantClaims(reader.role, organization, ADA, ("analytics.read", "organization.read"))
            shown = world.seen(asking, f"select distinct organization_id from {view.name}")
            assert shown in ([], [(organization,)]), (view.name, reader.role)


def test_whoever_turns_to_another_role_in_a_session_gains_nothing(world: World) -> None:
    token = world.tokens.mint(claims("learner", ADA), now)
    with world.asking("lyceum_learner", token) as connection:
        assert connection.execute("select 1 from api.freshness").fetchall()
        for role in ("lyceum_org_admin", "lyceum_trainer", "lyceum_service", "lyceum_analyst"):
            connection.execute(f"reset role; set local role {role}".encode())
            assert connection.execute("select 1 from api.aggregated_analytics limit 1").fetchall() == []
            assert connection.execute("select 1 from api.organizations").fetchall() == []


def test_a_login_of_ones_own_reads_what_it_was_given_without_becoming_a_role(world: World) -> None:
    """It inherits its one tenant role; a token that it sets counts for nothing."""
    name = f"somebody_{uuid4().hex[:12]}"
    others = world.tokens.mint(claims("analyst", organization=3), now)
    with world.connection.transaction(force_rollback=True):
        world.connection.execute(f"create role {name} login".encode())
        world.connection.execute(f"grant lyceum_analyst to {name}".encode())
        world.connection.execute(
            "insert into auth.logins (login_name, role, organization_id) values (%s, 'analyst', %s)", [name, HERE]
        )
        world.connection.execute(f"set local session authorization {name}".encode())
        world.connection.execute("select set_config('lyceum.token', %s, true)", [others])
        for view in ("aggregated_analytics", "learner_courses", "learner_analytics_summary", "organization_metrics"):
            shown = world.connection.execute(f"select distinct organization_id from api.{view}".encode()).fetchall()
            assert shown == [(HERE,)], view
        with pytest.raises(psycopg.errors.InsufficientPrivilege), world.connection.transaction():
            world.connection.execute("select from api.users")
        with pytest.raises(psycopg.errors.InsufficientPrivilege), world.connection.transaction():
            world.connection.execute("set local role lyceum_org_admin")


def test_the_tables_themselves_and_their_partitions_are_out_of_reach(world: World) -> None:
    partition = _one(
        world, "select oid::regclass::text from pg_class where relnamespace = 'partitions'::regnamespace limit 1"
    )
    for role in TENANT_ROLES:
        asking = TenantClaims(role, HERE, ADA, ("analytics.read", "organization.read"))
        for relation in (*(relation.name for relation in RELATIONS if relation.schema != "api"), partition):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                world.seen(asking, f"select from {relation}")


def test_where_nobody_is_named_as_a_reader_no_policy_lets_anybody_in(world: World) -> None:
    """Even with a grant: what is forgotten in the description stays dark."""
    asking = world.tokens.mint(claims("org_admin"), now)
    for relation in NOBODYS:
        with world.connection.transaction(force_rollback=True):
            world.connection.execute(f"grant usage on schema {relation.schema} to lyceum_org_admin".encode())
            world.connection.execute(f"grant select on {relation.name} to lyceum_org_admin".encode())
            world.become("lyceum_org_admin", asking)
            assert world.connection.execute(f"select 1 from {relation.name} limit 1".encode()).fetchall() == []
    assert len(NOBODYS) > 30


def test_no_tenant_role_writes_anything(world: World) -> None:
    for role in TENANT_ROLES:
        for view in API_VIEWS:
            for statement in (
                f"insert into {view.name} ({view.columns[-1]}) values (null)",
                f"update {view.name} set {view.columns[-1]} = null",
                f"delete from {view.name}",
                f"truncate {view.source}",
            ):
                # A view over several roles' parts cannot be written to at all.
                with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.ObjectNotInPrerequisiteState)):
                    world.seen(TenantClaims(role, HERE, ADA), statement)


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from _nodes(below)


@pytest.mark.parametrize("view", API_VIEWS, ids=lambda view: view.name)
def test_who_asks_is_asked_once_a_statement(world: World, view: Relation) -> None:
    for reader in view.readers:
        asking = TenantClaims(reader.role, HERE, ADA, ("analytics.read", "organization.read"))
        ((plans,),) = world.seen(asking, f"explain (format json, verbose) select * from {view.name}")
        nodes = list(_nodes(plans[0]["Plan"]))

        if view.kind == "barrier view":
            # Not for each row either: a scan of a function keeps what it got.
            assert [node["Function Name"] for node in nodes if "Function Name" in node] == ["whose_rows"], reader.role
        else:
            assert any(node.get("Subplan Name", "").startswith("InitPlan") for node in nodes), reader.role
        assert not [node for node in nodes if node.get("Parent Relationship") == "SubPlan"], reader.role
        # Not in a condition that rows are tried with, but in the subquery that is run before them.
        tried = [str(value) for node in nodes for key, value in node.items() if key.endswith(("Cond", "Filter"))]
        assert not [text for text in tried if "auth." in text or "rights." in text], reader.role


def test_a_learner_is_found_by_an_index_of_organization_and_learner(world: World) -> None:
    token = world.tokens.mint(claims("learner", ADA), now)
    for view in ("aggregated_analytics", "learner_analytics"):
        with world.connection.transaction(force_rollback=True):
            # So few rows would be read from end to end.
            world.connection.execute("set local enable_seqscan = off; set local enable_bitmapscan = off")
            world.become("lyceum_learner", token)
            row = world.connection.execute(f"explain (format json) select * from api.{view}".encode()).fetchone()
        assert row is not None
        conditions = [node["Index Cond"] for node in _nodes(row[0][0]["Plan"]) if "Index Cond" in node]
        assert conditions, view
        assert all(
            "organization_id = " in text and re.search(r"(subject|learner)_id = ", text) for text in conditions
        ), conditions


def _one(world: World, query: str) -> Any:
    row = world.connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]
