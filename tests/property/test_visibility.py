"""Whatever is published, each role sees exactly the rows that the rules give it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lyceum.database import ConnectionTarget
from oracle.visibility import Asking, Enrollment, LearnerDay, Period, Role, Scenario, Span, visible
from property.visibility import FIRST_DAY, LAST_DAY, SOURCES, Theatre, in_json, make_theatre
from warehouse import SharedServer

ORGANIZATIONS, USERS, COURSES = (1, 2, 3), (1, 2, 3, 4), (1, 2, 3)
DAYS = [FIRST_DAY + timedelta(days=number) for number in range((LAST_DAY - FIRST_DAY).days + 1)]
# Around the ends of weeks, months and years, where conditions go wrong.
EDGES = [
    *(date(2025, 12, 31) + timedelta(days=number) for number in range(3)),
    *(date(2026, 10, 31) + timedelta(days=number) for number in range(32)),
    *(date(2026, 12, 30) + timedelta(days=number) for number in range(3)),
]
WITHOUT_END: tuple[Span, ...] = ((date(2020, 1, 1), None),)
SCOPES = ((), ("analytics.read",), ("organization.read",), ("analytics.read", "organization.read"), ("reports.read",))
# A trainer is who has the most to see, and to be refused.
ROLES: tuple[Role, ...] = ("learner", "trainer", "trainer", "trainer", "org_admin", "service", "analyst", "auditor")
STARTS = {
    "day": DAYS,
    "week": DAYS[::7],
    "month": [date(2026, month, 1) for month in (1, 2, 10, 11, 12)],
    "year": [date(2026, 1, 1)],
}

organizations, users, courses = (st.sampled_from(numbers) for numbers in (ORGANIZATIONS, USERS, COURSES))
days, edges = st.sampled_from(DAYS), st.sampled_from(EDGES)
is_enrolled = st.sampled_from([True, True, True, False, None])


@st.composite
def spans(draw: st.DrawFn) -> tuple[Span, ...]:
    """Up to two spans that do not touch, the last of them perhaps without end."""
    bounds = sorted(draw(st.lists(edges, min_size=0, max_size=4, unique=True)))
    found: list[Span] = list(zip(bounds[::2], bounds[1::2], strict=False))
    if len(bounds) % 2:
        found.append((bounds[-1], None))
    return tuple(found)


days_of_a_part = st.one_of(spans(), st.just(WITHOUT_END), st.just(((date(2026, 1, 1), None),)))


@st.composite
def enrollments(draw: st.DrawFn) -> tuple[Enrollment, ...]:
    """Every part in a course, told by one or two sources in one or two versions of which the later speaks for some days."""
    told: dict[tuple[object, ...], Enrollment] = {}
    for _ in range(draw(st.integers(0, 12))):
        role = draw(st.sampled_from(("trainer", "trainer", "learner")))
        part = (draw(organizations), draw(users), draw(courses), role, draw(st.sampled_from(SOURCES)))
        for version in range(1, draw(st.integers(1, 2)) + 1):
            speaks_for = draw(st.one_of(st.just(WITHOUT_END), spans()))
            told[(*part, version)] = Enrollment(*part, version, draw(days_of_a_part), speaks_for)  # type: ignore[arg-type]
    return tuple(told.values())


@st.composite
def periods(draw: st.DrawFn) -> tuple[Period, ...]:
    """Rows of stage three with unlike keys; mostly of learners in a course."""
    rows: dict[tuple[object, ...], Period] = {}
    for _ in range(draw(st.integers(0, 40))):
        organization, period = draw(organizations), draw(st.sampled_from(("day", "week", "week", "month", "year")))
        kind = draw(st.sampled_from(("learner", "learner", "learner", "trainer", "organization")))
        subject = organization if kind == "organization" else draw(users)
        course = (
            None if kind == "organization" else draw(st.one_of(courses, st.none()) if kind == "learner" else courses)
        )
        key = (organization, kind, subject, course, period, draw(st.sampled_from(STARTS[period])))
        rows[key] = Period(*key, draw(is_enrolled))  # type: ignore[arg-type]
    return tuple(rows.values())


@st.composite
def reports(draw: st.DrawFn) -> tuple[int, Any, int | None]:
    """A report, of a person or of an organization."""
    kind = draw(st.sampled_from(("learner", "trainer", "organization")))
    return draw(organizations), kind, None if kind == "organization" else draw(users)


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    """Three organizations with the same numbers for their people and courses."""
    learner_days = draw(
        st.lists(st.tuples(organizations, users, st.one_of(courses, st.none()), days, is_enrolled), max_size=30)
    )
    pairs = tuple(draw(st.sets(st.tuples(organizations, users, courses), max_size=8)))
    return Scenario(
        closed_through={number: draw(st.one_of(days, days, st.none())) for number in ORGANIZATIONS},
        users=USERS,
        courses=COURSES,
        enrollments=draw(enrollments()),
        learner_days=tuple({row[:4]: LearnerDay(*row) for row in learner_days}.values()),
        trainer_days=tuple(draw(st.sets(st.tuples(organizations, users, courses, days), max_size=8))),
        organization_days=tuple(draw(st.sets(st.tuples(organizations, days), max_size=6))),
        periods=draw(periods()),
        learner_courses=pairs,
        enrolled={pair: draw(st.one_of(st.just(()), spans())) for pair in pairs},
        reports=tuple(draw(st.sets(reports(), max_size=8))),
        audited=tuple(
            draw(st.sets(st.tuples(st.one_of(organizations, st.none()), st.sampled_from("abc")), max_size=5))
        ),
    )


@st.composite
def askers(draw: st.DrawFn) -> Asking:
    role = draw(st.sampled_from(ROLES))
    organization = draw(st.one_of(organizations, st.none()) if role == "auditor" else organizations)
    user = draw(users) if role in ("learner", "trainer") else None
    return Asking(role, organization, user, draw(st.sampled_from(SCOPES)) if role == "service" else ())


@pytest.fixture(scope="module")
def theatre(
    shared_server: SharedServer, template: ConnectionTarget, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Theatre]:
    home = tmp_path_factory.mktemp("visibility") / "home"
    with shared_server.database(home, template) as warehouse, warehouse.connect(autocommit=True) as connection:
        yield make_theatre(warehouse, connection)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example])
@given(scenario=scenarios(), asking=st.lists(askers(), min_size=6, max_size=10, unique=True))
def test_each_role_sees_exactly_the_rows_that_the_rules_give_it(
    theatre: Theatre, scenario: Scenario, asking: list[Asking]
) -> None:
    with theatre.playing(scenario):
        for who in asking:
            wanted = in_json(visible(who, scenario))
            token = theatre.token(who)

            assert theatre.seen(who.role, token, list(wanted)) == wanted, who
            by_table = theatre.seen(who.role, token, list(wanted), by_table=True)
            assert by_table == {view: wanted[view] for view in by_table}, who
