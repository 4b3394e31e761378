"""Rosters that change, held against the oracle to the last column: cases worth keeping by name."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from lyceum.database import ConnectionTarget
from oracle.rosters import Class, Delivery, Enrollment, IdentityRule, Options, Role, Term, User
from property.comparison import Comparison, Organization
from property.population import ADL, CLUB, COURSES, LEARNERS, SCHOOL, TEACHER, TEACHER_IDENTIFIER
from property.product import Product
from property.rosters import SPELLINGS, spell
from property.test_scenarios import DAY, HOUR, MONDAY, about_the_course, file, view, void
from warehouse import SharedServer

TEMPLATE = "https://example.org/courses/{sourced_id}"
OPTIONS = Options((IdentityRule("mbox"), IdentityRule("account", SCHOOL, "username")), (TEMPLATE,))
ANN, BOB, EVE = User("ann", "Ann@Example.org"), User("bob", None, "bob 1"), User("eve", "eve@example.org")
TOM = User("tom", "teacher@example.org")
USERS = (ANN, BOB, EVE, TOM)


@pytest.fixture
def comparison(shared_server: SharedServer, template: ConnectionTarget, tmp_path: Path) -> Iterator[Comparison]:
    with shared_server.database(tmp_path / "home", template) as lent:
        yield Comparison(Product(lent))


@pytest.fixture
def one(comparison: Comparison) -> Organization:
    """An organization whose school has not said anything yet."""
    found = comparison.add_organization("Europe/London", MONDAY)
    comparison.configure_source(found, "sis", OPTIONS, MONDAY)
    return found


def day(number: int) -> date:
    """The local day that many days after the Monday."""
    return (MONDAY + number * DAY).date()


def learns(user: User, begins: int | None = 0, ends: int | None = None, **changes: Any) -> Enrollment:
    days = {
        "begins_on": None if begins is None else day(begins),
        "ends_on": None if ends is None else day(ends),
    }
    role: Role = "learner"
    stated = {"sourced_id": f"e-{user.sourced_id}", "class_id": "1", "user_id": user.sourced_id, "role": role}
    return Enrollment(**{**stated, **days, **changes})


def teaches(user: User, begins: int | None = 0, ends: int | None = None, **changes: Any) -> Enrollment:
    changes = {"sourced_id": f"t-{user.sourced_id}", "role": "trainer", **changes}
    return learns(user, begins, ends, **changes)


def roster(*enrollments: Enrollment, users: tuple[User, ...] = USERS, starts: int | None = None) -> Delivery:
    terms = () if starts is None else (Term("term", day(starts)),)
    return Delivery(True, users, terms, (Class("1", tuple(term.sourced_id for term in terms)),), enrollments)


def changes(*enrollments: Enrollment, users: tuple[User, ...] = ()) -> Delivery:
    return Delivery(False, users, enrollments=enrollments)


def grading(at: datetime, learner: int = 0) -> dict[str, Any]:
    return view(at, actor=TEACHER, verb={"id": ADL + "scored"}, object={"objectType": "Agent", **LEARNERS[learner]})


def test_a_roster_before_the_first_event_says_who_learns_and_who_teaches_however_it_is_spelled(
    comparison: Comparison,
) -> None:
    people = (learns(ANN), learns(BOB, -30, 4), learns(EVE, None), teaches(TOM))
    for spelling in SPELLINGS:
        one = comparison.add_organization("Europe/London", MONDAY)
        comparison.configure_source(one, "sis", OPTIONS, MONDAY)
        comparison.deliver_roster(one, "sis", roster(*people, starts=1), MONDAY, spelling)
        events = [view(MONDAY + HOUR), view(MONDAY + 2 * DAY, 1), view(MONDAY + 5 * DAY, 1), view(MONDAY + 2 * DAY, 2)]
        in_course = {"parent": [COURSES[0]]}
        helped = view(MONDAY + 2 * DAY, context={"instructor": TEACHER, "contextActivities": in_course})
        posted = view(MONDAY + DAY, actor=TEACHER, verb={"id": ADL + "commented"})
        events += [helped, posted, grading(MONDAY + 3 * DAY)]
        comparison.deliver(one, file(comparison, *events), MONDAY + 6 * DAY)
    comparison.build(MONDAY + 12 * DAY)


def test_a_roster_after_the_events_claims_those_who_came(comparison: Comparison, one: Organization) -> None:
    events = [view(MONDAY + HOUR), view(MONDAY + DAY, 1), grading(MONDAY + DAY), view(MONDAY + DAY, 2)]
    comparison.deliver(one, file(comparison, *events), MONDAY + 2 * DAY)
    comparison.build(MONDAY + 3 * DAY)
    comparison.deliver_roster(one, "sis", roster(learns(ANN), learns(EVE, -10), teaches(TOM)), MONDAY + 3 * DAY)
    comparison.build(MONDAY + 3 * DAY + HOUR)
    comparison.build(MONDAY + 10 * DAY)


def test_who_is_on_the_roster_and_never_comes_becomes_at_risk_as_time_passes(
    comparison: Comparison, one: Organization
) -> None:
    comparison.deliver_roster(one, "sis", roster(learns(EVE), teaches(TOM)), MONDAY)
    comparison.deliver(one, file(comparison, view(MONDAY + HOUR)), MONDAY + 2 * HOUR)
    for number in (1, 7, 8):
        comparison.build(MONDAY + number * DAY + HOUR)
    rows = one.expected.figures().trainer_days
    risks = [rows[TEACHER_IDENTIFIER, COURSES[0]["id"], day(number)]["learners_at_risk"] for number in (6, 7)]
    assert risks == [0, 1]


def test_trainers_are_swapped_in_mid_week(comparison: Comparison, one: Organization) -> None:
    first = roster(learns(ANN), learns(BOB), teaches(TOM))
    comparison.deliver_roster(one, "sis", first, MONDAY)
    events = [view(MONDAY + number * DAY + HOUR, number % 2) for number in range(5)]
    comparison.deliver(one, file(comparison, *events, grading(MONDAY + 4 * DAY)), MONDAY + 5 * DAY)
    comparison.build(MONDAY + 5 * DAY)
    comparison.deliver_roster(
        one, "sis", changes(teaches(TOM, 0, 2), teaches(EVE, 2), users=(EVE, TOM)), MONDAY + 5 * DAY
    )
    comparison.build(MONDAY + 6 * DAY)
    comparison.deliver_roster(one, "sis", roster(learns(ANN), learns(BOB)), MONDAY + 7 * DAY)
    comparison.build(MONDAY + 8 * DAY)
    comparison.build(MONDAY + 40 * DAY)


def test_enrollments_of_the_past_and_the_future_begin_and_end_on_their_days(
    comparison: Comparison, one: Organization
) -> None:
    past, future = learns(ANN, -400), learns(BOB, 3, 6)
    comparison.deliver_roster(one, "sis", roster(past, future, learns(EVE, -20, -1), teaches(TOM, 2)), MONDAY)
    comparison.deliver(one, file(comparison, view(MONDAY + HOUR), view(MONDAY + DAY, 1)), MONDAY + 2 * DAY)
    for number in (1, 3, 4, 6, 7):
        comparison.build(MONDAY + number * DAY + HOUR)


def test_a_sealed_day_stays_as_it_was_told(comparison: Comparison, one: Organization) -> None:
    comparison.deliver_roster(one, "sis", roster(learns(ANN), teaches(TOM)), MONDAY)
    comparison.deliver(one, file(comparison, view(MONDAY), view(MONDAY + 8 * DAY, 1)), MONDAY + 9 * DAY)
    comparison.build(MONDAY + 14 * DAY + HOUR)
    assert one.expected.week_states == {day(0): "sealed", day(7): "open"}
    comparison.deliver_roster(one, "sis", roster(learns(BOB), learns(EVE), teaches(BOB)), MONDAY + 14 * DAY + HOUR)
    comparison.build(MONDAY + 15 * DAY)
    comparison.deliver(one, file(comparison, view(MONDAY + HOUR, 1)), MONDAY + 15 * DAY, is_history=True)
    comparison.build(MONDAY + 15 * DAY + HOUR)


def test_a_week_that_is_due_but_not_sealed_is_not_told_anew_by_a_roster(
    comparison: Comparison, one: Organization
) -> None:
    comparison.deliver_roster(one, "sis", roster(learns(ANN)), MONDAY)
    comparison.deliver(one, file(comparison, view(MONDAY), view(MONDAY + 8 * DAY, 1)), MONDAY + 9 * DAY)
    comparison.build(MONDAY + 10 * DAY)
    comparison.deliver_roster(one, "sis", roster(learns(BOB), learns(EVE)), MONDAY + 14 * DAY)
    comparison.build(MONDAY + 14 * DAY + HOUR)


def test_who_leaves_and_comes_back_is_enrolled_again(comparison: Comparison, one: Organization) -> None:
    comparison.deliver(one, file(comparison, view(MONDAY), view(MONDAY + HOUR, 1)), MONDAY + 2 * HOUR)
    with_bob, without_bob = roster(learns(ANN), learns(BOB, None)), roster(learns(ANN))
    for number, delivery in ((1, with_bob), (2, with_bob), (3, without_bob), (4, without_bob), (5, with_bob)):
        comparison.deliver_roster(one, "sis", delivery, MONDAY + number * DAY)
        comparison.build(MONDAY + number * DAY + HOUR)
    comparison.build(MONDAY + 8 * DAY)


def test_a_delta_changes_only_what_it_names(comparison: Comparison, one: Organization) -> None:
    comparison.deliver_roster(one, "sis", roster(learns(ANN), learns(BOB), learns(EVE), teaches(TOM)), MONDAY)
    comparison.deliver(one, file(comparison, view(MONDAY), view(MONDAY + HOUR, 1)), MONDAY + 2 * HOUR)
    deleted = learns(EVE, is_deleted=True)
    comparison.deliver_roster(one, "sis", changes(deleted, learns(BOB, 2)), MONDAY + DAY)
    comparison.build(MONDAY + 3 * DAY)
    comparison.deliver_roster(one, "sis", changes(deleted), MONDAY + 3 * DAY)
    comparison.deliver_roster(one, "sis", changes(learns(EVE)), MONDAY + 4 * DAY)
    comparison.build(MONDAY + 9 * DAY)


def test_one_person_in_two_enrollments_of_a_class_is_enrolled_once(comparison: Comparison, one: Organization) -> None:
    parts = (learns(BOB, 0, 3), learns(BOB, 2, sourced_id="e-2"), teaches(BOB, 1, 5))
    comparison.deliver_roster(one, "sis", roster(*parts), MONDAY)
    comparison.deliver(
        one, file(comparison, view(MONDAY), view(MONDAY + HOUR, 1), view(MONDAY + 2 * DAY, 1)), MONDAY + 3 * DAY
    )
    comparison.build(MONDAY + 4 * DAY)
    comparison.deliver_roster(one, "sis", roster(parts[0], parts[2]), MONDAY + 4 * DAY)
    comparison.build(MONDAY + 7 * DAY)


def test_another_source_finds_the_people_that_one_has_named(comparison: Comparison, one: Organization) -> None:
    product = comparison.product
    users = tuple(User(f"u{number}", f"u{number}@example.org", f"u{number}") for number in range(12))
    comparison.configure_source(one, "hr", OPTIONS, MONDAY)
    for source in ("sis", "hr"):
        product.deliver_roster(one.slug, source, spell(roster(users=users)), MONDAY, is_zip=False)
    assert len(product.users(one.slug)) == len(users)


def test_where_several_sources_speak_any_of_them_enrolls(comparison: Comparison, one: Organization) -> None:
    comparison.configure_source(one, "hr", OPTIONS, MONDAY)
    comparison.deliver_roster(one, "sis", roster(learns(BOB, 0, 2), learns(ANN)), MONDAY)
    comparison.deliver_roster(one, "hr", roster(learns(BOB, 3), teaches(TOM)), MONDAY + HOUR)
    comparison.deliver(one, file(comparison, view(MONDAY), view(MONDAY + HOUR, 1)), MONDAY + 2 * HOUR)
    comparison.build(MONDAY + 3 * DAY)
    comparison.deliver_roster(one, "hr", roster(teaches(TOM)), MONDAY + 4 * DAY)
    comparison.deliver_roster(one, "sis", roster(learns(BOB, 0, 2)), MONDAY + 5 * DAY)
    comparison.build(MONDAY + 6 * DAY)


def test_a_roster_speaks_for_what_was_never_told(comparison: Comparison, one: Organization) -> None:
    late = MONDAY + 30 * DAY
    comparison.deliver(one, file(comparison, view(late)), late)
    comparison.build(late + HOUR)
    comparison.deliver_roster(one, "sis", roster(learns(BOB), teaches(TOM, 5)), late + 2 * HOUR)
    comparison.deliver(one, file(comparison, view(MONDAY, 1), view(MONDAY + DAY, 2)), late + 3 * HOUR, is_history=True)
    comparison.build(late + DAY)


def test_a_roster_speaks_for_more_once_the_first_events_are_voided(comparison: Comparison, one: Organization) -> None:
    first, second = view(MONDAY), view(MONDAY + 7 * DAY)
    comparison.deliver(one, file(comparison, first, second), MONDAY + 8 * DAY)
    comparison.build(MONDAY + 8 * DAY)
    comparison.deliver_roster(one, "sis", roster(learns(BOB, -5), learns(EVE, -5)), MONDAY + 15 * DAY)
    comparison.deliver(one, file(comparison, void(first, MONDAY + 8 * DAY)), MONDAY + 15 * DAY, is_history=True)
    comparison.build(MONDAY + 15 * DAY + HOUR)
    comparison.deliver_roster(one, "sis", roster(learns(BOB, -5), teaches(TOM, -5)), MONDAY + 15 * DAY + 2 * HOUR)
    comparison.deliver(one, file(comparison, view(MONDAY, 1)), MONDAY + 15 * DAY + 3 * HOUR, is_history=True)
    comparison.build(MONDAY + 16 * DAY)


def test_a_course_is_left_to_its_events_where_no_roster_names_it(comparison: Comparison, one: Organization) -> None:
    elsewhere = {"context": {"contextActivities": {"parent": [COURSES[1]]}}}
    comparison.deliver_roster(one, "sis", roster(learns(EVE)), MONDAY)
    events = [view(MONDAY), view(MONDAY, **elsewhere), view(MONDAY + HOUR, 1, **elsewhere)]
    completed = about_the_course(ADL + "completed", MONDAY + DAY)
    comparison.deliver(one, file(comparison, *events, completed), MONDAY + 2 * DAY)
    comparison.build(MONDAY + 10 * DAY)


def test_identities_that_turn_out_to_be_one_person_are_told_as_one_in_open_weeks(
    comparison: Comparison, one: Organization
) -> None:
    comparison.deliver_roster(one, "sis", roster(learns(ANN), teaches(TOM), users=(ANN, TOM)), MONDAY)
    elsewhere = view(MONDAY, 1, context={"contextActivities": {"parent": [COURSES[1]]}})
    comparison.deliver(one, file(comparison, elsewhere), MONDAY + HOUR)
    for number in (0, 8, 15):
        events = [view(MONDAY + number * DAY + minutes * HOUR / 60, minutes % 2) for minutes in range(4)]
        comparison.deliver(one, file(comparison, *events), MONDAY + number * DAY + 2 * HOUR)
    comparison.build(MONDAY + 14 * DAY + HOUR)
    comparison.configure_source(one, "hr", OPTIONS, MONDAY)
    both = Delivery(True, (User("7", "ann@example.org", "bob 1"),), (), (), ())
    comparison.deliver_roster(one, "hr", both, MONDAY + 15 * DAY + 3 * HOUR)
    assert [merge.rekeyed_from for merge in one.expected.people.merges] == [day(7)]
    comparison.build(MONDAY + 15 * DAY + 4 * HOUR)
    late = [view(MONDAY + 16 * DAY), view(MONDAY + 16 * DAY, 1)]
    comparison.deliver(one, file(comparison, *late), MONDAY + 17 * DAY)
    comparison.deliver(one, file(comparison, view(MONDAY + HOUR, 1)), MONDAY + 17 * DAY, is_history=True)
    comparison.build(MONDAY + 18 * DAY)


def test_a_trainers_two_identities_become_one_trainer(comparison: Comparison, one: Organization) -> None:
    other = {"account": {"homePage": CLUB, "name": "c-7"}}
    comparison.deliver_roster(one, "sis", roster(learns(ANN), teaches(TOM)), MONDAY)
    graded = grading(MONDAY + HOUR)
    comparison.deliver(
        one, file(comparison, view(MONDAY), graded, grading(MONDAY + HOUR) | {"actor": other}), MONDAY + 2 * HOUR
    )
    comparison.build(MONDAY + DAY)
    comparison.configure_source(one, "club", Options((IdentityRule("mbox"), IdentityRule("account", CLUB))), MONDAY)
    comparison.deliver_roster(one, "club", Delivery(True, (User("c-7", "teacher@example.org"),)), MONDAY + DAY)
    comparison.build(MONDAY + 2 * DAY)


def test_a_merge_reaches_what_was_collected_but_not_built(comparison: Comparison, one: Organization) -> None:
    comparison.deliver(one, file(comparison, view(MONDAY), view(MONDAY + HOUR, 1)), MONDAY + 2 * HOUR)
    comparison.deliver_roster(one, "sis", roster(users=(User("ann", "ann@example.org", "bob 1"),)), MONDAY + 3 * HOUR)
    comparison.build(MONDAY + 4 * HOUR)
    comparison.deliver(one, file(comparison, view(MONDAY + DAY, 1)), MONDAY + DAY)
    comparison.build(MONDAY + 2 * DAY)


def test_a_week_with_people_who_are_to_be_told_anew_is_not_sealed(comparison: Comparison, one: Organization) -> None:
    comparison.deliver(one, file(comparison, view(MONDAY), view(MONDAY + HOUR, 1)), MONDAY + 2 * HOUR)
    comparison.build(MONDAY + 2 * DAY)
    both = (User("ann", "ann@example.org", "bob 1"),)
    comparison.deliver_roster(one, "sis", roster(learns(ANN), users=both), MONDAY + 13 * DAY)
    comparison.product.seal(MONDAY + 14 * DAY)
    assert comparison.product.week_states(one.slug) == {MONDAY.date(): "open"}
    comparison.build(MONDAY + 14 * DAY)
    assert one.expected.week_states == {MONDAY.date(): "sealed"}


def test_a_roster_that_turns_out_to_speak_for_more_says_it_of_those_days_too(
    comparison: Comparison, one: Organization
) -> None:
    comparison.deliver_roster(one, "sis", roster(learns(BOB, -5), learns(EVE, -5)), MONDAY)
    first, second = view(MONDAY), view(MONDAY + 3 * DAY)
    comparison.deliver(one, file(comparison, first, second), MONDAY + 4 * DAY)
    comparison.build(MONDAY + 4 * DAY)
    late = MONDAY + 15 * DAY
    comparison.deliver_roster(one, "sis", roster(learns(EVE, 2)), late)
    comparison.deliver(one, file(comparison, void(first, late)), late, is_history=True)
    comparison.build(late + HOUR)
    comparison.deliver_roster(one, "sis", roster(learns(EVE, 2), teaches(TOM, -5)), late + 2 * HOUR)
    comparison.deliver(one, file(comparison, view(MONDAY + DAY, 1)), late + 3 * HOUR, is_history=True)
    comparison.build(late + 4 * HOUR)


@pytest.mark.parametrize(
    "moment",
    [
        *(pytest.param(name, marks=pytest.mark.exhaustive) for name in ("audit_raw", "stage_two", "audit_candidates")),
        "stage_three",
        "publish",
    ],
)
def test_a_roster_that_arrives_while_a_build_is_on_its_way_is_not_lost(
    comparison: Comparison, one: Organization, moment: str
) -> None:
    comparison.deliver_roster(one, "sis", roster(learns(ANN), teaches(TOM)), MONDAY)
    comparison.deliver(one, file(comparison, view(MONDAY), view(MONDAY + HOUR, 1)), MONDAY + DAY)
    comparison.build(MONDAY + DAY)
    comparison.deliver(one, file(comparison, view(MONDAY + DAY)), MONDAY + DAY + HOUR)

    def interrupt(step: str) -> None:
        if step == moment:
            merged = User("ann", "ann@example.org", "bob 1")
            comparison.deliver_roster(
                one, "sis", roster(learns(ANN, 1), learns(EVE), users=(merged, EVE)), MONDAY + DAY + 2 * HOUR
            )

    comparison.build_with_interruptions(MONDAY + DAY + HOUR, interrupt)
    comparison.build(MONDAY + DAY + 3 * HOUR)


def test_rosters_of_two_organizations_do_not_meet(comparison: Comparison, one: Organization) -> None:
    other = comparison.add_organization("UTC", MONDAY)
    comparison.configure_source(other, "sis", OPTIONS, MONDAY)
    comparison.deliver_roster(one, "sis", roster(learns(ANN), learns(BOB), teaches(TOM)), MONDAY)
    for organization in (one, other):
        events = [view(MONDAY + HOUR), view(MONDAY + HOUR, 1), grading(MONDAY + HOUR)]
        comparison.deliver(organization, file(comparison, *events), MONDAY + DAY)
    comparison.build(MONDAY + 2 * DAY)
    comparison.deliver_roster(other, "sis", roster(learns(EVE), teaches(ANN)), MONDAY + 2 * DAY)
    comparison.build(MONDAY + 9 * DAY)
