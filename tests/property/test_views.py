"""Whatever is delivered, the materialized views show what the oracle computes from the whole history."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from lyceum.database import ConnectionTarget
from property.population import COURSES, IDENTIFIERS
from property.test_deliveries import EXHAUSTIVE, QUICK
from property.test_scenarios import ADL, DAY, HOUR, MONDAY, a_month_of_everything, about_the_course, file, view
from property.views import ViewComparison, ViewMachine
from warehouse import SharedServer

pytestmark = pytest.mark.timeout(900)

PUPILS = [f"mbox:mailto:pupil{number}@example.org" for number in range(34)]


@pytest.fixture
def comparison(shared_server: SharedServer, template: ConnectionTarget, tmp_path: Path) -> Iterator[ViewComparison]:
    with shared_server.database(tmp_path / "home", template) as lent:
        yield ViewComparison(lent, identifiers=[*IDENTIFIERS, *PUPILS])


def a_class(end: datetime, chance: random.Random) -> list[dict[str, Any]]:
    """Many learners of two courses who visit, answer and complete to different degrees in the last 40 days."""
    statements = []
    for number, pupil in enumerate(PUPILS):
        actor = {"mbox": pupil.removeprefix("mbox:")}
        course = COURSES[number % 2]
        parts = {"actor": actor, "context": {"contextActivities": {"parent": [course]}}}
        statements.append(view(end - 40 * DAY, **parts))
        for _ in range(chance.randrange(14)):
            at = end - chance.randrange(1, 12 * 24) * HOUR
            verb = chance.choice(["experienced", "answered", "answered", "passed", "failed"])
            target = {"id": f"https://example.org/quizzes/{chance.randrange(3)}"}
            success = {"success": chance.random() < 0.4}
            statements.append(view(at, **parts, verb={"id": ADL + verb}, object=target, result=success))
        if chance.random() < 0.3:
            at = end - chance.randrange(1, 48) * HOUR
            statements.append(view(at, **parts, verb={"id": ADL + "completed"}, object=course))
    return statements


def test_six_weeks_of_everything_are_shown_in_three_zones(comparison: ViewComparison) -> None:
    chance = random.Random(43)
    end = MONDAY + 31 * DAY
    for zone in ("Europe/London", "America/New_York", "Asia/Kathmandu"):
        one = comparison.add_organization(zone, end)
        statements = a_month_of_everything(chance, end)
        chance.shuffle(statements)
        half = len(statements) // 2
        comparison.deliver(one, file(comparison, *statements[:half]), end, is_history=True)
        comparison.deliver(one, file(comparison, *statements[half:]), end + HOUR, is_history=True)
    comparison.build(end + 2 * HOUR)
    comparison.build(end + 5 * DAY)
    comparison.build(end + 40 * DAY)
    assert comparison.rows_compared > 50


def test_a_class_is_ranked_and_its_courses_are_listed(comparison: ViewComparison) -> None:
    end = MONDAY + 60 * DAY
    one = comparison.add_organization("Europe/London", end)
    statements = a_class(end, random.Random(44))
    comparison.deliver(one, file(comparison, *statements), end, is_history=True)
    comparison.build(end + 4 * HOUR)
    shown = comparison.product.organization_metrics(one.slug)
    assert shown is not None
    assert len(shown["best_course_ids"]) == 2
    names = comparison._names_of(one)
    bands = {row["engagement_band"] for row in comparison.product.learner_summary(one.slug, names).values()}
    assert bands == {"high", "medium", "low", "inactive"}
    assert any(row["is_struggling"] for row in comparison.product.learner_summary(one.slug, names).values())
    comparison.build(end + DAY)


def test_windows_move_on_while_nobody_delivers_anything(comparison: ViewComparison) -> None:
    one = comparison.add_organization("UTC", MONDAY)
    events = [about_the_course(ADL + "registered", MONDAY), view(MONDAY + HOUR), view(MONDAY + DAY, 1)]
    comparison.deliver(one, file(comparison, *events), MONDAY + 2 * DAY)
    for days in (8, 29, 181):
        comparison.build(MONDAY + days * DAY)


def test_views_do_not_depend_on_the_delivery(
    shared_server: SharedServer, template: ConnectionTarget, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    run_state_machine_as_test(
        lambda: ViewMachine(lambda: shared_server.database(home, template)),
        settings=settings(QUICK, max_examples=2, stateful_step_count=10),
    )


@pytest.mark.exhaustive
@pytest.mark.timeout(14400)
def test_views_do_not_depend_on_any_delivery(
    shared_server: SharedServer, template: ConnectionTarget, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    run_state_machine_as_test(
        lambda: ViewMachine(lambda: shared_server.database(home, template)),
        settings=settings(EXHAUSTIVE, max_examples=40),
    )
