"""Two real Learning Record Stores. Where one cannot be installed its tests are skipped and say why."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from record_stores import installation
from record_stores.installation import NotInstalledError
from record_stores.stores import Ralph, Store, node_store
from warehouse import SharedServer

USERS = tuple(f"lyceum{number}" for number in range(40))


@pytest.fixture(scope="session")
def ralph_interpreter(shared_server: SharedServer) -> Path:
    """The environment of ralph, apart from the project's own."""
    try:
        return installation.ralph(shared_server.home)
    except NotInstalledError as error:
        pytest.skip(f"NOT RUN, ralph cannot be installed: {error}")


@pytest.fixture(scope="session")
def node_installation(shared_server: SharedServer) -> Path:
    """The folder of the Node store."""
    try:
        return installation.node_store(shared_server.home)
    except NotInstalledError as error:
        pytest.skip(f"NOT RUN, the Node store cannot be installed: {error}")


@pytest.fixture(scope="session")
def shared_ralph(ralph_interpreter: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Store]]:
    """A ralph for all tests of this process; returns the store of a user who has none yet."""
    ralph = Ralph(ralph_interpreter, tmp_path_factory.mktemp("ralph"), USERS)
    users = itertools.chain(USERS)
    try:
        ralph.start()
        yield lambda: ralph.store(next(users))
    finally:
        ralph.kill()


@pytest.fixture(params=["ralph", "node"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Each of the two stores, empty."""
    if request.param == "ralph":
        yield request.getfixturevalue("shared_ralph")()
        return
    with node_store(request.getfixturevalue("node_installation"), tmp_path) as lent:
        yield lent
