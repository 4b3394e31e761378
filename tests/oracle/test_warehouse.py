from __future__ import annotations

import uuid
from datetime import date
from typing import Any

from oracle.figures import ALL_COURSES, Key
from oracle.histories import calendar, instant, statement
from oracle.statements import VOIDED
from oracle.warehouse import Unreadable, Warehouse

WEEK = date(2026, 3, 2)
IN_WEEK = "2026-03-03T10:00:00Z"
DURING = instant("2026-03-04 00:00")
DUE = instant("2026-03-16 00:00")
LATER = instant("2026-03-20 00:00")


def warehouse() -> Warehouse:
    return Warehouse(calendar())


def void_of(target: dict[str, Any], timestamp: str = IN_WEEK) -> dict[str, Any]:
    return statement(timestamp, VOIDED, object={"objectType": "StatementRef", "id": target["id"]})


def events_on(found: Warehouse, day: date) -> int:
    key = Key("mbox:mailto:ann@example.org", ALL_COURSES, "day", day)
    row = found.figures().stage_three.get(key)
    return 0 if row is None else row["event_count"]


def test_every_record_is_accepted_a_duplicate_or_quarantined() -> None:
    event = statement(IN_WEEK)
    outcome = warehouse().collect(
        [event, dict(event), event | {"object": {"id": "other"}}, {}, Unreadable("malformed")], DURING
    )
    assert (outcome.read, outcome.accepted, outcome.duplicates) == (5, 1, 1)
    assert outcome.quarantined == {"conflict": 1, "missing_id": 1, "malformed": 1}


def test_a_changed_timestamp_in_another_open_week_is_a_conflict() -> None:
    found = warehouse()
    event = statement(IN_WEEK)
    assert found.collect([event, event | {"timestamp": "2026-02-27T10:00:00Z"}], DURING).quarantined == {"conflict": 1}


def test_the_same_id_in_two_organizations_is_two_events() -> None:
    event = statement(IN_WEEK)
    assert warehouse().collect([event], DURING).accepted == warehouse().collect([event], DURING).accepted == 1


def test_a_week_takes_events_until_it_is_due_and_then_only_while_it_is_open() -> None:
    found = warehouse()
    just_before = instant("2026-03-15 23:59")
    assert found.collect([statement(IN_WEEK)], just_before).accepted == 1
    assert found.seal(just_before) == []
    assert found.collect([statement(IN_WEEK)], DUE).accepted == 1, "due, but not sealed yet"
    assert found.seal(DUE) == [WEEK]
    assert found.collect([statement(IN_WEEK)], DUE).quarantined == {"too_late": 1}
    assert warehouse().collect([statement(IN_WEEK)], DUE).quarantined == {"too_late": 1}, "never built, and due"


def test_history_opens_what_was_never_built_and_restores_what_was_sealed() -> None:
    found = warehouse()
    assert found.collect([statement(IN_WEEK)], LATER, is_history=True).accepted == 1
    assert found.seal(LATER) == [WEEK]
    assert found.collect([statement(IN_WEEK)], LATER, is_history=True).accepted == 1
    assert found.open_weeks == {WEEK}
    assert found.seal(LATER) == [WEEK]


def test_an_event_may_be_five_minutes_ahead_of_the_clock() -> None:
    at = instant("2026-03-03 09:55")
    assert warehouse().collect([statement(IN_WEEK)], at).accepted == 1
    ahead = statement("2026-03-03T10:00:00.000001Z")
    assert warehouse().collect([ahead], at).quarantined == {"in_the_future": 1}


def test_what_is_older_than_seven_years_is_refused_even_as_history() -> None:
    old = statement("2019-03-03T23:59:59Z")
    assert warehouse().collect([old], DURING, is_history=True).quarantined == {"older_than_retention": 1}
    assert warehouse().collect([statement("2019-03-04T00:00:00Z")], DURING, is_history=True).accepted == 1


def test_a_replay_settles_what_it_can_and_leaves_the_rest() -> None:
    found = warehouse()
    event = statement(IN_WEEK)
    found.collect([event], DURING)
    found.seal(DUE)
    late = statement(IN_WEEK)
    found.collect([late, dict(late), event, late | {"object": {"id": "other"}}, Unreadable("malformed")], LATER)
    outcome = found.replay(LATER, "too_late")
    assert (outcome.read, outcome.accepted, outcome.duplicates) == (4, 1, 2)
    assert outcome.quarantined == {"conflict": 1}
    assert [one.reason for one in found.quarantine if not one.is_resolved] == ["too_late", "malformed"]
    found.build(LATER)
    assert events_on(found, date(2026, 3, 3)) == 2


def test_a_replay_that_settles_nothing_leaves_the_week_sealed() -> None:
    found = warehouse()
    event = statement(IN_WEEK)
    found.collect([event, event | {"object": {"id": "other"}}], DURING)
    found.seal(DUE)
    assert found.replay(LATER, "conflict").quarantined == {"conflict": 1}
    assert found.week_states == {WEEK: "sealed"}


def test_a_void_counts_before_and_after_its_target_and_is_never_counted_itself() -> None:
    for order in (1, -1):
        found = warehouse()
        target, other = statement(IN_WEEK), statement(IN_WEEK)
        found.collect([target, void_of(target), other][::order], DURING)
        found.build(DURING)
        assert events_on(found, date(2026, 3, 3)) == 1


def test_a_void_of_a_void_has_no_effect() -> None:
    found = warehouse()
    target = statement(IN_WEEK)
    void = void_of(target)
    found.collect([target, void, void_of(void)], DURING)
    found.build(DURING)
    assert events_on(found, date(2026, 3, 3)) == 0


def test_a_void_of_an_event_of_a_sealed_week_is_too_late_until_history_reopens_the_week() -> None:
    found = warehouse()
    target = statement(IN_WEEK)
    found.collect([target], DURING)
    found.seal(DUE)
    assert found.collect([void_of(target, "2026-03-17T10:00:00Z")], LATER).quarantined == {"void_too_late": 1}
    assert found.replay(LATER, "void_too_late").accepted == 1
    found.build(LATER)
    assert events_on(found, date(2026, 3, 3)) == 0
    assert found.open_weeks == {WEEK, date(2026, 3, 16)}


def test_closed_days_follow_the_greatest_clock_of_any_build() -> None:
    found = warehouse()
    found.build(DUE)
    found.build(DURING)
    assert found.closed_through == date(2026, 3, 15)


def test_statement_ids_are_compared_as_uuids() -> None:
    event = statement(IN_WEEK)
    shouted = event | {"id": str(uuid.UUID(event["id"])).upper()}
    assert warehouse().collect([event, shouted], DURING).duplicates == 1
