"""What every test may ask for: `warehouse`, a migrated database of its own, and `empty_database`, one with nothing in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from lyceum.database import ConnectionTarget, EmbeddedServer
from lyceum.settings import Settings
from warehouse import SERVER_OPTIONS, SharedServer, TestRun, Warehouse, begin_test_run

# Quick runs try the same examples every time; exhaustive runs look for new ones. Neither judges by the clock.
hypothesis.settings.register_profile(
    "quick", deadline=None, max_examples=50, derandomize=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.register_profile(
    "exhaustive", deadline=None, max_examples=1000, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)

_RUN = pytest.StashKey[TestRun]()
_SERVER = pytest.StashKey[SharedServer]()


def pytest_configure(config: pytest.Config) -> None:
    hypothesis.settings.load_profile("exhaustive" if config.option.markexpr == "exhaustive" else "quick")
    worker: dict[str, Any] | None = getattr(config, "workerinput", None)
    if worker is not None:
        config.stash[_SERVER] = SharedServer(Path(worker["lyceum_home"]), worker["lyceum_database_url"])
        return
    run = begin_test_run(os.environ)
    config.stash[_RUN] = run
    config.stash[_SERVER] = run.server


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    server = node.config.stash[_SERVER]
    node.workerinput["lyceum_home"] = str(server.home)
    node.workerinput["lyceum_database_url"] = server.database_url


def pytest_unconfigure(config: pytest.Config) -> None:
    run = config.stash.get(_RUN, None)
    if run is not None:
        run.end()


@pytest.fixture(scope="session")
def shared_server(pytestconfig: pytest.Config) -> SharedServer:
    """The server of this test run; `database` lends databases on it."""
    return pytestconfig.stash[_SERVER]


@pytest.fixture(scope="session")
def template(shared_server: SharedServer) -> ConnectionTarget:
    """The migrated database that `warehouse` copies. Nobody connects to it."""
    return shared_server.make_template()


@pytest.fixture
def warehouse(shared_server: SharedServer, template: ConnectionTarget, tmp_path: Path) -> Iterator[Warehouse]:
    """A migrated warehouse of this test alone, with a home of its own."""
    with shared_server.database(tmp_path / "home", template) as lent:
        yield lent


@pytest.fixture
def empty_database(shared_server: SharedServer, tmp_path: Path) -> Iterator[Warehouse]:
    """A database of this test alone with nothing in it, with a home of its own."""
    with shared_server.database(tmp_path / "home", shared_server.start(), is_empty=True) as lent:
        yield lent


@pytest.fixture
def own_server(shared_server: SharedServer) -> Iterator[Settings]:
    """Settings of an embedded server of this test alone, which does not exist yet and is stopped afterwards."""
    settings = Settings(home=shared_server.new_home(), server_options=SERVER_OPTIONS)
    yield settings
    EmbeddedServer(settings).stop(immediately=True)
