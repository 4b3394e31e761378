"""`archiving`: a warehouse whose partitions are archived."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from archived_partitions import Archiving, open_archiving
from warehouse import Warehouse


@pytest.fixture
def archiving(warehouse: Warehouse) -> Iterator[Archiving]:
    pipeline, administrator = open_archiving(warehouse)
    with pipeline, administrator:
        yield Archiving(warehouse, pipeline, administrator, warehouse.settings)
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]
