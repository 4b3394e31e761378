"""Whatever is delivered, in whatever order and however often: what is published is what the oracle computes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from lyceum.database import ConnectionTarget
from property.deliveries import DeliveryMachine
from warehouse import SharedServer

QUICK = settings(
    # About seven seconds each on two quiet cores.
    max_examples=6,
    stateful_step_count=14,
    deadline=None,
    derandomize=True,
    # A failing example takes seconds; shrinking it would take longer than anybody waits for a test.
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
EXHAUSTIVE = settings(QUICK, max_examples=100, stateful_step_count=30, derandomize=False, phases=list(Phase))


@pytest.mark.timeout(1800)
def test_published_numbers_do_not_depend_on_the_delivery(
    shared_server: SharedServer, template: ConnectionTarget, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    run_state_machine_as_test(lambda: DeliveryMachine(lambda: shared_server.database(home, template)), settings=QUICK)


@pytest.mark.exhaustive
@pytest.mark.timeout(14400)
def test_published_numbers_do_not_depend_on_any_delivery(
    shared_server: SharedServer, template: ConnectionTarget, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    run_state_machine_as_test(
        lambda: DeliveryMachine(lambda: shared_server.database(home, template)), settings=EXHAUSTIVE
    )
