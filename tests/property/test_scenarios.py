"""Cases worth keeping by name, each held against the oracle to the last column."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from lyceum.database import ConnectionTarget
from oracle.calendars import Calendar
from property.comparison import Comparison
from property.histories import LENGTH, PLAYED_SEGMENTS
from property.population import ADL, COURSES, LEARNERS, TEACHER, TIN_CAN, VIDEO
from property.product import Product
from property.spelling import File, encode, exact, pack
from warehouse import SharedServer

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

_ids = count(1)


@pytest.fixture
def comparison(shared_server: SharedServer, template: ConnectionTarget, tmp_path: Path) -> Iterator[Comparison]:
    with shared_server.database(tmp_path / "home", template) as lent:
        yield Comparison(Product(lent))


def view(at: datetime, learner: int = 0, **changes: Any) -> dict[str, Any]:
    """A page viewed in the first course."""
    return {
        "id": str(UUID(int=next(_ids))),
        "actor": LEARNERS[learner],
        "verb": {"id": ADL + "experienced"},
        "object": {"id": "https://example.org/pages/1"},
        "context": {"contextActivities": {"parent": [COURSES[0]]}},
        "timestamp": at.isoformat(),
    } | changes


def about_the_course(verb: str, at: datetime, learner: int = 0) -> dict[str, Any]:
    return view(at, learner, verb={"id": verb}, object=COURSES[0])


def void(target: dict[str, Any], at: datetime, **changes: Any) -> dict[str, Any]:
    return view(
        at,
        actor=TEACHER,
        verb={"id": ADL + "voided"},
        object={"objectType": "StatementRef", "id": target["id"]},
        **changes,
    )


def file(comparison: Comparison, *statements: dict[str, Any]) -> list[File]:
    return [pack(comparison.new_name(), [encode(statement) for statement in statements], "lines")]


def a_month_of_everything(chance: random.Random, end: datetime) -> list[dict[str, Any]]:
    """Six weeks of sittings that end at `end`, with every kind of event, gaps around half an hour and overlapping segments."""
    verbs = {
        "https://example.org/pages/1": [ADL + "experienced", ADL + "interacted", ADL + "asked", "urn:other"],
        "https://example.org/quizzes/1": [ADL + "answered", ADL + "passed", ADL + "failed", ADL + "completed"],
        "https://example.org/quizzes/2": [
            ADL + "answered",
            "http://activitystrea.ms/schema/1.0/submit",
            ADL + "scored",
        ],
        "https://example.org/videos/1": [VIDEO + "verbs/played", VIDEO + "verbs/paused", ADL + "completed"],
        "uuid://video-2": [VIDEO + "verbs/paused", VIDEO + "verbs/seeked"],
        COURSES[0]["id"]: [ADL + "registered", TIN_CAN + "unregistered", ADL + "experienced", ADL + "passed"],
    }
    statements = []
    for _ in range(70):
        learner, course = chance.randrange(4), chance.choice([*COURSES, None])
        at = end - timedelta(minutes=chance.randrange(42 * 24 * 60))
        for _ in range(chance.randrange(1, 6)):
            target = chance.choice(sorted(verbs))
            start, length = chance.randrange(90), chance.randrange(1, 60)
            statement = view(
                at,
                learner,
                verb={"id": chance.choice(verbs[target])},
                object=COURSES[0] if target == COURSES[0]["id"] else {"id": target},
                context={"contextActivities": {"parent": [course]}} if course else {},
                result={
                    "success": chance.random() < 0.5,
                    "score": {"scaled": exact(f"{chance.uniform(-1.2, 1.2):.4f}")},
                },
            )
            if "video" in target:
                played = f"{start}[.]{start + length}[,]{start + 5}[.]{start + 5 + length / 4}"
                statement["result"] = {"extensions": {PLAYED_SEGMENTS: played, LENGTH: chance.choice([40, 60, 100])}}
            statements.append(statement)
            at += chance.choice(
                [timedelta(seconds=40), timedelta(minutes=30), timedelta(minutes=31), timedelta(hours=9)]
            )
    return [one for one in statements if datetime.fromisoformat(one["timestamp"]) <= end]


def test_six_weeks_of_everything_in_three_zones(comparison: Comparison) -> None:
    chance = random.Random(42)
    end = MONDAY + 31 * DAY
    for zone in ("Europe/London", "America/New_York", "Asia/Kathmandu"):
        one = comparison.add_organization(zone, end)
        statements = a_month_of_everything(chance, end)
        chance.shuffle(statements)
        half = len(statements) // 2
        comparison.deliver(one, file(comparison, *statements[:half], *statements[:9]), end, is_history=True)
        comparison.deliver(one, file(comparison, *statements[half - 9 :]), end + HOUR, is_history=True)
    comparison.build(end + 2 * HOUR)
    comparison.build(end + 40 * DAY)


def test_voiding_everything_leaves_nothing(comparison: Comparison) -> None:
    one = comparison.add_organization("Europe/London", MONDAY)
    events = [view(MONDAY), view(MONDAY + DAY, learner=1)]
    comparison.deliver(one, file(comparison, *events), MONDAY + 2 * DAY)
    comparison.build(MONDAY + 3 * DAY)
    comparison.deliver(one, file(comparison, *(void(event, MONDAY + 3 * DAY) for event in events)), MONDAY + 4 * DAY)
    comparison.build(MONDAY + 5 * DAY)
    assert one.expected.figures().stage_three == {}
    comparison.deliver(one, file(comparison, view(MONDAY + 5 * DAY)), MONDAY + 6 * DAY)
    comparison.build(MONDAY + 7 * DAY)


def test_voiding_the_first_event_moves_the_organizations_beginning(comparison: Comparison) -> None:
    one = comparison.add_organization("UTC", MONDAY)
    first = view(MONDAY)
    comparison.deliver(one, file(comparison, first, view(MONDAY + 3 * DAY)), MONDAY + 4 * DAY)
    comparison.build(MONDAY + 5 * DAY)
    comparison.deliver(one, file(comparison, void(first, MONDAY + 5 * DAY)), MONDAY + 5 * DAY)
    comparison.build(MONDAY + 5 * DAY + HOUR)


def test_earlier_history_moves_the_organizations_beginning_back(comparison: Comparison) -> None:
    one = comparison.add_organization("America/New_York", MONDAY)
    comparison.deliver(one, file(comparison, view(MONDAY)), MONDAY + DAY)
    comparison.build(MONDAY + 2 * DAY)
    comparison.deliver(one, file(comparison, view(MONDAY - 100 * DAY)), MONDAY + 2 * DAY, is_history=True)
    comparison.build(MONDAY + 3 * DAY)


def test_of_two_voids_with_one_id_only_the_accepted_one_voids(comparison: Comparison) -> None:
    one = comparison.add_organization("UTC", MONDAY)
    kept, voided = view(MONDAY), view(MONDAY + HOUR)
    first = void(voided, MONDAY + 2 * HOUR)
    second = void(kept, MONDAY + 2 * HOUR, id=first["id"])
    outcome = comparison.deliver(one, file(comparison, kept, voided, first, second), MONDAY + DAY)
    assert outcome.quarantined == {"conflict": 1}
    comparison.build(MONDAY + 2 * DAY)


def test_of_two_early_voids_with_one_id_only_the_accepted_one_waits(comparison: Comparison) -> None:
    one = comparison.add_organization("UTC", MONDAY)
    kept, voided = view(MONDAY), view(MONDAY + HOUR)
    first = void(voided, MONDAY + 2 * HOUR)
    second = void(kept, MONDAY + 2 * HOUR, id=first["id"])
    comparison.deliver(one, file(comparison, first, second), MONDAY + DAY)
    comparison.deliver(one, file(comparison, kept, voided), MONDAY + DAY)
    comparison.build(MONDAY + 2 * DAY)


@pytest.mark.parametrize("moment", ["audit_raw", "stage_two", "stage_three", "audit_candidates", "publish"])
def test_a_void_that_arrives_while_a_build_is_on_its_way_is_not_lost(comparison: Comparison, moment: str) -> None:
    one = comparison.add_organization("UTC", MONDAY)
    event = view(MONDAY)
    comparison.deliver(one, file(comparison, event, view(MONDAY + HOUR)), MONDAY + DAY)

    def interrupt(step: str) -> None:
        if step == moment:
            comparison.deliver(one, file(comparison, void(event, MONDAY + DAY)), MONDAY + DAY + 2 * HOUR)

    comparison.build_with_interruptions(MONDAY + DAY + HOUR, interrupt)
    comparison.build(MONDAY + DAY + 3 * HOUR)


@pytest.mark.parametrize("moment", ["audit_raw", "stage_two", "stage_three", "audit_candidates", "publish"])
def test_history_that_reopens_a_week_while_a_build_is_on_its_way_is_not_lost(
    comparison: Comparison, moment: str
) -> None:
    one = comparison.add_organization("UTC", MONDAY)
    late = MONDAY + 20 * DAY
    comparison.deliver(one, file(comparison, view(MONDAY)), MONDAY + DAY)
    comparison.deliver(one, file(comparison, view(MONDAY + HOUR)), MONDAY + DAY + 2 * HOUR)
    comparison.build(late)
    assert one.expected.week_states == {MONDAY.date(): "sealed"}
    # The hour that is rebuilt held events of the sealed week, too.
    comparison.deliver(one, file(comparison, view(late)), late)

    def interrupt(step: str) -> None:
        if step == moment:
            comparison.deliver(one, file(comparison, view(MONDAY + 2 * HOUR)), late + HOUR, is_history=True)

    comparison.build_with_interruptions(late + HOUR, interrupt)
    comparison.build(late + 2 * HOUR)


@pytest.mark.parametrize("moment", ["audit_raw", "stage_two", "stage_three", "audit_candidates", "publish"])
def test_a_batch_of_an_hour_that_is_being_built_is_not_lost(comparison: Comparison, moment: str) -> None:
    one = comparison.add_organization("UTC", MONDAY)
    comparison.deliver(one, file(comparison, view(MONDAY)), MONDAY + DAY)

    def interrupt(step: str) -> None:
        if step == moment:
            comparison.deliver(one, file(comparison, view(MONDAY + HOUR)), MONDAY + DAY)

    comparison.build_with_interruptions(MONDAY + DAY, interrupt)
    comparison.build(MONDAY + DAY + HOUR)


def test_a_week_with_events_that_were_not_built_is_not_sealed(comparison: Comparison) -> None:
    one = comparison.add_organization("UTC", MONDAY)
    comparison.deliver(one, file(comparison, view(MONDAY)), MONDAY + DAY)
    comparison.build(MONDAY + 2 * DAY)
    comparison.deliver(one, file(comparison, view(MONDAY + HOUR)), MONDAY + 13 * DAY)
    comparison.product.seal(MONDAY + 14 * DAY)
    assert comparison.product.week_states(one.slug) == {MONDAY.date(): "open"}
    comparison.build(MONDAY + 14 * DAY)
    assert one.expected.week_states == {MONDAY.date(): "sealed"}


def test_a_week_that_was_never_built_takes_nothing_once_it_is_over_for_seven_days(comparison: Comparison) -> None:
    one = comparison.add_organization("Australia/Lord_Howe", MONDAY)
    end = one.calendar.day_end((MONDAY + 6 * DAY).date())
    microsecond = timedelta(microseconds=1)
    before = comparison.deliver(one, file(comparison, view(MONDAY - 7 * DAY + HOUR)), end - microsecond)
    at = comparison.deliver(one, file(comparison, view(MONDAY - 7 * DAY + 2 * HOUR)), end)
    assert (before.accepted, at.accepted) == (1, 1), "the week before is open by now"
    never_built = file(comparison, view(MONDAY - 14 * DAY))
    assert comparison.deliver(one, never_built, end).quarantined == {"too_late": 1}
    comparison.build(end + HOUR)


def test_an_hour_that_reaches_a_sealed_and_an_open_week_is_rebuilt_for_the_open_one(comparison: Comparison) -> None:
    one = comparison.add_organization("UTC", MONDAY)
    sunday = MONDAY + 6 * DAY + 23 * HOUR
    next_monday = MONDAY + 7 * DAY
    voided = view(next_monday + HOUR)
    comparison.deliver(one, file(comparison, view(sunday), view(next_monday), voided), next_monday + DAY)
    due = MONDAY + 14 * DAY
    comparison.build(due)
    assert one.expected.week_states == {MONDAY.date(): "sealed", next_monday.date(): "open"}
    comparison.deliver(one, file(comparison, void(voided, due)), due)
    comparison.build(due + HOUR)
    comparison.deliver(one, file(comparison, view(sunday + HOUR / 2)), due + HOUR, is_history=True)
    comparison.build(due + 2 * HOUR)


def test_a_week_is_sealed_restored_and_sealed_again_without_a_trace(comparison: Comparison) -> None:
    organizations = [comparison.add_organization(zone, MONDAY) for zone in ("Asia/Kathmandu", "UTC")]
    for number, one in enumerate(organizations):
        comparison.deliver(one, file(comparison, view(MONDAY, number), view(MONDAY + 8 * DAY)), MONDAY + 9 * DAY)
    comparison.build(MONDAY + 10 * DAY)
    comparison.build(MONDAY + 30 * DAY)
    for one in organizations:
        late = file(comparison, view(MONDAY + HOUR), view(MONDAY + 2 * DAY, 2))
        assert comparison.deliver(one, late, MONDAY + 31 * DAY).quarantined == {"too_late": 2}
    comparison.build(MONDAY + 31 * DAY)
    assert comparison.replay(organizations[0], "too_late", MONDAY + 32 * DAY).accepted == 2
    comparison.build(MONDAY + 33 * DAY)
    assert comparison.replay(organizations[1], "too_late", MONDAY + 33 * DAY).accepted == 2
    comparison.build(MONDAY + 34 * DAY)
    assert organizations[0].expected.open_weeks == set()


def test_late_completion_takes_away_what_later_days_had_told(comparison: Comparison) -> None:
    one = comparison.add_organization("UTC", MONDAY)
    comparison.deliver(one, file(comparison, about_the_course(ADL + "registered", MONDAY)), MONDAY + HOUR)
    for day in (1, 5, 10):
        comparison.build(MONDAY + day * DAY)
    completed = about_the_course(ADL + "completed", MONDAY + 3 * DAY)
    comparison.deliver(one, file(comparison, completed), MONDAY + 11 * DAY)
    comparison.build(MONDAY + 12 * DAY)
    comparison.deliver(one, file(comparison, void(completed, MONDAY + 12 * DAY)), MONDAY + 12 * DAY)
    comparison.build(MONDAY + 13 * DAY)


def test_registering_again_after_leaving_begins_a_new_enrollment(comparison: Comparison) -> None:
    one = comparison.add_organization("Europe/London", MONDAY)
    steps = [
        about_the_course(ADL + "registered", MONDAY),
        view(MONDAY + DAY),
        about_the_course(TIN_CAN + "unregistered", MONDAY + 2 * DAY),
        view(MONDAY + 3 * DAY),
        about_the_course(ADL + "registered", MONDAY + 4 * DAY),
        about_the_course(TIN_CAN + "unregistered", MONDAY + 4 * DAY + HOUR),
        about_the_course(ADL + "registered", MONDAY + 5 * DAY),
    ]
    for number in (4, 0, 6, 2, 5, 1, 3):
        comparison.deliver(one, file(comparison, steps[number]), MONDAY + 6 * DAY)
        comparison.build(MONDAY + 6 * DAY + HOUR)


def test_enrollment_lapses_while_nobody_delivers_anything(comparison: Comparison) -> None:
    one = comparison.add_organization("UTC", MONDAY)
    comparison.deliver(one, file(comparison, view(MONDAY), view(MONDAY + HOUR, 1)), MONDAY + DAY)
    for day in (2, 40, 178, 181, 200):
        comparison.build(MONDAY + day * DAY)


def test_an_organization_that_moves_keeps_its_days_and_seals_on_time(comparison: Comparison) -> None:
    one = comparison.add_organization("Pacific/Apia", MONDAY)
    comparison.deliver(one, file(comparison, view(MONDAY), view(MONDAY + 11 * HOUR)), MONDAY + DAY)
    comparison.build(MONDAY + DAY)
    comparison.move(one, "America/New_York", (MONDAY + 4 * DAY).date(), MONDAY + DAY)
    border = one.calendar.day_start((MONDAY + 4 * DAY).date())
    around = [border - timedelta(microseconds=1), border, border + 18 * HOUR, border + 29 * HOUR]
    comparison.deliver(one, file(comparison, *map(view, around)), MONDAY + 6 * DAY)
    for day in (6, 7, 13):
        comparison.build(MONDAY + day * DAY)
    comparison.build(MONDAY + 14 * DAY + 3 * HOUR)
    comparison.build(MONDAY + 14 * DAY + 4 * HOUR)
    assert isinstance(one.calendar, Calendar)
    comparison.build(MONDAY + 14 * DAY + 5 * HOUR)


def test_an_id_comes_again_with_other_content(comparison: Comparison) -> None:
    one = comparison.add_organization("UTC", MONDAY)
    event = view(MONDAY)
    comparison.deliver(one, file(comparison, event), MONDAY + DAY)
    changes = [{"object": {"id": "other"}}, {"timestamp": (MONDAY - DAY).isoformat()}, {"actor": LEARNERS[1]}]
    changed = [event | change for change in changes]
    assert comparison.deliver(one, file(comparison, *changed), MONDAY + DAY).quarantined == {"conflict": 3}
    comparison.build(MONDAY + 2 * DAY)


def test_the_same_ids_in_two_organizations_do_not_meet(comparison: Comparison) -> None:
    first, second = (comparison.add_organization(zone, MONDAY) for zone in ("UTC", "Asia/Kathmandu"))
    events = [view(MONDAY), view(MONDAY + HOUR, 1)]
    comparison.deliver(first, file(comparison, *events), MONDAY + DAY)
    assert comparison.deliver(second, file(comparison, *events), MONDAY + DAY).accepted == 2
    comparison.deliver(second, file(comparison, void(events[0], MONDAY + DAY)), MONDAY + DAY)
    comparison.build(MONDAY + 2 * DAY)
