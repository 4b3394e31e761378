"""`lyceum cleanup` and the holds in `lyceum status`."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from lyceum.cli import main
from tenants import AS_OF, Tenant, deliver, event
from warehouse import Warehouse

LATER = (AS_OF + timedelta(days=3)).isoformat()


@pytest.fixture
def lyceum(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Any]:
    """Calls the program; returns its exit code, its stdout and its stderr."""
    for name, value in warehouse.settings.environment().items():
        monkeypatch.setenv(name, value)
    warehouse.settings.create_directories()

    def call(*arguments: str) -> tuple[object, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return call


def test_a_dry_run_says_what_would_be_done_and_for_whom_the_rest_waits(
    tenant: Tenant, lyceum: Callable[..., Any]
) -> None:
    tenant.collect(deliver(event(1)))

    code, said, _ = lyceum("cleanup", "daily", "--as-of", LATER, "--dry-run")

    assert code == 0
    assert (
        "Keep partitions.raw_data_collection_p20240515, expired since 2024-05-17 00:00 UTC: held by build, because 1 collected "
        "hours of 1 organizations wait to be built." in said
    )
    assert said.endswith("Nothing was changed: this is what a clean-up would do now.\n")


def test_a_forced_clean_up_needs_its_reason_and_a_reason_its_force(tenant: Tenant, lyceum: Callable[..., Any]) -> None:
    tenant.collect(deliver(event(1)))

    assert lyceum("cleanup", "daily", "--as-of", LATER, "--force")[0] == 2
    assert lyceum("cleanup", "daily", "--as-of", LATER, "--reason", "Because.")[0] == 2
    code, said, _ = lyceum("cleanup", "daily", "--as-of", LATER, "--force", "--reason", "Because.", "--json")

    assert code == 0
    told = json.loads(said)
    assert (told["partitions_dropped"], told["holds"]) == (1, [])
    assert tenant.accepted() == set()


def test_status_lists_what_is_on_hold(tenant: Tenant, lyceum: Callable[..., Any]) -> None:
    tenant.collect(deliver(event(1)))
    lyceum("cleanup", "daily", "--as-of", LATER)

    _, said, _ = lyceum("status")
    (hold,) = json.loads(lyceum("status", "--json")[1])["holds"]

    assert "since 2024-05-17 00:00 UTC  raw_data_collection_p20240515, for build: 1 collected hours" in said
    assert (hold["name"], hold["held_by"]) == ("raw_data_collection_p20240515", "build")
