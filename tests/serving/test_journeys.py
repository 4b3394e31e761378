"""For each role, from a dropped file to the number in an answer; and the same number refused to whoever it is not for.

Two organizations are given the same people, courses and days, and another number of events, through the whole pipeline.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from api_callers import Caller, api_login, api_settings, calling, now
from lyceum.audit import ensure_audit_partitions
from lyceum.database import ConnectionTarget
from lyceum.reporting.people.contents import Kind
from lyceum.reporting.people.generation import Wanted, open_report_writer
from lyceum.reporting.people.periods import Period
from lyceum.security.tokens.development import development_issuer
from lyceum.security.tokens.signing_keys import register
from lyceum.views import VIEWS, refresh
from rosters import Campus, Roster
from warehouse import SharedServer

pytestmark = pytest.mark.timeout(300)

MONDAY = datetime(2026, 11, 9, 10, tzinfo=UTC)
THURSDAY = datetime(2026, 11, 12, 6, tzinfo=UTC)
"""The clock of the first build: Wednesday has closed."""
WEEK = Period("week", date(2026, 11, 9))
ROSTER = Roster(
    users=[
        ("u1", "student", "ada", "ada@example.org"),
        ("u2", "student", "ben", "ben@example.org"),
        ("t1", "teacher", "tom", "tom@example.org"),
        ("t2", "teacher", "una", "una@example.org"),
    ],
    classes=[("math", "Mathematics"), ("art", "Art")],
    enrollments=[
        ("e1", "math", "u1", "student", "2026-11-01", "2026-12-20"),
        ("e2", "math", "u2", "student", "2026-11-01", "2026-12-20"),
        ("e3", "math", "t1", "teacher", "2026-11-01", "2026-12-20"),
        ("e4", "art", "t2", "teacher", "2026-11-01", "2026-12-20"),
        ("e5", "art", "u1", "student", "2026-11-01", "2026-12-20"),
    ],
)


@dataclass(frozen=True, slots=True)
class School:
    """An organization with its people and course by id, and how many events of Ada it was given a day."""

    campus: Campus
    caller: Caller
    ada: int
    ben: int
    tom: int
    una: int
    math: int
    a_day: int

    def token(self, role: str, user: int | None = None) -> str:
        issuer = development_issuer(self.caller.settings)
        return issuer.mint(role, self.campus.slug, now(), user_id=user)  # type: ignore[arg-type]


def publish(campus: Campus, as_of: datetime) -> None:
    campus.build(as_of)
    for view in VIEWS.values():
        refresh(campus.warehouse.target, campus.warehouse.settings, view, as_of, "test")


@pytest.fixture(scope="module")
def schools(
    shared_server: SharedServer, template: ConnectionTarget, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[School, School]]:
    folder = tmp_path_factory.mktemp("journeys")
    with shared_server.database(folder / "home", template) as warehouse:
        with warehouse.connect(autocommit=True) as connection:
            register(connection, warehouse.settings, now())
            ensure_audit_partitions(connection)
        with (
            api_login(shared_server, warehouse),
            calling(api_settings(shared_server, warehouse, requests_per_minute=1_000_000)) as caller,
        ):
            founded = []
            for slug, a_day in (("harbor", 3), ("meadow", 5)):
                campus = Campus(warehouse, folder, slug).found(MONDAY - timedelta(days=10))
                campus.apply(MONDAY - timedelta(days=9), ROSTER)
                events = [
                    campus.statement("ada@example.org", MONDAY + timedelta(days=day, minutes=number))
                    for day in range(3)
                    for number in range(a_day)
                ]
                campus.collect(THURSDAY, *events)
                founded.append((campus, a_day))
            publish(founded[0][0], THURSDAY)
            first, second = (_school(campus, caller, a_day) for campus, a_day in founded)
            yield first, second


def _school(campus: Campus, caller: Caller, a_day: int) -> School:
    taught = dict(
        campus.query(
            """
            select courses.title || ' ' || days.role, array_agg(days.user_id order by days.user_id)
            from core.enrollment_days as days
            inner join core.courses as courses using (organization_id, course_id)
            inner join core.organizations as organizations using (organization_id)
            where organizations.slug = %s
            group by 1
            """,
            campus.slug,
        )
    )
    ((math,),) = campus.query(
        "select course_id from core.courses inner join core.organizations using (organization_id) where slug = %s and title = %s",
        campus.slug,
        "Mathematics",
    )
    (ada,) = taught["Art learner"]
    (ben,) = set(taught["Mathematics learner"]) - {ada}
    (tom,), (una,) = taught["Mathematics trainer"], taught["Art trainer"]
    return School(campus, caller, ada, ben, tom, una, math, a_day)


def test_a_learners_numbers_come_from_the_file_and_go_to_nobody_else(schools: tuple[School, School]) -> None:
    here, there = schools
    caller = here.caller
    for school in schools:
        days = caller.get("/v1/me/activity?to=2026-11-11", school.token("learner", school.ada)).data
        assert [(row["period_start"], row["event_count"]) for row in days] == [
            (f"2026-11-{day:02}", school.a_day) for day in (9, 10, 11)
        ]
        summary = caller.get("/v1/me/summary", school.token("learner", school.ada)).data
        assert summary["week"]["event_count"] == 3 * school.a_day
        assert (summary["courses_enrolled"], summary["courses_at_risk"]) == (2, 1)
        courses = caller.get(
            "/v1/me/courses?sort=-weekly_time_on_task_seconds", school.token("learner", school.ada)
        ).data
        assert [(row["title"], row["weekly_event_count"]) for row in courses] == [
            ("Mathematics", 3 * school.a_day),
            ("Art", 0),
        ]
    for other in (here.token("learner", here.ben), here.token("trainer", here.una), there.token("learner", there.ben)):
        assert caller.get("/v1/me/activity", other).data == []
    for wrong in (here.token("learner", here.ben), here.token("trainer", here.tom), here.token("auditor")):
        assert caller.get(f"/v1/organization/learners/{here.ada}/activity", wrong).status == 403
    assert caller.get("/v1/me/activity", there.token("learner", here.ada)).status == 401
    assert caller.get(f"/v1/organization/learners/{here.ada}/activity", there.token("org_admin")).data == []


def test_a_trainer_sees_who_needs_help_and_nobody_else_does(schools: tuple[School, School]) -> None:
    here, there = schools
    caller = here.caller
    for school in schools:
        address = f"/v1/teaching/courses/{school.math}/learners"
        tom = school.token("trainer", school.tom)
        learners = caller.get(f"{address}?sort=-is_at_risk", tom).data
        assert [(row["learner_id"], row["is_at_risk"], row["event_count"]) for row in learners] == [
            (school.ben, True, None),
            (school.ada, False, 3 * school.a_day),
        ]
        assert [row["learner_id"] for row in caller.get(f"{address}?at_risk=true", tom).data] == [school.ben]
        (course,) = caller.get("/v1/teaching/courses", tom).data
        assert (
            course["title"],
            course["learners_assigned"],
            course["learners_active"],
            course["learners_at_risk"],
        ) == (
            "Mathematics",
            2,
            1,
            1,
        )
        days = caller.get(f"/v1/teaching/courses/{school.math}/activity?from=2026-11-09", tom).data
        assert [row["activity_rate"] for row in days] == [0.5, 0.5, 0.5]
        assert caller.get(address, school.token("trainer", school.una)).status == 404
        assert caller.get(address, school.token("learner", school.ada)).status == 403
    address = f"/v1/teaching/courses/{here.math}/learners"
    assert caller.get(address, there.token("trainer", there.tom)).status == 404


def test_an_organizations_numbers_are_for_its_administrator(schools: tuple[School, School]) -> None:
    here, _ = schools
    caller = here.caller
    for school in schools:
        admin = school.token("org_admin")
        metrics = caller.get("/v1/organization/metrics", admin).data
        assert (metrics["weekly_active_learners"], metrics["learners_enrolled"], metrics["learners_at_risk"]) == (
            1,
            2,
            2,
        )
        trends = caller.get("/v1/organization/trends?from=2026-11-09&to=2026-11-11", admin).data
        assert [row["event_count"] for row in trends] == [school.a_day] * 3
        courses = {row["title"]: row for row in caller.get("/v1/organization/courses", admin).data}
        assert courses["Mathematics"]["weekly_event_count"] == 3 * school.a_day
        assert (courses["Mathematics"]["learners_enrolled"], courses["Mathematics"]["learners_at_risk"]) == (2, 1)
        (cohort,) = caller.get("/v1/organization/cohorts?from=2026-11-09", admin).data
        assert cohort["cohort_size"] == 1
        at_risk = caller.get(f"/v1/organization/courses/{school.math}/learners?at_risk=true", admin).data
        assert [row["learner_id"] for row in at_risk] == [school.ben]
        for wrong in (school.token("learner", school.ada), school.token("trainer", school.tom)):
            assert caller.get("/v1/organization/metrics", wrong).status == 403


def _downloaded(school: School, kind: Kind, user: int | None, token: str) -> tuple[int, dict[str, Decimal], str]:
    """Write a report of the week, find it in the reader's list, and download it; return its id, its numbers and its page."""
    warehouse, caller = school.campus.warehouse, school.caller
    organization = caller.get("/v1/me", token).data["organization_id"]
    with open_report_writer(
        warehouse.target, warehouse.administrator, warehouse.settings, as_of=now(), requested_by="test"
    ) as writer:
        written = writer.write(Wanted(organization, kind, user, WEEK))
    (listed,) = [row for row in caller.get("/v1/reports", token).data if row["kind"] == kind]
    assert (listed["report_id"], listed["status"]) == (written.report_id, "ready")
    table = caller.get(f"/v1/reports/{written.report_id}?format=csv", token)
    page = caller.get(f"/v1/reports/{written.report_id}", token)
    rows = csv.DictReader(io.StringIO(table.content.decode()))
    numbers = {row["figure"]: Decimal(row["number"]) for row in rows if row["section"] == "glance" and row["number"]}
    return written.report_id, numbers, page.content.decode()


def test_a_downloaded_report_tells_the_numbers_of_the_api_and_the_wrong_person_gets_none(
    schools: tuple[School, School],
) -> None:
    here, there = schools
    caller = here.caller
    for school, other in ((here, there), (there, here)):
        ada, tom, admin = (
            school.token("learner", school.ada),
            school.token("trainer", school.tom),
            school.token("org_admin"),
        )
        of_ada, numbers, page = _downloaded(school, "learner", school.ada, ada)
        week = caller.get("/v1/me/summary", ada).data["week"]
        assert numbers["active_days"] == week["active_days"] == 3
        assert numbers["active_minutes"] == week["active_minutes"] == 3 * school.a_day
        assert f'<data value="{3 * school.a_day}">' in page

        of_tom, numbers, page = _downloaded(school, "trainer", school.tom, tom)
        (course,) = caller.get("/v1/teaching/courses", tom).data
        assert numbers["learners_at_risk"] == course["learners_at_risk"] == 1
        assert f"Learner {school.ben}" in page

        of_all, numbers, _ = _downloaded(school, "organization", None, admin)
        (trend,) = caller.get("/v1/organization/trends?period=week&from=2026-11-09&to=2026-11-09", admin).data
        assert numbers["learners_active"] == trend["learners_active"] == 1
        assert numbers["learners_at_risk"] == trend["learners_at_risk"] == 2

        for report_id, readers in ((of_ada, {ada}), (of_tom, {tom}), (of_all, {admin})):
            everybody = {
                *(ada, tom, admin, school.token("learner", school.ben), school.token("trainer", school.una)),
                *(other.token("learner", other.ada), other.token("trainer", other.tom), other.token("org_admin")),
            }
            told = {token: caller.get(f"/v1/reports/{report_id}?format=csv", token).status for token in everybody}
            assert told == {token: 200 if token in readers else 404 for token in everybody}


def test_what_a_late_file_changes_is_told_with_the_publish_and_not_before(schools: tuple[School, School]) -> None:
    here, there = schools
    caller = here.caller
    address = "/v1/me/activity?from=2026-11-11&to=2026-11-11"
    ada = here.token("learner", here.ada)
    before = caller.get(address, ada)
    elsewhere = caller.get(address, there.token("learner", there.ada))
    late = [
        here.campus.statement("ada@example.org", MONDAY + timedelta(days=2, hours=5, minutes=one)) for one in range(4)
    ]

    here.campus.collect(THURSDAY + timedelta(hours=1), *late)
    assert caller.get(address, ada, If_None_Match=before.headers["etag"]).status == 304
    publish(here.campus, THURSDAY + timedelta(hours=2))

    after = caller.get(address, ada, If_None_Match=before.headers["etag"])
    assert [row["event_count"] for row in before.data] == [here.a_day]
    assert [row["event_count"] for row in after.data] == [here.a_day + 4]
    again = caller.get(address, there.token("learner", there.ada))
    assert again.data == elsewhere.data
