"""Retention never changes an answer: with clean-ups at any moment, what is published is what the oracle computes from all of history."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import note, settings
from hypothesis.stateful import rule, run_state_machine_as_test

from lyceum.database import ConnectionTarget
from property.comparison import Comparison
from property.deliveries import DeliveryMachine
from property.product import Product
from property.test_deliveries import EXHAUSTIVE, QUICK
from property.test_scenarios import DAY, HOUR, MONDAY, a_month_of_everything, file, view, void
from warehouse import SharedServer

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture
def comparison(shared_server: SharedServer, template: ConnectionTarget, tmp_path: Path) -> Iterator[Comparison]:
    with shared_server.database(tmp_path / "home", template) as lent:
        yield Comparison(Product(lent))


class RetentionMachine(DeliveryMachine):
    """Delivers, builds, replays and waits as ever, and cleans up on every schedule whenever it likes."""

    @rule()
    def clean_up(self) -> None:
        if self._is_interrupted:
            # What is pending after an interrupted build is not known exactly.
            self._build()
        note(f"clean up at {self._now}")
        self._guarded(lambda: self._comparison.clean_up(self._now))
        if self._is_built:
            self._guarded(self._comparison.compare)

    @rule()
    def two_days_pass_and_all_is_built_and_cleaned_up(self) -> None:
        """Every raw row is gone then."""
        self._advance_to(self._now + timedelta(days=2), "two days")
        self._build()
        self._guarded(lambda: self._comparison.clean_up(self._now))
        self._guarded(self._comparison.compare)


def test_a_clean_up_every_day_changes_nothing_in_six_weeks_of_everything(comparison: Comparison) -> None:
    """Each day's events are delivered on the day, some a few days late or twice; voids come early, late and too late."""
    chance = random.Random(26)
    end = MONDAY + 31 * DAY
    ones = [comparison.add_organization(zone, MONDAY) for zone in ("America/New_York", "Asia/Kathmandu")]
    statements = {one: a_month_of_everything(chance, end) for one in ones}
    dropped = 0
    day = MONDAY - 11 * DAY
    while day < end + 20 * DAY:
        for one in ones:
            waiting = [each for each in statements[one] if each["timestamp"] <= day.isoformat()]
            now = [each for each in waiting if chance.random() < 0.7]
            statements[one] = [each for each in statements[one] if each not in now]
            voids = [void(each, day - HOUR) for each in now if chance.random() < 0.1]
            late_voids = [void(each, day - HOUR) for each in chance.sample(now, min(2, len(now)))]
            if now:
                comparison.deliver(one, file(comparison, *now, *voids), day)
                comparison.deliver(one, file(comparison, *now[:3], *late_voids), day + HOUR)
        comparison.build(day + 2 * HOUR)
        dropped += comparison.clean_up(day + 3 * HOUR)
        comparison.compare()
        day += chance.choice([DAY, DAY, 2 * DAY, 5 * DAY])
    assert dropped > 60


def test_a_void_counts_while_the_raw_day_is_there_and_is_too_late_when_it_is_gone(comparison: Comparison) -> None:
    one = comparison.add_organization("Europe/London", MONDAY)
    first, second, third = view(MONDAY + HOUR), view(MONDAY + 2 * HOUR), view(MONDAY + 3 * HOUR, 1)
    comparison.deliver(one, file(comparison, first, second, third), MONDAY + 4 * HOUR)
    comparison.build(MONDAY + 5 * HOUR)
    comparison.clean_up(MONDAY + 2 * DAY - HOUR)
    assert comparison.deliver(one, file(comparison, void(first, MONDAY + DAY)), MONDAY + 2 * DAY - HOUR).accepted == 1
    # Pending: even now the day stays.
    comparison.clean_up(MONDAY + 2 * DAY)
    comparison.build(MONDAY + 2 * DAY)
    assert comparison.clean_up(MONDAY + 2 * DAY) == 1
    late = comparison.deliver(one, file(comparison, void(second, MONDAY + 2 * DAY)), MONDAY + 2 * DAY + HOUR)
    assert dict(late.quarantined) == {"void_too_late": 1}
    # The week is open: events still come to the days whose raw rows are gone.
    comparison.deliver(one, file(comparison, view(MONDAY + 90 * timedelta(minutes=1)), first), MONDAY + 3 * DAY)
    comparison.build(MONDAY + 3 * DAY)
    comparison.clean_up(MONDAY + 30 * DAY)
    comparison.build(MONDAY + 30 * DAY)
    comparison.clean_up(MONDAY + 31 * DAY)
    comparison.compare()


def test_a_late_event_restores_a_week_of_which_everything_is_gone(comparison: Comparison) -> None:
    one = comparison.add_organization("Asia/Kathmandu", MONDAY)
    comparison.deliver(one, file(comparison, view(MONDAY + HOUR), view(MONDAY + DAY, 1)), MONDAY + 2 * DAY)
    comparison.build(MONDAY + 2 * DAY)
    late = MONDAY + 60 * DAY
    comparison.build(late)
    assert comparison.clean_up(late) > 5
    comparison.compare()
    outcome = comparison.deliver(one, file(comparison, view(MONDAY + 2 * HOUR), view(late - HOUR, 2)), late)
    assert dict(outcome.quarantined) == {"too_late": 1}
    comparison.replay(one, "too_late", late + HOUR)
    comparison.clean_up(late + HOUR)
    comparison.build(late + 2 * HOUR)
    comparison.clean_up(late + 10 * DAY)
    comparison.build(late + 10 * DAY)
    comparison.clean_up(late + 10 * DAY)
    comparison.compare()


def test_refusals_outlive_their_month_by_ninety_days(comparison: Comparison) -> None:
    one = comparison.add_organization("UTC", MONDAY)
    comparison.deliver(one, file(comparison, {}, view(MONDAY + HOUR)), MONDAY + 2 * HOUR)
    comparison.build(MONDAY + DAY)
    april = MONDAY + 30 * DAY
    assert april.day == 1
    comparison.clean_up(april + 90 * DAY - HOUR)
    assert comparison.product.quarantine(one.slug).total() == 1
    comparison.clean_up(april + 90 * DAY)
    assert comparison.product.quarantine(one.slug).total() == 0


def test_published_numbers_do_not_depend_on_clean_ups(
    shared_server: SharedServer, template: ConnectionTarget, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    run_state_machine_as_test(
        lambda: RetentionMachine(lambda: shared_server.database(home, template)),
        settings=settings(QUICK, max_examples=3, stateful_step_count=14),
    )


@pytest.mark.exhaustive
@pytest.mark.timeout(14400)
def test_published_numbers_do_not_depend_on_any_clean_up(
    shared_server: SharedServer, template: ConnectionTarget, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    run_state_machine_as_test(
        lambda: RetentionMachine(lambda: shared_server.database(home, template)), settings=EXHAUSTIVE
    )
