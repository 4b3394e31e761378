"""Rosters and trainers by hand: two courses, a few people, days in March 2026 (the 2nd is a Monday)."""

from __future__ import annotations

from datetime import date
from typing import Any

from oracle.figures import ALL_COURSES, Figures, Key, Row, Scope
from oracle.histories import calendar, instant, statement
from oracle.rosters import Class, Delivery, Enrollment, IdentityRule, Options, Role, Term, User
from oracle.warehouse import Warehouse

ADL = "http://adlnet.gov/expapi/verbs/"
SCHOOL = "https://school.example.org"
COURSE = "https://lms.example/courses/c1"
C1 = Scope(False, COURSE)
ANN, BOB, TOM = (f"mbox:mailto:{name}@example.org" for name in ("ann", "bob", "tom"))
USERS = tuple(User(name, f"{name.title()}@example.org") for name in ("ann", "bob", "tom"))
OPTIONS = Options((IdentityRule("mbox"),), ("https://lms.example/courses/{sourced_id}",))


def enrollment(name: str, begins: str | None = None, ends: str | None = None, **changes: Any) -> Enrollment:
    """A learner of the class `c1`."""
    days = {
        "begins_on": None if begins is None else date.fromisoformat(begins),
        "ends_on": None if ends is None else date.fromisoformat(ends),
    }
    role: Role = "learner"
    return Enrollment(**{"sourced_id": f"e-{name}", "class_id": "c1", "user_id": name, "role": role, **days, **changes})


def roster(*enrollments: Enrollment, is_full: bool = True, terms: tuple[Term, ...] = ()) -> Delivery:
    return Delivery(is_full, USERS, terms, (Class("c1", tuple(term.sourced_id for term in terms)),), enrollments)


def warehouse(*, zone: str = "UTC") -> Warehouse:
    found = Warehouse(calendar(zone))
    found.configure_source("sis", OPTIONS)
    return found


def event(at: str, name: str = "ann", verb: str = ADL + "experienced", **changes: Any) -> dict[str, Any]:
    parent = {"id": COURSE, "definition": {"type": "http://adlnet.gov/expapi/activities/course"}}
    return statement(
        f"{at}:00Z".replace(" ", "T"),
        verb,
        actor={"mbox": f"mailto:{name}@example.org"},
        context={"contextActivities": {"parent": [parent]}} | changes.pop("context", {}),
        **changes,
    )


def collect(found: Warehouse, at: str, *events: dict[str, Any]) -> None:
    outcome = found.collect(list(events), instant(at))
    assert outcome.accepted == len(events), outcome


def build(found: Warehouse, at: str) -> Figures:
    found.build(instant(at))
    return found.figures()


def organization(found: Figures, day: str, period_type: str = "day") -> Row:
    return found.stage_three[Key(None, ALL_COURSES, period_type, date.fromisoformat(day))]


def trainer(found: Figures, day: str, period_type: str = "day", subject: str = TOM) -> Row:
    return found.stage_three[Key(subject, C1, period_type, date.fromisoformat(day), is_trainer=True)]


def enrolled(found: Figures) -> dict[str, int]:
    """Enrollments that are open, by day of March."""
    return {str(day.day): row["enrollments_open"] for day, row in sorted(found.organization_days.items())}


# What a roster speaks for


def test_who_is_on_the_roster_and_never_comes_is_at_risk() -> None:
    found = warehouse()
    found.deliver_roster("sis", roster(enrollment("bob", "2026-03-02")), instant("2026-03-02 08:00"))
    collect(found, "2026-03-12 00:00", event("2026-03-02 10:00"), event("2026-03-11 10:00"))
    figures = build(found, "2026-03-12 00:00")
    assert [organization(figures, f"2026-03-{day}")["learners_at_risk"] for day in ("08", "09", "11")] == [0, 1, 1]
    assert not [key for key in figures.stage_three if key.subject == BOB]


def test_where_a_roster_speaks_events_enroll_nobody() -> None:
    found = warehouse()
    found.deliver_roster("sis", roster(enrollment("bob", "2026-03-02")), instant("2026-03-02 08:00"))
    other = {"contextActivities": {"parent": [{"id": "https://lms.example/courses/other"}]}}
    collect(found, "2026-03-04 00:00", event("2026-03-02 10:00"), event("2026-03-02 10:00", "tom", context=other))
    figures = build(found, "2026-03-04 00:00")
    assert enrolled(figures) == {"2": 2, "3": 2}, "bob by the roster, tom by an event of another course"
    row = figures.stage_three[Key(ANN, C1, "week", date(2026, 3, 2))]
    assert (row["is_enrolled"], row["enrolled_on"], row["is_at_risk"]) == (False, None, False)


def test_completion_does_not_end_a_roster_enrollment() -> None:
    found = warehouse()
    found.deliver_roster("sis", roster(enrollment("ann", "2026-03-02")), instant("2026-03-02 08:00"))
    collect(found, "2026-03-20 00:00", event("2026-03-09 10:00", verb=ADL + "completed", object={"id": COURSE}))
    figures = build(found, "2026-03-20 00:00")
    row = organization(figures, "2026-03-19")
    assert (row["enrollments_open"], row["enrollments_completed"], row["completion_rate"]) == (1, 1, 1)
    assert row["learners_at_risk"] == 0


def test_days_from_begin_to_the_day_before_the_end_are_enrolled() -> None:
    found = warehouse()
    found.deliver_roster("sis", roster(enrollment("bob", "2026-03-03", "2026-03-05")), instant("2026-03-02 08:00"))
    collect(found, "2026-03-06 00:00", event("2026-03-02 10:00"))
    figures = build(found, "2026-03-06 00:00")
    assert enrolled(figures) == {"2": 0, "3": 1, "4": 1, "5": 0}
    assert [organization(figures, f"2026-03-0{day}")["enrollments_new"] for day in (2, 3, 4, 5)] == [0, 1, 0, 0]


def test_without_begin_it_is_the_earliest_term_or_the_day_that_first_named_the_enrollment() -> None:
    terms = (Term("spring", date(2026, 3, 4)), Term("autumn", date(2026, 9, 1)))
    for delivered, expected in ((terms, {"3": 0, "4": 1, "5": 1}), ((), {"3": 0, "4": 0, "5": 1})):
        found = warehouse(zone="Asia/Kathmandu")
        collect(found, "2026-03-03 08:00", event("2026-03-02 20:00", "tom", context={"contextActivities": {}}))
        found.deliver_roster("sis", roster(enrollment("bob"), terms=delivered), instant("2026-03-04 20:00"))
        found.deliver_roster("sis", roster(enrollment("bob"), terms=delivered), instant("2026-03-07 20:00"))
        assert enrolled(build(found, "2026-03-05 20:00")) == expected, "20:00 UTC is the next day in Kathmandu"


def test_an_enrollment_that_a_full_delivery_leaves_out_ends_that_day_once_and_for_all() -> None:
    found = warehouse()
    found.deliver_roster("sis", roster(enrollment("bob", "2026-03-02")), instant("2026-03-02 08:00"))
    collect(found, "2026-03-03 00:00", event("2026-03-02 10:00"))
    for day in ("04", "06"):
        found.deliver_roster("sis", roster(), instant(f"2026-03-{day} 08:00"))
    assert enrolled(build(found, "2026-03-08 00:00")) == {"2": 1, "3": 1, "4": 0, "5": 0, "6": 0, "7": 0}


def test_a_delta_ends_only_what_it_deletes() -> None:
    found = warehouse()
    both = roster(enrollment("ann", "2026-03-02"), enrollment("bob", "2026-03-02"))
    found.deliver_roster("sis", both, instant("2026-03-02 08:00"))
    collect(found, "2026-03-03 00:00", event("2026-03-02 10:00"))
    deleted = enrollment("bob", "2026-03-02", is_deleted=True)
    for day in ("04", "05"):
        found.deliver_roster("sis", roster(deleted, is_full=False), instant(f"2026-03-{day} 08:00"))
    assert enrolled(build(found, "2026-03-06 00:00")) == {"2": 2, "3": 2, "4": 1, "5": 1}
    found.deliver_roster("sis", roster(enrollment("bob", "2026-03-02"), is_full=False), instant("2026-03-06 08:00"))
    assert enrolled(build(found, "2026-03-06 09:00")) == {"2": 2, "3": 2, "4": 2, "5": 2}, (
        "it never ended, says the last"
    )


def test_a_day_that_is_over_stays_as_the_delivery_that_last_spoke_for_it_said() -> None:
    found = warehouse()
    found.deliver_roster("sis", roster(enrollment("bob", "2026-03-02")), instant("2026-03-02 08:00"))
    collect(found, "2026-03-03 00:00", event("2026-03-02 10:00"))
    build(found, "2026-03-03 00:00")
    other = roster(enrollment("bob", "2026-03-04"), enrollment("ann", "2026-02-01"))
    found.deliver_roster("sis", other, instant("2026-03-15 23:59"))
    assert enrolled(build(found, "2026-03-16 00:00"))["2"] == 1, "the week still took events: ann instead of bob"
    found.deliver_roster("sis", roster(), instant("2026-03-16 00:00"))
    late = build(found, "2026-03-17 00:00")
    assert [enrolled(late)[day] for day in ("2", "4", "8", "9", "15", "16")] == [1, 2, 2, 2, 2, 0]
    found.deliver_roster("sis", roster(enrollment("ann", "2026-02-01")), instant("2026-03-16 09:00"))
    assert [enrolled(build(found, "2026-03-17 00:00"))[day] for day in ("8", "15", "16")] == [2, 2, 1]


def test_a_roster_speaks_for_every_day_before_the_first_that_was_published() -> None:
    found = warehouse()
    collect(found, "2026-03-20 10:00", event("2026-03-20 10:00", "tom"))
    build(found, "2026-03-20 11:00")
    found.deliver_roster("sis", roster(enrollment("bob", "2026-02-01")), instant("2026-03-30 12:00"))
    found.collect([event("2026-03-02 10:00", "tom")], instant("2026-03-30 13:00"), is_history=True)
    figures = build(found, "2026-04-01 00:00")
    assert organization(figures, "2026-03-02")["enrollments_open"] == 1, "bob"
    assert organization(figures, "2026-03-19")["enrollments_open"] == 1, "bob, the last day before the first published"
    assert organization(figures, "2026-03-20")["enrollments_open"] == 1, "tom, by his events: nobody speaks for the day"
    assert organization(figures, "2026-03-22")["enrollments_open"] == 1, "tom still"
    assert organization(figures, "2026-03-23")["enrollments_open"] == 1, "bob: the week still took events"
    rows = [figures.organization_days[date(2026, 3, day)] for day in (2, 19, 20, 23)]
    assert [row["enrollments_new"] for row in rows] == [0, 0, 1, 1]


def test_of_several_sources_any_enrolls() -> None:
    found = warehouse()
    found.configure_source("hr", OPTIONS)
    found.deliver_roster("sis", roster(enrollment("bob", "2026-03-02", "2026-03-04")), instant("2026-03-02 08:00"))
    found.deliver_roster("hr", roster(enrollment("bob", "2026-03-05")), instant("2026-03-02 09:00"))
    collect(found, "2026-03-06 00:00", event("2026-03-02 10:00"))
    assert enrolled(build(found, "2026-03-06 00:00")) == {"2": 1, "3": 1, "4": 0, "5": 1}
    found.deliver_roster("hr", roster(), instant("2026-03-05 09:00"))
    assert enrolled(build(found, "2026-03-06 00:00")) == {"2": 1, "3": 1, "4": 0, "5": 0}, "sis has said nothing new"


def test_two_enrollments_of_one_person_in_one_class_are_united() -> None:
    found = warehouse()
    parts = (enrollment("bob", "2026-03-02", "2026-03-04"), enrollment("bob", "2026-03-03", sourced_id="e-2"))
    found.deliver_roster("sis", roster(*parts), instant("2026-03-02 08:00"))
    collect(found, "2026-03-06 00:00", event("2026-03-02 10:00"))
    figures = build(found, "2026-03-06 00:00")
    assert enrolled(figures) == {"2": 1, "3": 1, "4": 1, "5": 1}
    assert organization(figures, "2026-03-03")["enrollments_new"] == 0


# Who is who


def test_an_account_is_claimed_by_the_rules_of_its_source() -> None:
    rules = (IdentityRule("account", SCHOOL, "username"), IdentityRule("account", SCHOOL + "/id", "sourced_id"))
    found = warehouse()
    found.configure_source("sis", Options(rules))
    found.deliver_roster("sis", Delivery(users=(User("7", "seven@example.org", "bob 1"),)), instant("2026-03-02 08:00"))
    seven = found.people.met(f"account:{SCHOOL} bob 1")
    assert found.people.met(f"account:{SCHOOL}/id 7") == seven
    assert found.people.met("mbox:mailto:seven@example.org") != seven, "this source has no rule for e-mail"


def test_a_merge_tells_open_weeks_anew_and_leaves_earlier_rows_alone() -> None:
    found = warehouse()
    account = {"actor": {"account": {"homePage": SCHOOL, "name": "ann"}}}
    collect(found, "2026-03-03 00:00", event("2026-03-02 10:00"), event("2026-03-02 10:00") | account)
    collect(found, "2026-03-10 00:00", event("2026-03-09 10:00"), event("2026-03-09 10:00") | account)
    build(found, "2026-03-10 00:00")
    found.configure_source("sis", Options((IdentityRule("mbox"), IdentityRule("account", SCHOOL))))
    found.deliver_roster("sis", Delivery(users=USERS), instant("2026-03-16 00:00"))
    figures = build(found, "2026-03-16 00:00")
    days = {
        (user, day.day): row["event_count"] for (user, scope, day), row in figures.learner_days.items() if scope.is_all
    }
    other = f"account:{SCHOOL} ann"
    assert days == {(ANN, 2): 1, (other, 2): 1, (ANN, 9): 2}
    assert found.people.met(other) == ANN
    month = figures.stage_three[Key(other, ALL_COURSES, "month", date(2026, 3, 1))]
    assert month["event_count"] == 1
    assert organization(figures, "2026-03-01", "month")["learners_active"] == 2


def test_nobody_is_enrolled_as_a_user_that_was_merged() -> None:
    found = warehouse()
    account = {"actor": {"account": {"homePage": SCHOOL, "name": "ann"}}}
    collect(found, "2026-03-03 00:00", event("2026-03-02 10:00"), event("2026-03-02 10:00") | account)
    assert enrolled(build(found, "2026-03-04 00:00")) == {"2": 2, "3": 2}
    found.configure_source("sis", Options((IdentityRule("mbox"), IdentityRule("account", SCHOOL))))
    found.deliver_roster("sis", Delivery(users=USERS), instant("2026-03-16 00:00"))
    figures = build(found, "2026-03-20 00:00")
    assert [enrolled(figures)[day] for day in ("8", "9", "19")] == [2, 1, 1]
    assert [organization(figures, f"2026-03-{day}")["learners_at_risk"] for day in ("09", "19")] == [1, 1]


def test_of_several_users_the_one_stays_that_a_roster_has_named_else_the_one_seen_first() -> None:
    found = warehouse()
    account = f"account:{SCHOOL} x"
    for identity in (account, ANN, BOB):
        found.people.met(identity)
    found.configure_source("hr", Options((IdentityRule("account", SCHOOL, "username"), IdentityRule("mbox"))))
    hr = (User("1", "ann@example.org", "x"), User("2", "bob@example.org", "y"))
    found.deliver_roster("hr", Delivery(users=hr), instant("2026-03-02 08:00"))
    assert found.people.met(ANN) == account, "seen first"
    assert found.people.met(f"account:{SCHOOL} y") == BOB
    found.configure_source("sis", Options((IdentityRule("account", SCHOOL, "username"), IdentityRule("mbox"))))
    found.people.met(f"account:{SCHOOL} z")
    sis = (User("9", "bob@example.org", "z"),)
    found.deliver_roster("sis", Delivery(users=sis), instant("2026-03-02 08:00"), [f"account:{SCHOOL} z", BOB])
    assert found.people.met(f"account:{SCHOOL} z") == BOB, "named by another roster"


def test_users_that_rosters_have_named_stay_apart() -> None:
    found = warehouse()
    found.configure_source("hr", Options((IdentityRule("account", SCHOOL, "username"), IdentityRule("mbox"))))
    found.deliver_roster("sis", Delivery(users=USERS), instant("2026-03-02 08:00"))
    found.deliver_roster("hr", Delivery(users=(User("1", None, "ann"),)), instant("2026-03-02 08:00"))
    found.deliver_roster("hr", Delivery(users=(User("1", "ann@example.org", "ann"),)), instant("2026-03-02 09:00"))
    assert found.people.met(f"account:{SCHOOL} ann") == f"account:{SCHOOL} ann"
    assert found.people.met(ANN) == ANN
    assert found.people.merges == []


def test_an_identity_that_two_people_of_a_roster_claim_is_nobodys() -> None:
    found = warehouse()
    found.configure_source("hr", Options((IdentityRule("account", SCHOOL, "username"), IdentityRule("mbox"))))
    both = (User("1", "ann@example.org", "one"), User("2", "ann@example.org", "two"))
    found.deliver_roster("hr", Delivery(users=both), instant("2026-03-02 08:00"))
    found.deliver_roster("hr", Delivery(users=(User("3", None, "two"),)), instant("2026-03-02 09:00"))
    names = [found.people.met(identity) for identity in (ANN, f"account:{SCHOOL} one", f"account:{SCHOOL} two")]
    assert names == [ANN, f"account:{SCHOOL} one", f"account:{SCHOOL} two"]


def test_an_enrollment_that_is_first_told_as_deleted_is_none() -> None:
    found = warehouse()
    found.deliver_roster("sis", roster(), instant("2026-03-02 08:00"))
    deleted = enrollment("bob", "2026-03-02", is_deleted=True)
    found.deliver_roster("sis", roster(deleted, is_full=False), instant("2026-03-04 08:00"))
    collect(found, "2026-03-03 00:00", event("2026-03-02 10:00"))
    assert enrolled(build(found, "2026-03-05 00:00")) == {"2": 0, "3": 0, "4": 0}


def test_a_term_that_moves_does_not_move_enrollments_that_were_told_before() -> None:
    found = warehouse()
    terms = [(Term("term", date(2026, 3, day)),) for day in (3, 4)]
    found.deliver_roster("sis", roster(enrollment("bob"), terms=terms[0]), instant("2026-03-02 08:00"))
    moved = roster(enrollment("ann"), is_full=False, terms=terms[1])
    found.deliver_roster("sis", moved, instant("2026-03-02 09:00"))
    collect(found, "2026-03-03 00:00", event("2026-03-02 10:00"))
    assert enrolled(build(found, "2026-03-05 00:00")) == {"2": 0, "3": 1, "4": 2}


def test_a_class_is_the_course_of_its_activity_whoever_comes_first() -> None:
    for is_first in (True, False):
        found = warehouse()
        if is_first:
            found.deliver_roster("sis", roster(), instant("2026-03-02 08:00"))
        collect(found, "2026-03-03 00:00", event("2026-03-02 10:00", verb=ADL + "passed", object={"id": COURSE}))
        if not is_first:
            found.deliver_roster("sis", roster(), instant("2026-03-03 08:00"))
        figures = build(found, "2026-03-04 00:00")
        assert figures.learner_days[ANN, C1, date(2026, 3, 2)]["completions"] == 1
        assert enrolled(figures) == {"2": 0, "3": 0}, "the roster names nobody"


# Trainers


def a_class(*enrollments: Enrollment) -> Warehouse:
    """Ann and bob learn, tom teaches."""
    found = warehouse()
    teaching = enrollment("tom", "2026-03-02", role="trainer")
    learning = (enrollment("ann", "2026-03-02"), enrollment("bob", "2026-03-03"))
    found.deliver_roster("sis", roster(teaching, *learning, *enrollments), instant("2026-03-02 08:00"))
    return found


def test_a_trainer_has_a_row_for_every_closed_day_of_teaching() -> None:
    found = a_class()
    collect(found, "2026-03-02 12:00", event("2026-03-02 10:00"))
    figures = build(found, "2026-03-05 00:00")
    assert sorted(day.day for user, _, day in figures.trainer_days if user == TOM) == [2, 3, 4]
    quiet = trainer(figures, "2026-03-03")
    assert (quiet["learners_assigned"], quiet["learners_active"], quiet["activity_rate"]) == (2, 0, 0)
    assert (quiet["time_on_task_seconds"], quiet["time_on_task_seconds_per_active_learner"]) == (None, None)
    assert (quiet["active_days"], quiet["is_active"], quiet["score_mean"]) == (0, False, None)


def test_a_trainers_figures_are_those_of_the_assigned_learners() -> None:
    found = a_class()
    collect(
        found,
        "2026-03-03 12:00",
        event("2026-03-02 10:00"),
        event("2026-03-02 10:02"),
        event("2026-03-02 10:00", "bob"),
        event("2026-03-02 10:00", "eve"),
        event("2026-03-02 10:00", verb=ADL + "passed", object={"id": COURSE}, result={"score": {"scaled": 1}}),
        event("2026-03-02 10:00", "bob", verb=ADL + "passed", object={"id": "quiz"}, result={"score": {"scaled": -1}}),
    )
    row = trainer(build(found, "2026-03-03 00:00"), "2026-03-02")
    assert (row["learners_assigned"], row["learners_active"], row["activity_rate"]) == (1, 1, 1), "bob begins tomorrow"
    assert (row["completions"], row["score_sum"], row["score_count"], row["score_mean"]) == (1, 1, 1, 1)
    assert (row["time_on_task_seconds"], row["time_on_task_seconds_per_active_learner"]) == (180, 180)


def test_reviews_and_posts_are_the_trainers_own() -> None:
    found = a_class()
    instructor = {"context": {"instructor": {"mbox": "mailto:tom@example.org"}}}
    in_course = {"contextActivities": {"parent": [{"id": COURSE}]}}
    agent = {"objectType": "Agent", "mbox": "mailto:ann@example.org"}
    graded = event("2026-03-02 11:00", "ann", verb=ADL + "scored", context=in_course | instructor["context"])
    collect(
        found,
        "2026-03-03 12:00",
        event("2026-03-02 10:00", "tom", verb=ADL + "scored", object=agent),
        graded,
        event("2026-03-02 11:00", "bob", verb=ADL + "scored", object=agent),
        event("2026-03-02 11:00", "ann", context=in_course | instructor["context"]),
        event("2026-03-02 11:00", "tom", verb=ADL + "commented"),
        event("2026-03-02 11:00", "ann", verb=ADL + "commented", context=in_course | instructor["context"]),
        event("2026-03-02 11:00", "tom", verb=ADL + "commented", context={"contextActivities": {}}),
    )
    row = trainer(build(found, "2026-03-03 00:00"), "2026-03-02")
    assert (row["attempts_reviewed"], row["contributions"]) == (2, 1)


def test_trainers_who_swap_in_mid_week_each_have_their_days() -> None:
    found = warehouse()
    first = enrollment("tom", "2026-03-02", "2026-03-04", role="trainer")
    second = enrollment("eva", "2026-03-04", role="trainer")
    learner = enrollment("ann", "2026-03-02")
    people = Delivery(True, (*USERS, User("eva", "eva@example.org")), (), (Class("c1"),), (first, second, learner))
    found.deliver_roster("sis", people, instant("2026-03-02 08:00"))
    collect(found, "2026-03-07 00:00", *(event(f"2026-03-0{day} 10:00") for day in (2, 3, 5)))
    figures = build(found, "2026-03-09 00:00")
    eva = "mbox:mailto:eva@example.org"
    weeks = [trainer(figures, "2026-03-02", "week", subject) for subject in (TOM, eva)]
    assert [row["active_days"] for row in weeks] == [2, 1]
    assert [row["time_on_task_seconds"] for row in weeks] == [120, 60]
    assert [sum(user == one for user, _, _ in figures.trainer_days) for one in (TOM, eva)] == [2, 5]


def test_a_trainers_week_counts_people_once_and_takes_stock_on_its_last_row() -> None:
    found = a_class(enrollment("eva", "2026-03-02", "2026-03-05", user_id="bob", sourced_id="e-3"))
    events = [event(f"2026-03-0{day} 10:00", name) for day, name in ((2, "ann"), (3, "ann"), (3, "bob"))]
    collect(found, "2026-03-04 00:00", *events)
    figures = build(found, "2026-03-12 00:00")
    week = trainer(figures, "2026-03-02", "week")
    assert (week["learners_active"], week["learners_assigned"], week["activity_rate"]) == (2, 2, 1)
    assert (week["active_days"], week["is_active"], week["time_on_task_seconds"]) == (2, True, 180)
    assert week["time_on_task_seconds_per_active_learner"] == 90
    assert week["learners_at_risk"] == 0
    assert trainer(figures, "2026-03-09", "week")["learners_at_risk"] == 2, "nobody came since the 3rd"
    assert trainer(figures, "2026-03-01", "month")["learners_active"] == 2
    assert trainer(figures, "2026-01-01", "year")["active_days"] == 2


def test_only_those_who_teach_that_day_are_active_trainers() -> None:
    found = a_class(enrollment("ann", "2026-03-03", "2026-03-04", role="trainer", sourced_id="e-3"))
    events = [event(f"2026-03-0{day} 10:00", name) for day, name in ((2, "ann"), (3, "ann"), (4, "ann"), (4, "tom"))]
    collect(found, "2026-03-05 00:00", *events)
    figures = build(found, "2026-03-06 00:00")
    assert [figures.organization_days[date(2026, 3, day)]["trainers_active"] for day in (2, 3, 4, 5)] == [0, 1, 1, 0]
    assert organization(figures, "2026-03-02", "week")["trainers_active"] == 2


def test_an_organization_without_events_has_no_rows_whatever_its_roster_says() -> None:
    found = a_class()
    assert build(found, "2026-03-20 00:00").stage_three == {}
